# SPDX-License-Identifier: BSD-3-Clause
"""Reads a running datapath's counters into a snapshot."""

from collections.abc import Mapping
from typing import Any

from pydpdk_defer import _native
from pydpdk_defer._building import Parts
from pydpdk_defer._loading import dpdk_compiled, dpdk_loaded
from pydpdk_defer.stats import Dma, Eal, Mempool, Pmd, PortCounters, Rxq, Snapshot, Times, Txq
from pydpdk_defer.topology import DmaModel, Topology

__all__ = ["VhostCounters", "read_snapshot", "read_vhost_counters"]

VhostCounters = Mapping[str, Mapping[str, int]]


def read_snapshot(
    parts: Parts,
    topology: Topology,
    models: Mapping[str, DmaModel],
    hugepages: bool,
    seconds: float,
    vhost_counters: Mapping[str, VhostCounters],
) -> Snapshot:
    """All counters, now. `models`: those that are laid over DMA devices, by the devices' names."""
    return Snapshot(
        seconds=seconds,
        tsc_hz=_native.tsc_hz(),
        pmds=tuple(_pmd(thread.stats()) for thread in parts.pmds.values()),
        ports={
            name: _port(parts, name, topology.port[name].kind, vhost_counters.get(name, {})) for name in parts.ports
        },
        mempools={pool.name: Mempool(pool.size, pool.available) for pool in parts.pools},
        dma={name: _dma(parts, name, models) for name in parts.dma},
        eal=Eal(dpdk_compiled(), dpdk_loaded(), hugepages),
    )


def _dma(parts: Parts, name: str, models: Mapping[str, DmaModel]) -> Dma:
    device = parts.dma[name]
    counters: dict[str, Any] = {**device.stats()}
    if name in parts.models:
        counters |= {"modelled": True, "model": models[name].summary, **parts.models[name].stats()}
    return Dma(device.device, device.driver, device.is_hardware, device.out_of_use, **counters)


def read_vhost_counters(port: _native.VhostPort) -> VhostCounters:
    """librte_vhost's own counters of each queue's present guest; see `Datapath.vhost_counters`."""
    counters = {f"rxq {qid}": dict(port.rxq_counters(qid)) for qid in range(port.rxq_count)}
    return counters | {f"txq {qid}": dict(port.txq_counters(qid)) for qid in range(port.txq_count)}


def _port(parts: Parts, name: str, kind: str, vhost_counters: VhostCounters) -> PortCounters:
    port = parts.ports[name]
    vhost = port if isinstance(port, _native.VhostPort) else None
    return PortCounters(
        kind=kind,
        copy=vhost.copy if vhost else None,
        guest_connects=vhost.connects if vhost else 0,
        guest_disconnects=vhost.disconnects if vhost else 0,
        guest_failures=vhost.failures if vhost else 0,
        rxqs=tuple(_rxq(port.rxq_stats(qid)) for qid in range(port.rxq_count)),
        txqs=tuple(_txq(parts, name, qid) for qid in range(port.txq_count)),
        vhost_counters=vhost_counters,
    )


def _pmd(counters: dict[str, Any]) -> Pmd:
    return Pmd(**counters | {"recent_busy_cycles": tuple(counters["recent_busy_cycles"])})


def _rxq(counters: dict[str, Any]) -> Rxq:
    return Rxq(**counters | {"recent_cycles": tuple(counters["recent_cycles"])})


def _txq(parts: Parts, port: str, qid: int) -> Txq:
    """With the packets that were on their way to it from other threads, and did not get there."""
    counters = parts.ports[port].txq_stats(qid)
    handoff = parts.handoffs.get((port, qid))
    dropped = parts.handoff_drops[port, qid] + (handoff.dropped if handoff else 0)
    drops = counters["drops"] | {"handoff_full": dropped}
    waiting = handoff.waiting if handoff else 0
    times = Times(counters["in_flight_time"])
    return Txq(**counters | {"in_flight_time": times, "drops": drops, "waiting": waiting})
