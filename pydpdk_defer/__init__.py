# SPDX-License-Identifier: BSD-3-Clause
"""Deferred, DMA-offloaded vhost sends on DPDK.

`Topology` describes ports, PMD threads and DMA devices; `Datapath` makes one real; `Deferral` is the engine
that keeps track of sends in progress, on its own; `evaluate` finds out from which frame size on DMA pays.
Errors of DPDK and of the host are `DeferError` and what is under it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pydpdk_defer._loading import dpdk_compiled, dpdk_loaded
from pydpdk_defer.capture import Capture, CapturedFrame
from pydpdk_defer.datapath import Datapath
from pydpdk_defer.deferral import Deferral, DeferralStats
from pydpdk_defer.errors import DeferError, DmaError, EalError, TopologyError, VhostError
from pydpdk_defer.stats import Snapshot
from pydpdk_defer.topology import DeferralOptions, DmaModel, Topology

__all__ = [
    "Capture",
    "CapturedFrame",
    "Datapath",
    "DeferError",
    "Deferral",
    "DeferralOptions",
    "DeferralStats",
    "DmaError",
    "DmaModel",
    "EalError",
    "Snapshot",
    "Topology",
    "TopologyError",
    "VhostError",
    "dpdk_compiled",
    "dpdk_loaded",
    "evaluate",
]

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pydpdk_defer.evaluate.evaluation import evaluate


def __getattr__(name: str) -> Any:
    """The package `evaluate`, which can be called, when it is first asked for: most programs never do."""
    if name == "evaluate":
        return importlib.import_module("pydpdk_defer.evaluate")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
