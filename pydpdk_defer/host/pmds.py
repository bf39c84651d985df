# SPDX-License-Identifier: BSD-3-Clause
"""The PMD plug-ins of the loaded DPDK, read from their files and not loaded.

A plug-in carries a JSON string for each of its drivers, the one that `dpdk-pmdinfo.py` shows: its name, its
arguments, the kernel drivers it wants, the PCI ids it serves. EAL loads every plug-in of one folder, whose
path is compiled into librte_eal: a single one that was built for another DPDK keeps EAL from starting.
"""

import json
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Driver", "PciId", "Plugin", "Plugins", "find_plugins", "loaded_eal", "plugin_folder"]

_ANY = 0xFFFF
_INFO = re.compile(rb"PMD_INFO_STRING= *(\{[^\0]*\})\0")
# A builder of DPDK may choose another folder than .../dpdk/pmds-ABI; the first form has what was chosen.
_FOLDERS = (re.compile(rb"DPDK_PLUGIN_PATH=(/[^\0]+)\0"), re.compile(rb"\0(/[^\0]*/dpdk/pmds-[\d.]+)\0"))


@dataclass(frozen=True)
class PciId:
    """The ids of a device, or a line of a driver's table, where 0xffff stands for any."""

    vendor: int
    device: int
    subsystem_vendor: int = _ANY
    subsystem_device: int = _ANY

    def matches(self, device: "PciId") -> bool:
        """Whether a device with these ids is one that this line of a table means."""
        line = (self.vendor, self.device, self.subsystem_vendor, self.subsystem_device)
        ids = (device.vendor, device.device, device.subsystem_vendor, device.subsystem_device)
        return all(wanted in (it, _ANY) for wanted, it in zip(line, ids, strict=True))


@dataclass(frozen=True)
class Driver:
    """A driver inside a plug-in."""

    name: str
    params: str = ""
    kmod: str = ""
    pci_ids: tuple[PciId, ...] = ()

    @property
    def kernel_drivers(self) -> tuple[str, ...]:
        """The kernel drivers that hand it a PCI device, out of text such as `* igb_uio | vfio-pci`."""
        return tuple(re.findall(r"[\w-]+", self.kmod))


@dataclass(frozen=True)
class Plugin:
    """A plug-in file: `eal` is the librte_eal that it was linked with, `problem` why it could not be read."""

    file: Path
    drivers: tuple[Driver, ...] = ()
    eal: str | None = None
    problem: str = ""


@dataclass(frozen=True)
class Plugins:
    """What the EAL of a process would load; `folder` is None where DPDK is linked statically."""

    eal: str | None
    folder: Path | None
    plugins: tuple[Plugin, ...] = ()

    def drivers(self, prefix: str = "") -> Iterator[Driver]:
        """The drivers in the plug-ins whose file name starts so: `librte_dma_`, `librte_net_`."""
        return (d for p in self.plugins if p.file.name.startswith(prefix) for d in p.drivers)

    def faults(self) -> list[str]:
        """A line for everything that keeps EAL from loading the plug-ins; none when they fit."""
        if self.folder is None:
            return []
        if not self.plugins:
            state = "has no PMD" if self.folder.is_dir() else "is not there"
            return [f"EAL's folder {self.folder} {state}; on Debian: apt-get install libdpdk-dev"]
        lines = [f"{p.file}: {p.problem}" for p in self.plugins if p.problem]
        strangers: dict[str, list[str]] = {}
        for plugin in self.plugins:
            if plugin.eal and self.eal and plugin.eal != self.eal:
                strangers.setdefault(plugin.eal, []).append(plugin.file.name)
        for eal, names in sorted(strangers.items()):
            count = f"{len(names)} of {len(self.plugins)} PMDs in {self.folder}"
            lines.append(f"{count} were built for {eal}, but {self.eal} is loaded: {_some(names)}")
        for folder in (self.folder, *self.folder.parents):
            if _everybody_writes(folder):
                lines.append(f"EAL loads no PMD from {self.folder}: everybody may write {folder}")
        return lines


