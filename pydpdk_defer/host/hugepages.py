# SPDX-License-Identifier: BSD-3-Clause
"""Free hugepages, and whether to use them."""

import re
from pathlib import Path
from typing import Literal

__all__ = ["choose", "free_bytes"]

_FOLDER = Path("/sys/kernel/mm/hugepages")
_SIZE_FOLDER = re.compile(r"hugepages-(?P<kb>\d+)kB")


def free_bytes(folder: Path = _FOLDER) -> int:
    """The bytes in free hugepages of all sizes; 0 on a kernel without them."""
    return sum(
        int(found["kb"]) * 1024 * _number(path / "free_hugepages")
        for path in folder.glob("hugepages-*kB")
        if (found := _SIZE_FOLDER.fullmatch(path.name))
    )


def choose(setting: bool | Literal["auto"], memory_mb: int) -> bool:
    """Whether to take hugepages: as set, or with "auto" when `memory_mb` megabytes of them are free."""
    if setting == "auto":
        return free_bytes() >= memory_mb * 1024 * 1024
    return setting


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
