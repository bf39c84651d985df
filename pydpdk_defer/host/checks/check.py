# SPDX-License-Identifier: BSD-3-Clause
"""One thing that was looked at, and the host that it was looked at on."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydpdk_defer.host.cpus import parse_cpu_list
from pydpdk_defer.host.dma_devices import DmaDevice
from pydpdk_defer.host.pmds import Plugins
from pydpdk_defer.topology import EthdevPort, Topology, VhostPort

__all__ = ["PCI_ADDRESS", "Check", "Host", "Status"]

Status = Literal["OK", "WARN", "FAIL"]
PCI_ADDRESS = re.compile(r"(?:[0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")


@dataclass(frozen=True)
class Check:
    """`found` is what there is, `why` why that matters, `commands` what to type where it is not well.

    "FAIL": what is asked of the host will not work. "WARN": it works, and may be slower or less than expected.
    """

    name: str
    status: Status
    found: str
    why: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """The host below `root`, for a process of the user `uid`; what a topology needs of it, or without one whatever.

    `devices`: the DMA devices that are there. `runtime_folder`: where DPDK makes its folders.
    """

    root: Path
    uid: int
    plugins: Plugins
    devices: tuple[DmaDevice, ...]
    dpdk_compiled: str
    dpdk_loaded: str
    runtime_folder: Path
    topology: Topology | None = None
    cpus: frozenset[int] = field(default_factory=frozenset)

    def text(self, path: str) -> str:
        """A file's content without white space at its ends; "" when it is not there or not for this user."""
        try:
            return (self.root / path).read_text(errors="replace").strip()
        except OSError:
            return ""

    def number(self, path: str) -> int | None:
        """The number that a file holds, if it does."""
        text = self.text(path)
        return int(text) if re.fullmatch(r"-?\d+", text) else None

    def cpu_list(self, path: str) -> list[int]:
        """CPUs as the kernel lists them; none when the file is not there."""
        try:
            return parse_cpu_list(self.text(path))
        except ValueError:
            return []

    def entries(self, path: str, pattern: str = "*") -> list[Path]:
        """What a folder holds; nothing when it is not there."""
        return sorted((self.root / path).glob(pattern))

    def exists(self, path: str) -> bool:
        """Whether it is there."""
        return (self.root / path).exists()

    def status_line(self, name: str) -> str:
        """Of this process."""
        found = re.search(rf"^{name}:\s*(.*)$", self.text("proc/self/status"), re.MULTILINE)
        return found[1] if found else ""

    @property
    def pmd_cores(self) -> list[int]:
        """Of the topology; without one none."""
        return [pmd.core for pmd in self.topology.pmd] if self.topology else []

    def pci_addresses(self) -> Iterator[tuple[str, str]]:
        """Each device of the topology that is on the PCI bus: what names it, and its address."""
        if self.topology is None:
            return
        named = [(f"dma.{name}", dma.device) for name, dma in self.topology.dma.items()]
        named += [
            (f"port.{name}", port.device) for name, port in self.topology.port.items() if isinstance(port, EthdevPort)
        ]
        for name, device in named:
            if found := PCI_ADDRESS.match(device):
                address = found[0].lower()
                yield name, address if address.count(":") == 2 else f"0000:{address}"

    def sockets(self) -> Iterator[tuple[str, VhostPort]]:
        """The vhost ports of the topology."""
        if self.topology is not None:
            for name, port in self.topology.port.items():
                if isinstance(port, VhostPort):
                    yield name, port

    @property
    def is_here(self) -> bool:
        """Whether it is the machine that this process runs on, and no folder that stands for another."""
        return self.root == Path("/") and self.uid == os.geteuid()
