# SPDX-License-Identifier: BSD-3-Clause
"""Whether the memory that EAL is to take is there: EAL itself may crash when it is not."""

import re
from errno import ENOMEM
from pathlib import Path

from pydpdk_defer.errors import EalError
from pydpdk_defer.host import hugepages

__all__ = ["available_bytes", "check"]

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


def check(memory_mb: int, use_hugepages: bool, key: str = "eal.memory_mb") -> None:
    """Raise `EalError` (ENOMEM) unless `memory_mb` MiB can be had; `key` is what to call it in the error."""
    if use_hugepages:
        free = hugepages.free_bytes() // _MB
        if free < memory_mb:
            raise EalError(
                f"{key} = {memory_mb}: free hugepages hold {free} MB only",
                ENOMEM,
                f"echo {-(-memory_mb // 2)} > /proc/sys/vm/nr_hugepages, or do without: hugepages = false",
            )
        return
    available = available_bytes() // _MB
    if available < memory_mb:
        raise EalError(f"{key} = {memory_mb}: {available} MB are available", ENOMEM, f"lower {key}, or free memory")
