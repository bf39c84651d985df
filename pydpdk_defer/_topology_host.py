# SPDX-License-Identifier: BSD-3-Clause
"""What a topology asks of the host before anything starts: cores for its threads, places for its sockets."""

import os
import stat
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from pydpdk_defer._topology_faults import fault
from pydpdk_defer._topology_sections import DmaDevice, EalOptions, PmdThread, Port, VhostPort

__all__ = ["core_faults", "dma_faults", "eal_faults", "socket_faults"]

# What this package gives EAL itself, and what ends the process or makes it wait for another.
_OWN_OPTIONS = {
    **dict.fromkeys(("-l", "--lcores", "-c"), "cores follow from pmd"),
    **dict.fromkeys(("-m", "--socket-mem"), "eal.memory_mb says that"),
    **dict.fromkeys(("--no-huge", "--in-memory", "--huge-unlink"), "eal.hugepages says that"),
    **dict.fromkeys(("--no-pci", "-a", "--allow"), "eal.pci and the devices say that"),
    "--file-prefix": "eal.file_prefix says that",
    "--iova-mode": "vhost's asynchronous copies need virtual addresses",
    "--proc-type": "a datapath is a primary process",
    **dict.fromkeys(("-h", "--help", "-v", "--version"), "it would end the process"),
}


def core_faults(pmds: tuple[PmdThread, ...], available_cpus: Set[int]) -> Iterator[str]:
    """A line for each thread whose core is not among those that this process may use."""
    for at, pmd in enumerate(pmds):
        if pmd.core not in available_cpus:
            text = f"no core that this process may use; it may use {_ranges(available_cpus)}"
            yield fault(f"pmd[{at}].core", text, pmd.core)


def eal_faults(eal: EalOptions) -> Iterator[str]:
    """A line for each further EAL option that is not the user's to give."""
    for at, argument in enumerate(eal.extra_args):
        reason = _OWN_OPTIONS.get(argument.partition("=")[0])
        if reason:
            yield fault(f"eal.extra_args[{at}]", f"{reason}; leave it out", argument)


def dma_faults(devices: Mapping[str, DmaDevice], available_cpus: Set[int]) -> Iterator[str]:
    """A line for each dma_skeleton whose arguments its driver would pass over without a word."""
    for name, dma in devices.items():
        device, *arguments = dma.device.split(",")
        for argument in arguments if device.startswith("dma_skeleton") else []:
            key, _, value = argument.partition("=")
            if key != "lcore":
                yield fault(f"dma.{name}.device", f"dma_skeleton knows no argument {key!r}; it has: lcore", dma.device)
            elif not value.isdecimal() or int(value) not in available_cpus:
                text = f"lcore is no CPU that this process may use; it may use {_ranges(available_cpus)}"
                yield fault(f"dma.{name}.device", text, dma.device)


def socket_faults(ports: Mapping[str, Port]) -> Iterator[str]:
    """A line for each vhost port whose socket cannot be where the topology wants it."""
    for name, port in ports.items():
        if isinstance(port, VhostPort):
            problem = _folder_problem(port) or _in_the_way(port)
            if problem:
                yield fault(f"port.{name}.socket", problem, port.socket)


def _folder_problem(port: VhostPort) -> str | None:
    folder = Path(port.socket).parent
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        return f"the folder {folder} does not exist; make it or choose another path"
    except OSError as error:
        return f"the folder {folder} cannot be reached: {error.strerror}; choose another path"
    if not stat.S_ISDIR(mode):
        return f"{folder} is not a folder; choose another path"
    if port.mode == "server" and not os.access(folder, os.W_OK | os.X_OK):
        return f"this user cannot write the folder {folder}; change its permissions or choose another path"
    return None


def _in_the_way(port: VhostPort) -> str | None:
    if port.mode != "server":
        return None
    try:
        mode = Path(port.socket).lstat().st_mode
    except OSError:  # nothing there, the usual case; what else is wrong the folder has shown
        return None
    if stat.S_ISSOCK(mode):
        return None
    what = "a folder" if stat.S_ISDIR(mode) else "a file that is no socket"
    return f"{what} is in the way; remove it or choose another path"


def _ranges(cpus: Set[int]) -> str:
    """The numbers as the operating system writes CPU lists: `0-3,8`."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs) or "none"
