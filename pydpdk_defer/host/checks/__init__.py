# SPDX-License-Identifier: BSD-3-Clause
"""What `doctor` looks at, a module a subject; each yields `Check`s for a `Host`."""

from collections.abc import Callable, Iterator

from pydpdk_defer.host.checks.check import Check, Host
from pydpdk_defer.host.checks.container import container_checks
from pydpdk_defer.host.checks.cpus import cpu_checks
from pydpdk_defer.host.checks.devices import device_checks
from pydpdk_defer.host.checks.dpdk import dpdk_checks
from pydpdk_defer.host.checks.leftovers import leftover_checks
from pydpdk_defer.host.checks.memory import memory_checks

__all__ = ["ALL_CHECKS", "Check", "Host"]

ALL_CHECKS: tuple[Callable[[Host], Iterator[Check]], ...] = (
    dpdk_checks,
    memory_checks,
    device_checks,
    cpu_checks,
    container_checks,
    leftover_checks,
)
