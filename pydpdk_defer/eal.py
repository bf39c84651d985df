# SPDX-License-Identifier: BSD-3-Clause
"""Starts EAL for a topology, once a process, and ends it on every way out."""

import atexit
import os
import re
from collections.abc import Iterable
from errno import EADDRINUSE
from pathlib import Path

from pydpdk_defer import _native_log
from pydpdk_defer._loading import native
from pydpdk_defer.errors import EalError
from pydpdk_defer.host import hugepages, memory, runtime_dir
from pydpdk_defer.topology import EthdevPort, Topology

__all__ = ["available_cpus", "control_cpus", "runtime_folder", "start", "stop"]

_QUEUE = re.compile(r"-q\d+(?=,|$)")  # of a DMA device: the bus knows the device alone
_PCI = re.compile(r"(?:[0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")


def available_cpus() -> frozenset[int]:
    """The CPUs that this process may use."""
    return frozenset(os.sched_getaffinity(0))


def control_cpus(available: Iterable[int], pmd_cores: Iterable[int]) -> list[int]:
    """The CPUs for DPDK's own threads: those that no PMD thread polls on, or all when none is left."""
    cpus, polled = sorted(available), set(pmd_cores)
    return [cpu for cpu in cpus if cpu not in polled] or cpus


def start(topology: Topology) -> bool:
    """Start EAL by the topology's `[eal]`; return whether memory is in hugepages. Raises `EalError`.

    The caller's CPU affinity stays as it is. Ended at the latest when the interpreter exits.
    """
    options = topology.eal
    use_hugepages = hugepages.choose(options.hugepages, options.memory_mb)
    memory.check(options.memory_mb, use_hugepages)
    runtime_dir.ensure()
    if options.file_prefix and runtime_dir.of_prefix(options.file_prefix).exists():
        raise EalError(
            f'eal.file_prefix = "{options.file_prefix}": {runtime_dir.of_prefix(options.file_prefix)} is there already',
            EADDRINUSE,
            "another DPDK process uses this prefix, or a killed one left the folder: choose another, or remove it",
        )
    devices = [dma.device for dma in topology.dma.values()]
    devices += [port.device for port in topology.port.values() if isinstance(port, EthdevPort)]
    try:
        native.eal_start(
            memory_mb=options.memory_mb,
            hugepages=use_hugepages,
            share_memory=False,
            telemetry=True,
            pci=options.pci,
            allowed_devices=[_QUEUE.sub("", device) for device in devices if options.pci and _PCI.match(device)],
            control_cpus=control_cpus(available_cpus(), (pmd.core for pmd in topology.pmd)),
            file_prefix=options.file_prefix or f"pydpdk_defer_{os.getpid()}",
            extra_args=list(options.extra_args),
        )
    finally:
        _native_log.forward()
    atexit.register(native.eal_stop)
    return use_hugepages


def runtime_folder() -> Path:
    """Where DPDK's sockets of this process are, its telemetry socket among them."""
    return Path(native.eal_runtime_dir())


def stop() -> None:
    """End EAL and remove its runtime folder. Harmless when it is not running."""
    native.eal_stop()
    atexit.unregister(native.eal_stop)
    _native_log.forward()
