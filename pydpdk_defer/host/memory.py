# SPDX-License-Identifier: BSD-3-Clause
"""Whether the memory that EAL is to take is there: EAL itself may crash when it is not."""

import re
from errno import ENOMEM
from pathlib import Path
from typing import NamedTuple

from pydpdk_defer.errors import EalError
from pydpdk_defer.host import hugepages

__all__ = ["GUEST", "TOPOLOGY", "Wording", "available_bytes", "check"]

_MB = 1024 * 1024
_CGROUP_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_bytes(root: Path = Path("/")) -> int:
    """The bytes of ordinary memory that a new allocation can get, within the limit of a container."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    available = int(found[1]) * 1024 if found else 2**63
    for limit in _CGROUP_LIMITS:
        try:
            available = min(available, int((root / limit).read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return available


class Wording(NamedTuple):
    """How the user writes what the memory depends on: `memory` without the number."""

    memory: str
    hugepages_on: str
    hugepages_off: str


TOPOLOGY = Wording("eal.memory_mb =", "eal.hugepages = true", "eal.hugepages = false")
GUEST = Wording("--memory-mb", "--hugepages yes", "--hugepages no")


def check(memory_mb: int, use_hugepages: bool, wording: Wording = TOPOLOGY) -> None:
    """Raise `EalError` (ENOMEM), in this wording, unless `memory_mb` MiB can be had."""
    lower = f"lower {wording.memory.split()[0]}"
    if use_hugepages:
        free = hugepages.free_bytes() // _MB
        if free < memory_mb:
            raise EalError(
                f"{wording.hugepages_on}, {wording.memory} {memory_mb}: free hugepages hold {free} MB only",
                ENOMEM,
                f"echo {-(-memory_mb // 2)} > /proc/sys/vm/nr_hugepages, {lower}, or do without: "
                f"{wording.hugepages_off}",
            )
        return
    available = available_bytes() // _MB
    if available < memory_mb:
        raise EalError(
            f"{wording.memory} {memory_mb}: {available} MB are available", ENOMEM, f"{lower}, or free memory"
        )
