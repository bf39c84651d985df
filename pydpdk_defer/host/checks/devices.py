# SPDX-License-Identifier: BSD-3-Clause
"""IOMMU, vfio-pci, and the devices themselves."""

from collections.abc import Iterator

from pydpdk_defer.host.checks.check import PCI_ADDRESS, Check, Host, Status
from pydpdk_defer.host.dma_devices import DmaDevice

__all__ = ["device_checks"]

_WHY_IOMMU = "vfio-pci hands a device to a process by the IOMMU, which keeps it within the process's memory"
_WHY_VFIO = "the kernel driver by which a process has a PCI device"
_WHY_DMA = "what copies into guests in the CPU's place"
_WHY_TOOL = "makes the work queues of a DSA device"
_WHY_PCI = "a topology can use a device that is there and that no other driver has"


def device_checks(host: Host) -> Iterator[Check]:
    """Of a topology just its devices; without one whatever is there."""
    if host.topology is None:
        hardware = [device for device in host.devices if device.kind != "software" and device.certain]
        yield from _iommu(host, is_needed=False)
        yield from (_device(device.device, device, "WARN") for device in hardware)
        if not hardware:
            yield Check("DMA devices", "WARN", "no hardware that this DPDK knows: dma_skeleton plays one", _WHY_DMA)
        yield from _accel_config(host)
        return
    addresses = dict(host.pci_addresses())
    if addresses:
        yield from _iommu(host, is_needed=True)
        yield from _pci_is_on(host)
    yield from _wanted(host)
    yield from (_nic(host, name, address) for name, address in addresses.items() if name.startswith("port."))


def _wanted(host: Host) -> Iterator[Check]:
    assert host.topology is not None
    by_name = {device.device: device for device in host.devices}
    for name, dma in host.topology.dma.items():
        wanted = dma.device.partition(",")[0]
        address = PCI_ADDRESS.match(wanted)
        if wanted.startswith("dma_skeleton"):
            yield _software(host, f"dma.{name}", dma.device)
            continue
        key = address[0].lower() if address else wanted
        found = by_name.get(key) or by_name.get(f"0000:{key}")
        if found is None:
            yield Check(f"dma.{name}", "FAIL", f"{wanted} is not here", _WHY_DMA, ("pydpdk-defer devices",))
        else:
            yield _device(f"dma.{name}", found, "FAIL")


def _software(host: Host, name: str, device: str) -> Check:
    if host.plugins.folder is None or any(driver.name == "dma_skeleton" for driver in host.plugins.drivers()):
        return Check(name, "OK", f"{device}: software, the CPU copies", _WHY_DMA)
    return Check(name, "FAIL", f"{device}: no plug-in has it", _WHY_DMA, ("sudo apt-get install libdpdk-dev",))


def _device(name: str, device: DmaDevice, otherwise: Status) -> Check:
    found = f"{device.name}, {device.device}" if name != device.device else device.name
    if device.problem:
        return Check(name, otherwise, f"{found}: {device.problem}", _WHY_DMA, device.commands)
    return Check(name, "OK", f"{found}: ready for {device.pmd}", _WHY_DMA)


def _iommu(host: Host, *, is_needed: bool) -> Iterator[Check]:
    groups = host.entries("sys/kernel/iommu_groups", "[0-9]*")
    noiommu = host.text("sys/module/vfio/parameters/enable_unsafe_noiommu_mode") in ("Y", "1")
    if groups:
        kinds = sorted({kind for group in groups if (kind := host.text(f"{group.relative_to(host.root)}/type"))})
        mode = "passed through" if kinds == ["identity"] else ", ".join(kinds) or "mode not told"
        yield Check("IOMMU", "OK", f"{len(groups)} groups ({mode})", _WHY_IOMMU)
    elif noiommu:
        yield Check("IOMMU", "WARN", "none; vfio is allowed to do without, and nothing keeps the device", _WHY_IOMMU)
    else:
        command = "switch VT-d or AMD-Vi on in the firmware and boot with intel_iommu=on iommu=pt"
        yield Check("IOMMU", "FAIL" if is_needed else "WARN", "none is in use", _WHY_IOMMU, (command,))
    if host.exists("sys/module/vfio_pci"):
        yield Check("vfio-pci", "OK", "loaded", _WHY_VFIO)
    else:
        yield Check("vfio-pci", "FAIL" if is_needed else "WARN", "not loaded", _WHY_VFIO, ("sudo modprobe vfio-pci",))


def _pci_is_on(host: Host) -> Iterator[Check]:
    assert host.topology is not None
    if not host.topology.eal.pci:
        yield Check(
            "eal.pci",
            "FAIL",
            "false, and devices have PCI addresses",
            "EAL looks at the PCI bus only when told to",
            ("[eal] pci = true",),
        )


def _nic(host: Host, name: str, address: str) -> Check:
    folder = f"sys/bus/pci/devices/{address}"
    if not host.exists(folder):
        return Check(name, "FAIL", f"{address} is not here", _WHY_PCI, ("lspci -D",))
    try:
        driver = (host.root / folder / "driver").readlink().name
    except OSError:
        driver = ""
    if driver in ("vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core", "mlx4_core"):
        return Check(name, "OK", f"{address} with {driver}", _WHY_PCI)
    held = f"the kernel's {driver} has it" if driver else "no driver has it"
    return Check(name, "FAIL", f"{address}: {held}", _WHY_PCI, (f"sudo dpdk-devbind.py -b vfio-pci {address}",))


def _accel_config(host: Host) -> Iterator[Check]:
    if host.entries("sys/bus/dsa/devices", "dsa*"):
        if any(host.exists(f"{folder}/accel-config") for folder in ("usr/bin", "usr/local/bin")):
            yield Check("accel-config", "OK", "installed", _WHY_TOOL)
        else:
            command = ("sudo apt-get install accel-config",)
            yield Check("accel-config", "WARN", "not installed", _WHY_TOOL, command)
