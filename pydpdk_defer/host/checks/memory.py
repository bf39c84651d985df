# SPDX-License-Identifier: BSD-3-Clause
"""Hugepages and ordinary memory."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydpdk_defer.host import memory
from pydpdk_defer.host.checks.check import Check, Host

__all__ = ["memory_checks"]

_WHY_PAGES = "memory in hugepages spares the TLB; without them ordinary memory serves"
_WHY_MEMORY = "mempools and rings are allocated at the start"
_WHY_MOUNT = "a virtual machine whose memory is in files needs a mount; this package needs none"
_WHY_LOCKED = "a device on the PCI bus needs memory that is pinned, and an ordinary user may pin so much"
_MB = 1024 * 1024
_FILES = ("nr_hugepages", "free_hugepages")
_USUAL_KB = 2048
_SIZE = re.compile(r"hugepages-(\d+)kB")


def memory_checks(host: Host) -> Iterator[Check]:
    """What there is by node and page size, what the topology wants of it, mounts, and the limit of pinned memory."""
    free = 0
    for where, folder in _pools(host):
        size_kb = int(_SIZE.fullmatch(folder.name)[1])  # type: ignore[index]
        total, left = (host.number(str(folder.relative_to(host.root) / name)) or 0 for name in _FILES)
        free += left * size_kb * 1024
        found = f"{left} free of {total}"
        name = f"hugepages of {_size(size_kb)}{where}"
        if total or size_kb == _USUAL_KB:
            yield Check(name, "OK" if left else "WARN", found, _WHY_PAGES, () if left else (_reserve(folder, host),))
    yield from _wanted(host, free)
    mounts = [line.split() for line in host.text("proc/mounts").splitlines() if " hugetlbfs " in line]
    if mounts:
        places = ", ".join(mount[1] for mount in mounts)
        yield Check("hugetlbfs", "OK", f"mounted on {places}", _WHY_MOUNT)
    else:
        mount = "sudo mkdir -p /dev/hugepages && sudo mount -t hugetlbfs nodev /dev/hugepages"
        yield Check("hugetlbfs", "WARN", "not mounted", _WHY_MOUNT, (mount,))
    yield from _locked(host)


def _pools(host: Host) -> Iterator[tuple[str, Path]]:
    """Of each NUMA node, or of a host that has none to show."""
    nodes = host.entries("sys/devices/system/node", "node[0-9]*/hugepages/hugepages-*kB")
    if nodes:
        for folder in nodes:
            yield f" on node {folder.parent.parent.name.removeprefix('node')}", folder
    else:
        for folder in host.entries("sys/kernel/mm/hugepages", "hugepages-*kB"):
            yield "", folder


def _reserve(folder: Path, host: Host) -> str:
    count = 512 if folder.name == f"hugepages-{_USUAL_KB}kB" else 2
    return f"echo {count} | sudo tee /{folder.relative_to(host.root)}/nr_hugepages"


def _size(kb: int) -> str:
    return f"{kb // 1024} MB" if kb < _MB else f"{kb // _MB} GB"


def _wanted(host: Host, free_hugepages: int) -> Iterator[Check]:
    available = memory.available_bytes(host.root) // _MB
    if host.topology is None:
        yield Check("memory", "OK", f"{available:,} MB available", _WHY_MEMORY)
        return
    options, free_mb = host.topology.eal, free_hugepages // _MB
    name = f"eal.memory_mb = {options.memory_mb}"
    if options.hugepages is True or (options.hugepages == "auto" and free_mb >= options.memory_mb):
        enough = free_mb >= options.memory_mb
        pages = -(-options.memory_mb // 2)
        command = f"echo {pages} | sudo tee /proc/sys/vm/nr_hugepages"
        found = f"free hugepages hold {free_mb:,} MB"
        yield Check(name, "OK" if enough else "FAIL", found, _WHY_MEMORY, () if enough else (command,))
    else:
        enough = available >= options.memory_mb
        found = f"{available:,} MB of ordinary memory are available"
        yield Check(name, "OK" if enough else "FAIL", found, _WHY_MEMORY, () if enough else ("free -m",))


def _locked(host: Host) -> Iterator[Check]:
    found = re.search(r"^Max locked memory\s+(\S+)", host.text("proc/self/limits"), re.MULTILINE)
    if found is None or host.uid == 0 or (host.topology is not None and not list(host.pci_addresses())):
        return
    wanted = (host.topology.eal.memory_mb if host.topology else 512) * _MB
    if found[1] == "unlimited" or int(found[1]) >= wanted:
        yield Check("memlock", "OK", f"limit {found[1]}", _WHY_LOCKED)
    else:
        raise_it = f"sudo prlimit --memlock=unlimited --pid $$  # for good: memlock {wanted // 1024} in limits.conf"
        limit = f"limit {int(found[1]) // 1024:,} KB"
        yield Check("memlock", "WARN" if host.topology is None else "FAIL", limit, _WHY_LOCKED, (raise_it,))
