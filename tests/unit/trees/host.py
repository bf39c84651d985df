# SPDX-License-Identifier: BSD-3-Clause
"""Builds folders that stand for hosts with DMA devices, as the kernel lays out sysfs, and PMDs to go with them."""

import os
from pathlib import Path

from pydpdk_defer.host.pmds import Driver, PciId, Plugin, Plugins

__all__ = ["ALL_PMDS", "CNXK", "IDXD", "IOAT", "SKELETON", "Host", "plugins"]

IDXD = Driver("dmadev_idxd_pci", "max_queues=0", "vfio-pci", (PciId(0x8086, 0x0B25),))
IOAT = Driver("dmadev_ioat", "", "* igb_uio | uio_pci_generic | vfio-pci", (PciId(0x8086, 0x2021),))
CNXK = Driver("cnxk_dmadev_pci_driver", "", "vfio-pci", (PciId(0x177D, 0xA081),))
SKELETON = Driver("dma_skeleton", "lcore=<uint16>")


def plugins(*drivers: Driver) -> Plugins:
    """An installation with one plug-in for each of these drivers, and one that has nothing to do with DMA."""
    eal = "librte_eal.so.23"
    files = tuple(Plugin(Path(f"/pmds/librte_dma_{d.name}.so.23.0"), (d,), eal) for d in drivers)
    net = Plugin(Path("/pmds/librte_net_null.so.23.0"), (Driver("net_null"),), eal)
    return Plugins(eal, Path("/pmds"), (*files, net))


ALL_PMDS = plugins(IDXD, IOAT, SKELETON)


class Host:
    """The folder that stands for a host's root; `accel-config` is installed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("usr/bin/accel-config")

    def write(self, path: str, text: str = "") -> Path:
        """Make a file with a line of text."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
        return file

    def pci(
        self,
        address: str,
        ids: str = "8086:0b25",
        *,
        pci_class: str = "088000",
        driver: str | None = None,
        group: str | None = "12",
        numa_node: int = 0,
    ) -> Path:
        """A PCI device, linked into its bus as the kernel does it."""
        folder = f"sys/devices/pci0000:00/{address}"
        vendor, device = ids.split(":")
        values = {"vendor": f"0x{vendor}", "device": f"0x{device}", "class": f"0x{pci_class}"}
        values |= {"numa_node": str(numa_node), "subsystem_vendor": "0x8086", "subsystem_device": "0x0000"}
        for name, value in values.items():
            self.write(f"{folder}/{name}", value)
        real, bus = self.root / folder, self.root / "sys/bus/pci/devices"
        bus.mkdir(parents=True, exist_ok=True)
        (bus / address).symlink_to(os.path.relpath(real, bus))
        if driver:
            (real / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
        if group:
            (real / "iommu_group").symlink_to(f"../../../kernel/iommu_groups/{group}")
        return real

    def dsa(self, number: int = 0, values: dict[str, str] | None = None) -> None:
        """A DSA device with the kernel's idxd driver, enabled and without queues."""
        attributes = {"state": "enabled", "numa_node": "1", "max_work_queues": "8", "max_batch_size": "1024"}
        attributes |= {"max_work_queues_size": "128", "pasid_enabled": "1"}
        for key, value in (attributes | (values or {})).items():
            self.write(f"sys/bus/dsa/devices/dsa{number}/{key}", value)

    def queue(self, name: str = "wq0.0", values: dict[str, str] | None = None) -> None:
        """A work queue, by default one that DPDK can use."""
        attributes = {"state": "enabled", "type": "user", "mode": "dedicated", "name": "dpdk_app1"}
        attributes |= {"size": "16", "clients": "0"} | (values or {})
        for key, value in attributes.items():
            self.write(f"sys/bus/dsa/devices/{name}/{key}", value)
        if attributes["state"] == "enabled":
            self.write(f"dev/dsa/{name}")
