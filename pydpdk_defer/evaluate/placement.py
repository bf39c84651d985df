# SPDX-License-Identifier: BSD-3-Clause
"""Which DMA devices and which CPUs an evaluation uses, and what sharing a CPU does to its figures."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from errno import EINVAL
from typing import Any

from pydpdk_defer.errors import DeferError
from pydpdk_defer.host.dma_devices import survey

__all__ = ["Placement", "device_tables", "devices_of", "needs_pci", "place"]

_SOFTWARE = "dma_skeleton"
_PCI = re.compile(r"([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,31})=(.+)")


@dataclass(frozen=True)
class Placement:
    """Where everything runs. `shared`: who shares a CPU and what that means, or "".

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
            raise ValueError(
                f"two DMA devices are called {name}: give them names, as in a=dma_skeleton0,b=dma_skeleton1"
            )
        named[name] = device
    return named


def place(devices: Mapping[str, str], cpus: Collection[int], *, may_share: bool) -> Placement:
    """CPUs for PMD thread, guest and software copies; raises `DeferError` when they must share and may not.

    Where there are more than these take, the lowest stay free for everything else.
    """
    has_software = any(device.startswith(_SOFTWARE) for device in devices.values())
    ordered = sorted(cpus)
    if len(ordered) < 2:
        raise DeferError(
            f"an evaluation needs two CPUs, and this process may use {len(ordered)}: a PMD thread that shares its CPU "
            "with its guest measures the scheduler",
            EINVAL,
            "give the process or its container more CPUs",
        )
    pmd, guest = ordered[-1], ordered[-2]
    if not has_software:
        return Placement(pmd, guest, None, "")
    if len(ordered) > 2:
        return Placement(pmd, guest, ordered[-3], "")
    shared = (
        f"the guest and the thread that copies for {_SOFTWARE} share CPU {guest}: rates at full load and latencies are "
        "those of this sharing; cycles of the PMD thread, which has a CPU of its own, are not touched by it"
    )
    if not may_share:
        raise DeferError(
            f"three CPUs are needed, for PMD thread, guest and {_SOFTWARE}, and this process may use {len(ordered)}; "
            + shared,
            EINVAL,
            "go on with --allow-shared-cores, or use a DMA device that is hardware",
        )
    return Placement(pmd, guest, guest, shared)


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
