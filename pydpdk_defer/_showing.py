# SPDX-License-Identifier: BSD-3-Clause
"""Lets the telemetry socket show a datapath; the answers themselves are made without the interpreter."""

from pydpdk_defer import _native
from pydpdk_defer._building import Parts
from pydpdk_defer.topology import Topology

__all__ = ["show"]


def show(parts: Parts, topology: Topology, *, hugepages: bool, seconds_up: float) -> None:
    """From now on `/pydpdk_defer/...` tell about these parts."""
    core_of = {(port, qid): core for core, pmd in parts.plan.pmds.items() for port, qid, _ in pmd.inputs}
    _native.telemetry_show(
        seconds_up=seconds_up,
        hugepages=hugepages,
        pmds=list(parts.pmds.values()),
        ports=[
            (port, topology.port[name].kind, [core_of.get((name, qid), -1) for qid in range(port.rxq_count)])
            for name, port in parts.ports.items()
        ],
        handoffs=[
            (parts.ports[port], qid, parts.handoffs.get((port, qid)), parts.handoff_drops[port, qid])
            for port, qid in {*parts.handoffs, *parts.handoff_drops}
            if port in parts.ports
        ],
        dma=[
            (device, parts.models.get(name), model.summary if (model := topology.dma[name].model) else "")
            for name, device in parts.dma.items()
        ],
        mempools=list(parts.pools),
        **topology.deferral.model_dump(),
    )
