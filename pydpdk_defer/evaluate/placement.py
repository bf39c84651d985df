# SPDX-License-Identifier: BSD-3-Clause
"""Which DMA devices and which CPUs an evaluation uses, and what sharing a CPU does to its figures."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from errno import EINVAL
from itertools import combinations
from typing import Any

from pydpdk_defer.errors import DeferError, UsageError
from pydpdk_defer.host.cpus import CpuPlace
from pydpdk_defer.host.dma_devices import survey

__all__ = ["Placement", "device_tables", "devices_of", "needs_pci", "node_of", "place"]

_SOFTWARE = "dma_skeleton"
_PCI = re.compile(r"([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")
_LCORE = re.compile(r",lcore=(\d+)")
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,31})=(.+)")


@dataclass(frozen=True)
class Placement:
    """Where everything runs. `shared`: who shares a CPU or a core and what that means, or "".

    `dma` is the CPU on which a software device copies, `None` where hardware does.
    """

    pmd: int
    guest: int
    dma: int | None
    shared: str

    @property
    def cores(self) -> dict[str, int]:
        """By role."""
        return {"pmd": self.pmd, "guest": self.guest} | ({} if self.dma is None else {"dma": self.dma})


def devices_of(given: Sequence[str]) -> dict[str, str]:
    """DMA devices by name, from "NAME=DEVICE" or "DEVICE"; none given: what the host has, else software.

    `ValueError` for a name that comes twice.
    """
    if not given:
        usable = [device.device for device in survey().devices if device.kind != "software" and not device.problem]
        given = usable[:1] or [f"{_SOFTWARE}0"]
    named: dict[str, str] = {}
    for number, text in enumerate(given):
        found = _NAMED.fullmatch(text)
        # "dma_skeleton0,lcore=1" is a device with an argument, not a name.
        name, device = (found[1], found[2]) if found else (f"copier{number or ''}", text)
        if name in named:
            raise UsageError(
                f"two DMA devices are called {name}: give them names, as in a=dma_skeleton0,b=dma_skeleton1"
            )
        named[name] = device
    return named


def place(
    devices: Mapping[str, str],
    cpus: Collection[int],
    *,
    may_share: bool,
    places: Mapping[int, CpuPlace] | None = None,
    node: int | None = None,
) -> Placement:
    """CPUs for PMD thread, guest and software copies; raises `DeferError` when they must share and may not.

    Where there are more than these take, the lowest stay free for everything else. `places`: of the CPUs; cores are not
    shared where there are enough on one NUMA node: `node`, or the one with most.
    """
    software = [device for device in devices.values() if device.startswith(_SOFTWARE)]
    given = {int(found[1]) for device in software if (found := _LCORE.search(device))}
    places = places or {cpu: CpuPlace(0, cpu) for cpu in cpus}
    ordered = _in_order(cpus, places, node)
    if len(ordered) < 2:
        raise DeferError(
            f"an evaluation needs two CPUs, and this process may use {len(ordered)}: a PMD thread that shares its CPU "
            "with its guest measures the scheduler",
            EINVAL,
            "give the process or its container more CPUs",
        )
    pmd, guest, *others = sorted(ordered, key=lambda cpu: cpu in given)
    if not software:
        dma = None
    elif all(map(_LCORE.search, software)):
        dma = min(given)
    else:
        others = [cpu for cpu in others if cpu not in given]
        near = [places[pmd], places[guest]]
        dma = min(others, key=lambda cpu: [places[cpu] == core for core in near]) if others else guest
    placement = Placement(pmd, guest, dma, "")
    reasons = [*_shared_cpus(placement, given), *_shared_cores(placement, places)]
    if {pmd, guest} & (given | {dma}) and not may_share:
        raise DeferError(
            f"PMD thread, guest and {_SOFTWARE} need a CPU each, and this process may use {len(ordered)}; "
            + "; ".join(reasons),
            EINVAL,
            "go on with --allow-shared-cores, or use a DMA device that is hardware",
        )
    return Placement(pmd, guest, dma, "; ".join(reasons))


def node_of(devices: Mapping[str, str]) -> int | None:
    """The NUMA node of the first of these that has one."""
    nodes = {found.device: found.numa_node for found in survey().devices} if _has_hardware(devices) else {}
    return next((nodes[device] for device in devices.values() if nodes.get(device) is not None), None)


def _has_hardware(devices: Mapping[str, str]) -> bool:
    return not all(device.startswith(_SOFTWARE) for device in devices.values())


def _in_order(cpus: Collection[int], places: Mapping[int, CpuPlace], node: int | None) -> list[int]:
    """The best for a PMD thread first: of the node one CPU of each core, the highest first; then second ones."""
    cores: dict[CpuPlace, list[int]] = {}
    for cpu in sorted(cpus, reverse=True):
        cores.setdefault(places[cpu], []).append(cpu)
    cores_of_node: dict[int, int] = {}
    for place_of_core in cores:
        cores_of_node[place_of_core.node] = cores_of_node.get(place_of_core.node, 0) + 1

    def rank(cpu: int) -> tuple[bool, int, int, int, int]:
        where = places[cpu]
        return (where.node != node, -cores_of_node[where.node], where.node, cores[where].index(cpu), -cpu)

    return sorted(cpus, key=rank)


def _shared_cpus(placement: Placement, given: Collection[int]) -> Iterator[str]:
    copiers = {*given, placement.dma}
    if placement.pmd in copiers:
        yield (
            f"the PMD thread and the thread that copies for {_SOFTWARE} share CPU {placement.pmd}: all figures are "
            "those of this sharing"
        )
    if placement.guest in copiers:
        yield (
            f"the guest and the thread that copies for {_SOFTWARE} share CPU {placement.guest}: rates at full load and "
            "latencies are those of this sharing; cycles of the PMD thread, which has a CPU of its own, are not "
            "touched by it"
        )


def _shared_cores(placement: Placement, places: Mapping[int, CpuPlace]) -> Iterator[str]:
    names = {"pmd": "the PMD thread", "guest": "the guest", "dma": f"the thread that copies for {_SOFTWARE}"}
    for (one, its), (other, others) in combinations(placement.cores.items(), 2):
        if its != others and its in places and places[its] == places.get(others):
            yield (
                f"{names[one]} on CPU {its} and {names[other]} on CPU {others} are threads of one core (SMT): cycles "
                "per packet are those of this sharing"
            )


def device_tables(devices: Mapping[str, str], placement: Placement, model: Mapping[str, Any] | None) -> dict[str, Any]:
    """The topology's `dma` tables; software copies on its CPU, and `model` is laid over each."""
    tables: dict[str, Any] = {}
    for name, device in devices.items():
        if device.startswith(_SOFTWARE) and "lcore=" not in device:
            device = f"{device},lcore={placement.dma}"
        tables[name] = {"device": device, "ring_size": 4096} | ({"model": dict(model)} if model is not None else {})
    return tables


def needs_pci(devices: Mapping[str, str]) -> bool:
    """Whether one of them is on the PCI bus."""
    return any(_PCI.match(device) for device in devices.values())
