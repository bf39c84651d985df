# SPDX-License-Identifier: BSD-3-Clause
"""Starts EAL for a guest: its memory is shared with the backend, and nothing of it stays behind when it is killed."""

import os
from collections.abc import Set
from errno import ENOMEM
from typing import Literal

from pydpdk_defer import _native, eal
from pydpdk_defer.errors import EalError
from pydpdk_defer.host import hugepages, memory, runtime_dir

__all__ = ["start_eal"]


def start_eal(memory_mb: int, setting: bool | Literal["auto"], cpus: Set[int], core: int | None) -> bool:
    """Start EAL, its own threads beside `core` when there is another CPU; return whether memory is in hugepages."""
    use_hugepages = hugepages.choose(setting, memory_mb)
    memory.check(memory_mb, use_hugepages, memory.GUEST)
    runtime_dir.ensure()
    try:
        _native.eal_start(
            memory_mb=memory_mb,
            hugepages=use_hugepages,
            share_memory=True,
            telemetry=False,
            pci=False,
            allowed_devices=[],
            control_cpus=eal.control_cpus(cpus, [] if core is None else [core]),
            file_prefix=f"pydpdk_guest_{os.getpid()}",
            extra_args=[],
        )
    except EalError as error:
        if error.errno == ENOMEM:
            hint = "lower --memory-mb, free memory, or reserve hugepages"
            raise EalError(error.strerror, ENOMEM, hint) from error
        raise
    return use_hugepages
