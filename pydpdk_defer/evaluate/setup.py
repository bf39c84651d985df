# SPDX-License-Identifier: BSD-3-Clause
"""What an evaluation sets up: settings of its datapath, and the topology of a point."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from pydpdk_defer.evaluate.axes import Policy
from pydpdk_defer.topology import Topology

__all__ = ["Setup", "topology"]

# Counts looks, not time: a copying thread that shares its CPU with the guest may be off it for milliseconds.
_ATTEMPTS = 2**31


class Setup(BaseModel):
    """What does not change in an evaluation. `devices`: tables of a topology's `dma`; `core`: of the PMD thread."""

    devices: Mapping[str, Mapping[str, Any]]
    largest_frame: int
    core: int
    folder: str
    memory_mb: int
    hugepages: bool
    pci: bool
    vhost_counters: bool = False


def topology(setup: Setup, queues: int, policy: Policy, device: str) -> Topology:
    """The topology of points that differ in frames and burst alone; of the sockets' folder each has one."""
    source, guest = f"src{queues}", f"vm{queues}-{device}"
    kind, _, paced = policy.partition("+")
    largest = setup.largest_frame
    return Topology.from_dict(
        {
            "eal": {"memory_mb": setup.memory_mb, "hugepages": setup.hugepages, "pci": setup.pci},
            "dma": setup.devices,
            "port": {
                source: {"kind": "generator", "frame_size": largest, "queues": queues},
                guest: {
                    "kind": "vhost",
                    "socket": f"{setup.folder}/{guest}.sock",
                    "queues": queues,
                    "copy": "cpu",
                    "dma": [device],
                    "vhost_counters": setup.vhost_counters,
                },
            },
            "pmd": [{"core": setup.core, "rxqs": [f"{source}:{qid}" for qid in range(queues)]}],
            "deferral": {"policy": kind, "paced": bool(paced), "attempt_limit": _ATTEMPTS},
            "forward": {"wires": [[source, guest]]},
        }
    )
