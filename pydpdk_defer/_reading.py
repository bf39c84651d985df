# SPDX-License-Identifier: BSD-3-Clause
"""Reads a running datapath's counters into a snapshot."""

from collections.abc import Mapping
from typing import Any

from pydpdk_defer import _native
from pydpdk_defer._building import View
from pydpdk_defer._loading import dpdk_compiled, dpdk_loaded
from pydpdk_defer.stats import Dma, Eal, Mempool, Pmd, PortCounters, Rxq, Snapshot, Times, Txq

__all__ = ["VhostCounters", "read_snapshot", "read_vhost_counters"]

VhostCounters = Mapping[str, Mapping[str, int]]


def read_snapshot(
    view: View, *, hugepages: bool, seconds: float, vhost_counters: Mapping[str, VhostCounters], is_final: bool
) -> Snapshot:
    """All counters, now. `is_final`: no thread uses the mempools any more, which are looked through then."""
    return Snapshot(
        seconds=seconds,
        tsc_hz=_native.tsc_hz(),
        pmds=tuple(_pmd(thread.stats()) for thread in view.pmds),
        ports={name: _port(view, name, vhost_counters.get(name, {})) for name in view.ports},
        mempools={
            pool.name: Mempool(pool.size, pool.available, pool.count_repeated() if is_final else 0)
            for pool in view.pools
        },
        dma={name: _dma(view, name) for name in view.dma},
        eal=Eal(dpdk_compiled(), dpdk_loaded(), hugepages),
    )


def _dma(view: View, name: str) -> Dma:
    device = view.dma[name]
    counters: dict[str, Any] = {**device.stats()}
    model = view.topology.dma[name].model
    if model is not None and name in view.models:
        counters |= {"modelled": True, "model": model.summary, **view.models[name].stats()}
    return Dma(device.device, device.driver, device.is_hardware, device.out_of_use, **counters)


def read_vhost_counters(port: _native.VhostPort) -> VhostCounters:
    """librte_vhost's own counters of each queue's present guest; see `Datapath.vhost_counters`."""
    counters = {f"rxq {qid}": dict(port.rxq_counters(qid)) for qid in range(port.rxq_count)}
    return counters | {f"txq {qid}": dict(port.txq_counters(qid)) for qid in range(port.txq_count)}


def _port(view: View, name: str, vhost_counters: VhostCounters) -> PortCounters:
    port = view.ports[name]
    vhost = port if isinstance(port, _native.VhostPort) else None
    return PortCounters(
        kind=view.topology.port[name].kind,
        copy=vhost.copy if vhost else None,
        guest_connects=vhost.connects if vhost else 0,
        guest_disconnects=vhost.disconnects if vhost else 0,
        guest_failures=vhost.failures if vhost else 0,
        rxqs=tuple(_rxq(port.rxq_stats(qid)) for qid in range(port.rxq_count)),
        txqs=tuple(_txq(view, name, qid) for qid in range(port.txq_count)),
        vhost_counters=vhost_counters,
    )


def _pmd(counters: dict[str, Any]) -> Pmd:
    return Pmd(**counters | {"recent_busy_cycles": tuple(counters["recent_busy_cycles"])})


def _rxq(counters: dict[str, Any]) -> Rxq:
    return Rxq(**counters | {"recent_cycles": tuple(counters["recent_cycles"])})


def _txq(view: View, port: str, qid: int) -> Txq:
    """With the packets that were on their way to it from other threads, and did not get there."""
    counters = view.ports[port].txq_stats(qid)
    handoff = view.handoffs.get((port, qid))
    dropped = view.handoff_drops.get((port, qid), 0) + (handoff.dropped if handoff else 0)
    drops = counters["drops"] | {"handoff_full": dropped}
    waiting = handoff.waiting if handoff else 0
    times = Times(counters["in_flight_time"])
    return Txq(**counters | {"in_flight_time": times, "drops": drops, "waiting": waiting})
