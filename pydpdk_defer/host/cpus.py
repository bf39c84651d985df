# SPDX-License-Identifier: BSD-3-Clause
"""Where CPUs are: which are threads of one core, and on which NUMA node."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["CpuPlace", "cpu_places", "parse_cpu_list"]

_CPU = "sys/devices/system/cpu"


class CpuPlace(NamedTuple):
    """A NUMA node, and the lowest CPU of the core on it."""

    node: int
    core: int


def cpu_places(cpus: Iterable[int], root: Path = Path("/")) -> dict[int, CpuPlace]:
    """By CPU; of what the host does not tell each CPU is a core of its own, on node 0."""
    return {cpu: CpuPlace(_node(cpu, root), min(_siblings(cpu, root), default=cpu)) for cpu in cpus}


def parse_cpu_list(text: str) -> list[int]:
    """The kernel's form, "0-3,8": `ValueError` for another."""
    cpus: list[int] = []
    for piece in filter(None, text.strip().split(",")):
        low, _, high = piece.partition("-")
        cpus += range(int(low), int(high or low) + 1)
    return cpus


def _siblings(cpu: int, root: Path) -> list[int]:
    try:
        return parse_cpu_list((root / _CPU / f"cpu{cpu}/topology/thread_siblings_list").read_text())
    except (OSError, ValueError):
        return []


def _node(cpu: int, root: Path) -> int:
    nodes = sorted((root / _CPU / f"cpu{cpu}").glob("node[0-9]*"))
    return int(nodes[0].name.removeprefix("node")) if nodes else 0
