# SPDX-License-Identifier: BSD-3-Clause
"""Builds the parts of a datapath from a topology, in the order in which each needs the ones before it."""

import itertools
import math
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydpdk_defer import _native
from pydpdk_defer._frame_sizes import schedule
from pydpdk_defer.capture import Capture
from pydpdk_defer.errors import EalError
from pydpdk_defer.plan import CONTROL, PMD_THREADS_MAX, Circumstances, Output, Plan, PmdPlan, make_plan
from pydpdk_defer.topology import EthdevPort, ForwardOptions, GeneratorPort, Port, Topology, VhostPort

__all__ = ["Parts", "View", "add_ports", "build", "set_bridge", "set_handoffs", "set_sinks"]

_MBUFS_IN_CACHE = 512  # of one thread, at most
_MBUFS_IN_FLIGHT = 1024  # of one vhost txq: a vring of the usual sizes, full
_MBUFS_AT_HAND = 2048
_USUAL_DATA_ROOM = 2048  # what drivers count on that receive into buffers of a size of their own (net_af_packet)


@dataclass(frozen=True)
class Tap:
    """Where copies of a port's packets go, of which directions, and who reads them, if somebody still does."""

    capture: _native.Capture
    rx: bool
    tx: bool
    reader: weakref.ref[Capture]


@dataclass(frozen=True)
class View:
    """What a snapshot reads: a topology, and the parts built from it, after the last change."""

    topology: Topology
    pools: tuple[_native.Mempool, ...]
    dma: Mapping[str, _native.DmaDevice]
    models: Mapping[str, _native.DmaModel]
    ports: Mapping[str, _native.Port]
    pmds: tuple[_native.PmdThread, ...]
    handoffs: Mapping[tuple[str, int], _native.HandoffPort]
    handoff_drops: Mapping[tuple[str, int], int]


