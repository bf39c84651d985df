# SPDX-License-Identifier: BSD-3-Clause
"""Reads a running datapath's counters into a snapshot."""

from collections.abc import Mapping
from typing import Any

from pydpdk_defer import _native
from pydpdk_defer._building import Parts
from pydpdk_defer._loading import dpdk_compiled, dpdk_loaded
from pydpdk_defer.stats import Dma, Eal, Mempool, Pmd, PortCounters, Rxq, Snapshot, Times, Txq
from pydpdk_defer.topology import DmaModel, Topology

__all__ = ["read_snapshot"]


def read_snapshot(
    parts: Parts, topology: Topology, models: Mapping[str, DmaModel], hugepages: bool, seconds: float
) -> Snapshot:
    """All counters, now. `models`: those that are laid over DMA devices, by the devices' names."""
    return Snapshot(
        seconds=seconds,
        tsc_hz=_native.tsc_hz(),
        pmds=tuple(Pmd(**thread.stats()) for thread in parts.pmds.values()),
        ports={name: _port(port, topology.port[name].kind) for name, port in parts.ports.items()},
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


def _port(port: _native.Port, kind: str) -> PortCounters:
    vhost = port if isinstance(port, _native.VhostPort) else None
    return PortCounters(
        kind=kind,
        copy=vhost.copy if vhost else None,
        guest_connects=vhost.connects if vhost else 0,
        guest_disconnects=vhost.disconnects if vhost else 0,
        rxqs=tuple(Rxq(**port.rxq_stats(qid)) for qid in range(port.rxq_count)),
        txqs=tuple(_txq(port.txq_stats(qid)) for qid in range(port.txq_count)),
    )


def _txq(counters: dict[str, Any]) -> Txq:
    return Txq(**counters | {"in_flight_time": Times(counters["in_flight_time"])})
