# SPDX-License-Identifier: BSD-3-Clause
"""Builds the parts of a datapath from a topology, in the order in which each needs the ones before it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydpdk_defer import _native
from pydpdk_defer._frame_sizes import schedule
from pydpdk_defer.errors import EalError
from pydpdk_defer.plan import Plan, PmdPlan, make_plan
from pydpdk_defer.topology import DeferralOptions, EthdevPort, GeneratorPort, Topology, VhostPort

__all__ = ["Parts", "build"]

_MBUFS_IN_CACHE = 512  # of one thread, at most
_MBUFS_IN_FLIGHT = 1024  # of one vhost txq: a vring of the usual sizes, full
_MBUFS_AT_HAND = 2048
_USUAL_DATA_ROOM = 2048  # what drivers count on that receive into buffers of a size of their own (net_af_packet)


@dataclass
class Parts:
    """What a running datapath consists of."""

    pools: list[_native.Mempool] = field(default_factory=list)
    dma: dict[str, _native.DmaDevice] = field(default_factory=dict)
    models: dict[str, _native.DmaModel] = field(default_factory=dict)  # of the modelled ones of dma
    ports: dict[str, _native.Port] = field(default_factory=dict)
    pmds: list[_native.PmdThread] = field(default_factory=list)
    plan: Plan | None = None

    def start_traffic(self, packets: int) -> None:
        """Open the sources."""
        for port in self.ports.values():
            if isinstance(port, _native.GeneratorPort):
                port.start_traffic(packets)
            elif isinstance(port, _native.EthdevPort):
                port.start_traffic()

    def stop_traffic(self) -> None:
        """Close the sources."""
        for port in self.ports.values():
            if isinstance(port, _native.GeneratorPort | _native.EthdevPort):
                port.stop_traffic()

    def finished(self, received: int, packets: int) -> bool:
        """Have all generators made their frames; without one, were so many packets received?"""
        generators = [port for port in self.ports.values() if isinstance(port, _native.GeneratorPort)]
        return all(port.finished for port in generators) if generators else received >= packets

    def queues_of(self, pmd: PmdPlan) -> dict[str, Any]:
        """A thread's queues as the native side takes them."""
        return {
            "inputs": [(self.ports[port], qid, output) for port, qid, output in pmd.inputs],
            "outputs": [(self.ports[port], qid) for port, qid in pmd.outputs],
        }

    def set_deferral(self, options: DeferralOptions) -> None:
        """Have all threads do what they have deferred, and work by other rules from then on."""
        if self.plan is None:
            return
        for thread, pmd in zip(self.pmds, self.plan.pmds, strict=True):
            thread.reload(**self.queues_of(pmd), **options.model_dump())

    def release(self) -> None:
        """Let go of devices and memory. Threads are stopped and ports closed."""
        self.pmds.clear()
        self.ports.clear()
        for device in self.dma.values():
            device.stop()
        for pool in self.pools:
            pool.free()


def build(topology: Topology, parts: Parts) -> None:
    """Fill `parts`; what was built before an error is in it. PMD threads are made, not started."""
    plan = make_plan(topology)
    parts.pools.append(_mempool(topology))
    for name, device in topology.dma.items():
        parts.dma[name] = _native.DmaDevice(
            name=name,
            spec=device.device,
            ring_size=device.ring_size,
            channels=max(1, len(plan.dma_cores[name])),
        )
        if device.model is not None:
            parts.models[name] = _native.DmaModel(parts.dma[name], device.model.model_dump())
    for name, port in _ports(topology, plan, parts):
        parts.ports[name] = port
        if isinstance(port, _native.VhostPort):
            port.open()
    parts.plan = plan
    parts.pmds += [
        _native.PmdThread(core=pmd.core, **parts.queues_of(pmd), **topology.deferral.model_dump()) for pmd in plan.pmds
    ]


def _mempool(topology: Topology) -> _native.Mempool:
    data_room_bytes = max(_USUAL_DATA_ROOM, topology.largest_frame)
    try:
        return _native.Mempool("mbufs", mbufs_needed(topology), data_room_bytes)
    except EalError as error:
        text = f"eal.memory_mb = {topology.eal.memory_mb}: {error.strerror}"
        raise EalError(text, error.errno, error.hint) from error


def mbufs_needed(topology: Topology) -> int:
    """Mbufs that all rings and caches can hold at once, and some: one less than a power of two suits the pool."""
    count = _MBUFS_AT_HAND + _MBUFS_IN_CACHE * (len(topology.pmd) + 1)
    for port in topology.port.values():
        if isinstance(port, EthdevPort):
            count += port.queues * (port.rx_ring_size + port.tx_ring_size)
        elif isinstance(port, VhostPort):
            count += port.queues * _MBUFS_IN_FLIGHT
    return int(2 ** math.ceil(math.log2(count + 1))) - 1


def _ports(topology: Topology, plan: Plan, parts: Parts) -> Iterator[tuple[str, _native.Port]]:
    pool = parts.pools[0]
    stream = 0
    for name, port in topology.port.items():
        if isinstance(port, GeneratorPort):
            yield (
                name,
                _native.GeneratorPort(
                    name=name,
                    queues=port.queues,
                    sink_queues=plan.sinks.get(name, 0),
                    first_stream=stream,
                    frame_sizes=schedule(port.frame_size),
                    rate_pps=port.rate_pps,
                    burst=port.burst,
                    pattern=port.pattern,
                    src_mac=port.src_mac,
                    dst_mac=port.dst_mac,
                    pool=pool,
                ),
            )
            stream += port.queues
        elif isinstance(port, EthdevPort):
            yield (
                name,
                _native.EthdevPort(
                    name=name,
                    device=port.device,
                    queues=port.queues,
                    rx_ring_size=port.rx_ring_size,
                    tx_ring_size=port.tx_ring_size,
                    mtu=port.mtu,
                    promiscuous=port.promiscuous,
                    async_=port.async_,
                    rate_pps=port.rate_pps,
                    pool=pool,
                ),
            )
        else:
            yield (
                name,
                _native.VhostPort(
                    name=name,
                    socket=port.socket,
                    client=port.mode == "client",
                    queues=port.queues,
                    copy=port.copy_,
                    channels=[[(parts.dma[c.dma], c.index) for c in of_txq] for of_txq in plan.channels.get(name, ())],
                    wedge_timeout_ms=port.wedge_timeout_ms,
                    pool=pool,
                ),
            )
