# SPDX-License-Identifier: BSD-3-Clause
"""The DMA devices of a host as a topology could use them: on the PCI bus, as idxd work queues, in software.

Each comes with what `device = "..."` under `[dma.NAME]` says for it, or why DPDK cannot have it now and what to
type. Sysfs and the rights of device files are looked at; nothing is opened for use, loaded or changed.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

from pydpdk_defer._loading import dpdk_compiled, dpdk_loaded
from pydpdk_defer.host.pmds import Driver, PciId, Plugins, find_plugins

__all__ = ["DmaDevice", "Survey", "survey"]

_NAMES = {
    **{(0x8086, device): "Intel DSA" for device in (0x0B25, 0x11FB, 0x1212)},
    **{(0x8086, device): "Intel CBDMA" for device in (0x2021, 0x0B00, *range(0x6F20, 0x6F30))},
}
# DMA controller, and the other system peripheral that most DMA engines say they are: as do many that are none.
_CLASSES = ("0801", "0880")
_IDXD = "dmadev_idxd"
_NO_PMD = "no PMD of this DPDK serves it"
_wrap = partial(wrap, break_long_words=False, break_on_hyphens=False)
_NEEDS = {
    "pci": " and eal.pci = true",
    "work_queue": " (newer kernels let only CAP_SYS_RAWIO use it)",  # since INTEL-SA-01084
    "software": ": the CPU copies, for tests",
}
_ROW = "  {:<15}{:<24}{:>4}  {:<17}{}"
_Remedy = tuple[str, tuple[str, ...]]  # what is wrong, and the commands against it


@dataclass(frozen=True)
class DmaDevice:
    """A DMA device: a topology calls it `device`, which works when there is no `problem`.

    `commands` help against the problem. `certain` is false where nothing but the PCI class speaks for it.
    `details` holds what only one kind has: a PCI id and an IOMMU group, or how a work queue is configured.
    """

    device: str
    kind: Literal["pci", "work_queue", "software"]
    name: str
    kernel_driver: str | None = None
    pmd: str | None = None
    numa_node: int | None = None
    certain: bool = True
    details: Mapping[str, str | None] = field(default_factory=dict)
    problem: str = ""
    commands: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """A row for people, and under it what to write into a topology or what to type."""
        node = "-" if self.numa_node is None else str(self.numa_node)
        yield _ROW.format(self.device, self.name, node, self.kernel_driver or "-", self.pmd or "-")
        use = f"problem: {self.problem}" if self.problem else f'device = "{self.device}"{_NEEDS[self.kind]}'
        details = ", ".join(f"{key.replace('_', ' ')} {value or '-'}" for key, value in self.details.items())
        for text in filter(None, (details, use)):
            yield from _wrap(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 8)
        for command in self.commands:
            first, *more = _wrap(command, 88)
            yield " \\\n".join([f"        {first}", *(f"          {part}" for part in more)])


@dataclass(frozen=True)
class Survey:
    """What `survey` found: `str()` is for people; `faults` says why the PMDs do not fit the loaded DPDK."""

    dpdk_compiled: str
    dpdk_loaded: str
    pmd_folder: str | None
    faults: tuple[str, ...]
    devices: tuple[DmaDevice, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        head = [
            f"DPDK {self.dpdk_loaded}, compiled against {self.dpdk_compiled}",
            f"PMDs in {self.pmd_folder}" if self.pmd_folder else "no folder of PMDs: DPDK is linked statically",
            *(f"fault: {fault}" for fault in self.faults),
        ]
        certain = [device for device in self.devices if device.certain]
        guesses = [device.device for device in self.devices if not device.certain]
        if all(device.kind == "software" for device in certain):
            head.append("no DMA hardware that this DPDK knows")
        if guesses:
            more = f" and {len(guesses) - 3} more" if len(guesses) > 3 else ""
            head.append(f"may be DMA devices by their PCI class: {', '.join(guesses[:3])}{more}")
        lines = [line for text in head for line in _wrap(text, 100, subsequent_indent="  ")]
        lines += ["", _ROW.format("device", "name", "NUMA", "kernel driver", "PMD")]
        return "\n".join([*lines, *(line for device in certain for line in device.lines())])


def survey(root: Path = Path("/"), plugins: Plugins | None = None) -> Survey:
    """Look at the host below `root`, with the PMDs of the loaded DPDK or with others.

    What this user may not read counts as not there.
    """
    plugins = plugins or find_plugins()
    drivers = list(plugins.drivers("librte_dma_"))
    software = (
        DmaDevice(f"{driver.name}0", "software", "software", pmd=driver.name, details={"arguments": driver.params})
        for driver in drivers
        if driver.name == "dma_skeleton"
    )
    return Survey(
        dpdk_compiled(),
        dpdk_loaded(),
        str(plugins.folder) if plugins.folder else None,
        tuple(plugins.faults()),
        (*_pci_devices(root, drivers), *_work_queues(root, drivers), *software),
    )


def _pci_devices(root: Path, drivers: list[Driver]) -> Iterator[DmaDevice]:
    files = ("vendor", "device", "subsystem_vendor", "subsystem_device")
    for folder in _entries(root / "sys/bus/pci/devices"):
        ids = PciId(*(_number(folder / file) for file in files))
        driver = next((d for d in drivers for line in d.pci_ids if line.matches(ids)), None)
        known = _NAMES.get((ids.vendor, ids.device))
        certain = bool(driver or known or _entries(folder / "dma"))
        if not certain and _read(folder / "class")[2:6] not in _CLASSES:
            continue
        kernel_driver, group = _link(folder / "driver"), _link(folder / "iommu_group")
        details = {"pci_id": f"{ids.vendor:04x}:{ids.device:04x}", "iommu_group": group}
        pmd = driver.name if driver else None
        name, node = known or pmd or "unknown", _numa_node(folder)
        remedy = _pci_problem(root, folder.name, driver, kernel_driver, group)
        yield DmaDevice(folder.name, "pci", name, kernel_driver, pmd, node, certain, details, *remedy)


def _pci_problem(
    root: Path, address: str, driver: Driver | None, kernel_driver: str | None, group: str | None
) -> _Remedy:
    if driver is None:
        return _NO_PMD, ()
    if kernel_driver in driver.kernel_drivers:
        return _access(root, f"/dev/vfio/{group}") if kernel_driver == "vfio-pci" else ("", ())
    modprobe = "" if _exists(root / "sys/module/vfio_pci") else "sudo modprobe vfio-pci && "
    bind = f"{modprobe}sudo dpdk-devbind.py -b vfio-pci {address}"
    if group is None:
        return "vfio-pci needs an IOMMU: switch it on in the firmware, boot with intel_iommu=on", (bind,)
    if kernel_driver == "idxd":
        return "idxd has it and offers work queues (below); to give DPDK all of it instead:", (bind,)
    return f"the kernel's {kernel_driver} has it" if kernel_driver else "no driver has it", (bind,)


def _work_queues(root: Path, drivers: list[Driver]) -> Iterator[DmaDevice]:
    """The queues that were configured, and where a device has none, the first that could be."""
    pmd = next((_IDXD for driver in drivers if driver.name.startswith(_IDXD)), None)
    for device in _entries(root / "sys/bus/dsa/devices", r"dsa\d+"):  # iax devices compress
        queues = _entries(device.parent, rf"wq{device.name[3:]}\.\d+")
        for queue in [q for q in queues if _number(q / "size")] or queues[:1]:
            details = {key: _read(queue / key) for key in ("name", "state", "type", "mode", "size")}
            remedy = _queue_problem(root, device, queue) if pmd else (_NO_PMD, ())
            name, node = f"work queue of {device.name}", _numa_node(device)
            yield DmaDevice(queue.name, "work_queue", name, "idxd", pmd, node, True, details, *remedy)


def _queue_problem(root: Path, device: Path, queue: Path) -> _Remedy:
    wanted = {"type": "user", "mode": "dedicated", "name": "dpdk_*", "state": "enabled"}
    wrong = [key for key, value in wanted.items() if not fnmatchcase(_read(queue / key), value)]
    if _read(device / "pasid_enabled") == "0":
        return "user queues need shared virtual memory: boot with intel_iommu=on,sm_on", ()
    if wrong:
        text = ", ".join(f"{key} is {_read(queue / key) or 'empty'} and not {wanted[key]}" for key in wrong)
        text = text if _number(queue / "size") else f"no queue of {device.name} is configured; for one:"
        return text, tuple(_configuration(root, device, queue, wrong))
    if _number(queue / "clients"):
        return "another process has it, and a dedicated queue serves one", ()
    return _access(root, f"/dev/dsa/{queue.name}")


def _configuration(root: Path, device: Path, queue: Path, wrong: list[str]) -> Iterator[str]:
    """The commands that make a queue fit for DPDK. One that is disabled forgets all but its size and group."""
    fresh, running = not _number(queue / "size"), _read(device / "state") == "enabled"
    place = f"{device.name}/{queue.name}"
    size = _number(device / "max_work_queues_size") // (_number(device / "max_work_queues") or 1)
    batch = min(_number(device / "max_batch_size") or 1024, 1024)
    options = f"--group-id=0 --wq-size={size or 16} " if fresh else ""
    options += f"--type=user --mode=dedicated --name=dpdk_{queue.name} --priority=10 --max-batch-size={batch}"
    if _exists(queue / "driver_name"):  # from Linux 6.7 on no queue is enabled without
        options += " --driver-name=user"
    steps = {
        f"disable-wq {place}": "state" not in wrong,
        f"disable-device {device.name}": fresh and running,
        f"config-engine {device.name}/engine{device.name[3:]}.0 --group-id=0": fresh,
        f"config-wq {place} {options}": fresh or wrong != ["state"],
        f"enable-device {device.name}": fresh or not running,
        f"enable-wq {place}": True,
    }
    if not any(_exists(root / folder / "accel-config") for folder in ("usr/bin", "usr/local/bin")):
        yield "sudo apt-get install accel-config"
    yield from (f"sudo accel-config {step}" for step, needed in steps.items() if needed)


def _access(root: Path, node: str) -> _Remedy:
    if os.access(root / node[1:], os.R_OK | os.W_OK):
        return "", ()
    if _exists(root / node[1:]):
        return f"this user may not open {node}", (f'sudo chown "$USER" {node}',)
    return f"{node} is not here; a container needs it handed in", ()


def _exists(path: Path) -> bool:
    return os.access(path, os.F_OK)


def _entries(folder: Path, pattern: str = ".*") -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if re.fullmatch(pattern, path.name)]
    except OSError:
        return []
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int:
    text = _read(file)
    return int(text, 0) if re.fullmatch(r"0|[1-9][0-9]*|0x[0-9a-f]+", text) else 0


def _numa_node(folder: Path) -> int | None:
    text = _read(folder / "numa_node")  # -1 where the host has only one
    return int(text) if text.isdecimal() else None


def _link(path: Path) -> str | None:
    try:
        return path.readlink().name
    except OSError:
        return None