def find_plugins(eal: Path | None = None, prefix: str = "") -> Plugins:
    """Read the plug-ins that belong to a librte_eal, by default to the one that this process has loaded.

    With a prefix only those whose file name starts so: that is quicker, but what they say is not all that
    decides whether EAL can start.
    """
    eal = eal or loaded_eal()
    if eal is None:
        return Plugins(None, None)
    try:
        folder = plugin_folder(eal)
        soname = _read(eal)[2]
    except (OSError, ValueError):  # replaced since this process loaded it
        return Plugins(None, None)
    files = _files(folder, eal.resolve().name.partition(".so.")[2]) if folder else []
    return Plugins(soname, folder, tuple(_plugin(file) for file in files if file.name.startswith(prefix)))


def loaded_eal(maps: Path = Path("/proc/self/maps")) -> Path | None:
    """The file of the librte_eal that is loaded into a process; None when there is none."""
    for line in maps.read_text(errors="replace").splitlines():
        file = line.split(maxsplit=5)[5:]
        if file and re.search(r"/librte_eal\.so[^/]*$", file[0]):
            return Path(file[0].removesuffix(" (deleted)"))
    return None


def plugin_folder(eal: Path) -> Path | None:
    """The folder whose plug-ins this librte_eal loads. Raises `OSError` or `ValueError`."""
    rodata = _read(eal)[0]
    match = next(filter(None, (pattern.search(rodata) for pattern in _FOLDERS)), None)
    return Path(match[1].decode(errors="surrogateescape")) if match else None


def _files(folder: Path, abi: str) -> list[Path]:
    """The files that EAL would load from its folder, each once: `.so`, `.so.23` and `.so.23.0` are one."""
    try:
        entries = [file for file in folder.iterdir() if file.name.endswith((".so", f".so.{abi}"))]
        return sorted({file.resolve() for file in entries if file.is_file()})
    except OSError:
        return []


def _plugin(file: Path) -> Plugin:
    try:
        rodata, needed, _ = _read(file)
    except (OSError, ValueError) as error:
        return Plugin(file, problem=f"cannot be read as a shared library ({error})")
    eal = next((name for name in needed if name.startswith("librte_eal.")), None)
    return Plugin(file, tuple(_drivers(rodata)), eal)


def _read(file: Path) -> tuple[bytes, list[str], str | None]:
    """The read-only data of a shared library, the libraries it needs, and its own name (DT_SONAME).

    Raises `OSError` or `ValueError`.
    """
    from elftools.common.exceptions import ELFError  # not above: it would cost every start of the command
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    needed, soname = [], None
    try:
        with file.open("rb") as stream:
            elf = ELFFile(stream)
            rodata = elf.get_section_by_name(".rodata")
            dynamic = elf.get_section_by_name(".dynamic")
            tags: Iterator[Any] = dynamic.iter_tags() if isinstance(dynamic, DynamicSection) else iter(())
            for tag in tags:
                if tag.entry.d_tag == "DT_NEEDED":
                    needed.append(str(tag.needed))
                elif tag.entry.d_tag == "DT_SONAME":
                    soname = str(tag.soname)
            return rodata.data() if rodata else b"", needed, soname
    except (ELFError, MemoryError, OverflowError) as error:  # the last two: a nonsensical section size
        raise ValueError(f"{error or type(error).__name__}") from error


def _drivers(rodata: bytes) -> Iterator[Driver]:
    for text in _INFO.findall(rodata):
        try:
            info = json.loads(text)
            pci_ids = tuple(PciId(*map(int, line)) for line in info.get("pci_ids", ()))
            params, kmod = str(info.get("params", "")).strip(), str(info.get("kmod", ""))
            yield Driver(str(info["name"]), params, kmod, pci_ids)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue


def _everybody_writes(folder: Path) -> bool:
    try:
        return bool(folder.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def _some(names: Iterable[str]) -> str:
    first, *more = sorted(names)
    return f"{first} and {len(more)} more" if more else first
