# SPDX-License-Identifier: BSD-3-Clause
"""Deferred, DMA-offloaded vhost sends on DPDK.

`Topology` describes ports, PMD threads and DMA devices; `Datapath` makes one real; `Deferral` is the engine
that keeps track of sends in progress, on its own. Errors of DPDK and of the host are `DeferError` and what
is under it.
"""

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
]

__version__ = "0.1.0"