@dataclass
class Parts:
    """What a running datapath consists of."""

    pools: list[_native.Mempool] = field(default_factory=list)
    dma: dict[str, _native.DmaDevice] = field(default_factory=dict)
    models: dict[str, _native.DmaModel] = field(default_factory=dict)  # of the modelled ones of dma
    ports: dict[str, _native.Port] = field(default_factory=dict)
    pool_of: dict[str, _native.Mempool] = field(default_factory=dict)  # by port
    pmds: dict[int, _native.PmdThread] = field(default_factory=dict)  # by core
    plan: Plan = field(default_factory=lambda: Plan({}))
    planned_for: Circumstances = field(default_factory=Circumstances)
    streams: int = 0  # of generators so far: each queue makes one of its own
    handoffs: dict[tuple[str, int], _native.HandoffPort] = field(default_factory=dict)  # by port and txq
    relays: dict[tuple[str, int], _native.RelayPort] = field(default_factory=dict)  # the same
    handoff_drops: Counter[tuple[str, int]] = field(default_factory=Counter)  # of handoffs that are no more
    bridge: _native.Bridge | None = None
    bridge_ports: dict[str, int] = field(default_factory=dict)  # the bridge's numbers of ports
    injected: frozenset[str] = frozenset()  # ports that the control side sends to
    captures: dict[str, Tap] = field(default_factory=dict)  # by port
    readers: weakref.WeakSet[Capture] = field(default_factory=weakref.WeakSet)  # they hold memory of this
    capture_numbers: Iterator[int] = field(default_factory=itertools.count)

    def view(self, topology: Topology) -> View:
        """The present parts, built from `topology`."""
        return View(
            topology,
            tuple(self.pools),
            dict(self.dma),
            dict(self.models),
            dict(self.ports),
            tuple(self.pmds.values()),
            dict(self.handoffs),
            Counter(self.handoff_drops),
        )

    def forget_port(self, name: str) -> None:
        """Let go of a port that is closed."""
        del self.ports[name], self.pool_of[name]
        number = self.bridge_ports.pop(name, None)
        if self.bridge is not None and number is not None:
            self.bridge.forget(number)
        self.injected -= {name}
        self.captures.pop(name, None)

    def circumstances(self) -> Circumstances:
        """What a plan depends on besides the topology, now."""
        vhosts = {name: port for name, port in self.ports.items() if isinstance(port, _native.VhostPort)}
        usable = {name: tuple(port.usable_txqs) for name, port in vhosts.items()}
        return Circumstances(
            channels={name: device.channels for name, device in self.dma.items()},
            dma_nodes={name: device.numa_node for name, device in self.dma.items() if device.numa_node >= 0},
            port_nodes={name: port.numa_node for name, port in vhosts.items() if port.numa_node >= 0},
            usable_txqs={name: qids for name, qids in usable.items() if 0 < len(qids) < vhosts[name].txq_count},
            injected=self.injected,
        )

    def work_of(self, pmd: PmdPlan) -> dict[str, Any]:
        """What a thread does by this plan, as the native side takes it."""
        numbers = self.bridge_ports if pmd.bridged else {}
        inputs = [
            (
                self.ports[port],
                qid,
                -1 if output is None else pmd.outputs.index(output),
                numbers.get(port, -1),
                tap.capture if (tap := self.captures.get(port)) and tap.rx else None,
            )
            for port, qid, output in pmd.inputs
        ]
        ways_in = [(self.handoffs, output) for output in pmd.handoffs] + [
            (self.relays, output) for output in pmd.relays
        ]
        inputs += [(ways[output.txq], 0, pmd.outputs.index(output), -1, None) for ways, output in ways_in]
        return {
            "outputs": [self.native_output(output, numbers) for output in pmd.outputs],
            "inputs": inputs,
            "bridge": self.bridge if pmd.bridged else None,
            "tx_flush_interval_us": pmd.tx_flush_interval_us,
            "sleep_max_us": pmd.sleep_max_us,
            "perf_metrics": pmd.perf_metrics,
        }

    def native_output(self, output: Output, bridge_ports: Mapping[str, int]) -> "_native._Output":
        """A txq, or the way to its owner; what is handed over is captured where it leaves."""
        number = bridge_ports.get(output.port, -1)
        if output.sender == CONTROL:
            return self.relays[output.txq], 0, [], number, None
        if output.sender is not None:
            return self.handoffs[output.txq], output.sender, [], number, None
        tap = self.captures.get(output.port)
        channels = [(self.dma[c.dma], c.index) for c in output.channels]
        return self.ports[output.port], output.qid, channels, number, tap.capture if tap and tap.tx else None

    def release(self) -> None:
        """Let go of devices and memory. Threads are stopped and ports closed."""
        self.pmds.clear()
        for reader in self.readers:
            reader.part_from_datapath()
        for tap in self.captures.values():
            tap.capture.release()
        for handoff in self.handoffs.values():
            handoff.free()
        self.handoffs.clear()
        self.relays.clear()
        self.ports.clear()
        for device in self.dma.values():
            device.stop()
        for pool in self.pools:
            pool.free()


def build(topology: Topology, parts: Parts) -> None:
    """Fill `parts`; what was built before an error is in it. PMD threads are made, not started."""
    for name, device in topology.dma.items():
        parts.dma[name] = _native.DmaDevice(name=name, spec=device.device, ring_size=device.ring_size)
        if device.model is not None:
            parts.models[name] = _native.DmaModel(parts.dma[name], device.model.model_dump())
    add_ports(topology, topology.port, parts)
    parts.planned_for = parts.circumstances()
    parts.plan = make_plan(topology, parts.planned_for)
    set_sinks(parts, parts.plan)
    set_bridge(parts, topology)
    set_handoffs(parts, parts.plan)
    deferral = topology.deferral.model_dump()
    for core, pmd in parts.plan.pmds.items():
        parts.pmds[core] = _native.PmdThread(core=core, **parts.work_of(pmd), **deferral)


def add_ports(topology: Topology, ports: Mapping[str, Port], parts: Parts) -> None:
    """Make ports of the topology, on a mempool for all of them; a vhost port is open then."""
    if not ports:
        return
    pool = _mempool(topology, ports, parts)
    for name, options in ports.items():
        port = parts.ports[name] = _make_port(name, options, pool, parts)
        parts.pool_of[name] = pool
        if isinstance(port, _native.VhostPort):
            port.open()


def set_sinks(parts: Parts, plan: Plan) -> None:
    """Give every generator a txq for each thread that sends to it by this plan."""
    for name, count in plan.sinks.items():
        port = parts.ports[name]
        assert isinstance(port, _native.GeneratorPort)
        port.set_sinks(count)


def set_bridge(parts: Parts, topology: Topology, former: ForwardOptions | None = None) -> None:
    """What l2 forwarding learns in, new when it is to be another than before; every port has a number there."""
    options = topology.forward
    if options.kind == "l2" and (parts.bridge is None or options != former):
        parts.bridge = _native.Bridge(addresses=options.mac_table_size, ageing_seconds=options.mac_ageing_s)
    for name in topology.port:
        if name not in parts.bridge_ports:
            taken = set(parts.bridge_ports.values())
            parts.bridge_ports[name] = next(number for number in itertools.count() if number not in taken)


def set_handoffs(parts: Parts, plan: Plan) -> None:
    """Make those of the plan that are not there yet."""
    for port, qid in sorted(plan.handoffs - set(parts.handoffs)):
        parts.handoffs[port, qid] = _native.HandoffPort(name=f"{port}:{qid}", senders=PMD_THREADS_MAX)
    for port, qid in plan.relays - set(parts.relays):
        parts.relays[port, qid] = _native.RelayPort(name=f"{port}:{qid}")


def _mempool(topology: Topology, ports: Mapping[str, Port], parts: Parts) -> _native.Mempool:
    """One that ports left behind and that has all its mbufs back, or a new one."""
    mbufs = mbufs_needed(len(topology.pmd), ports.values())
    data_room_bytes = max(_USUAL_DATA_ROOM, topology.largest_frame)
    for pool in parts.pools:
        is_left = pool not in parts.pool_of.values() and pool.available == pool.size
        if is_left and pool.size >= mbufs and pool.data_room_bytes >= data_room_bytes:
            return pool
    try:
        parts.pools.append(_native.Mempool(f"mbufs{len(parts.pools) or ''}", mbufs, data_room_bytes))
    except EalError as error:
        text = f"eal.memory_mb = {topology.eal.memory_mb}: {error.strerror}"
        raise EalError(text, error.errno, error.hint) from error
    return parts.pools[-1]


def mbufs_needed(threads: int, ports: Iterable[Port]) -> int:
    """Mbufs that all rings and caches can hold at once, and some: one less than a power of two suits the pool."""
    count = _MBUFS_AT_HAND + _MBUFS_IN_CACHE * (threads + 1)
    for port in ports:
        if isinstance(port, EthdevPort):
            count += port.queues * (port.rx_ring_size + port.tx_ring_size)
        elif isinstance(port, VhostPort):
            count += port.queues * _MBUFS_IN_FLIGHT
    return int(2 ** math.ceil(math.log2(count + 1))) - 1


def _make_port(name: str, port: Port, pool: _native.Mempool, parts: Parts) -> _native.Port:
    if isinstance(port, GeneratorPort):
        parts.streams += port.queues
        return _native.GeneratorPort(
            name=name,
            queues=port.queues,
            first_stream=parts.streams - port.queues,
            frame_sizes=schedule(port.frame_size),
            rate_pps=port.rate_pps,
            burst=port.burst,
            pattern=port.pattern,
            src_mac=port.src_mac,
            dst_mac=port.dst_mac,
            pool=pool,
        )
    if isinstance(port, EthdevPort):
        return _native.EthdevPort(
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
        )
    return _native.VhostPort(
        name=name,
        socket=port.socket,
        client=port.mode == "client",
        queues=port.queues,
        dma=bool(port.dma or port.dma_by_queue),
        copy=port.copy_,
        dma_min_bytes=port.dma_min_bytes,
        wedge_timeout_ms=port.wedge_timeout_ms,
        tx_retries_max=port.tx_retries_max,
        vhost_counters=port.vhost_counters,
        pool=pool,
    )
