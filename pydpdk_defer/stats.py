# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots of a datapath's counters, and the difference between two.

A field has one name everywhere: as an attribute, as a key (`snapshot["pmds"][0]["iterations"]`), and in JSON.
A difference holds what counters grew by, and for levels (in flight, quarantined, mempools) the later value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydpdk_defer._records import Record, Times, plain

__all__ = [
    "Dma",
    "Eal",
    "Mempool",
    "Pmd",
    "PortCounters",
    "Rxq",
    "Snapshot",
    "Times",
    "Txq",
]


@dataclass(frozen=True)
class Pmd(Record):
    """A PMD thread. Cycles are TSC cycles; packets received, and handed to a port without being dropped there.

    Of `busy_cycles`, `wasted_cycles` were spent in sends and checks that moved nothing, and of these
    `wasted_send_cycles` in sends; both are 0 without `perf_metrics`. `sleep_cycles` are neither idle nor busy.
    `handed_over`: packets given to the threads that own their txqs. By l2 forwarding `flooded` are copies of packets
    that went to every other port, `filtered` packets whose way led back. `longest_stall_us`: the longest time, since
    the start, between two turns of its loop, whatever kept it: a wait for sends in progress, a lock of vhost's, the
    operating system. `recent_busy_cycles`: busy ones in the last minute, in whole steps of 5 s, oldest first.
    """

    levels = frozenset({"core", "longest_stall_us", "recent_busy_cycles"})
    identity = "core"

    core: int
    iterations: int
    busy_iterations: int
    idle_cycles: int
    busy_cycles: int
    wasted_cycles: int
    wasted_send_cycles: int
    sleep_iterations: int
    sleep_cycles: int
    rx_packets: int
    tx_packets: int
    tx_batches: int
    handed_over: int
    flooded: int
    filtered: int
    unwired_drops: int
    work_deferred: int
    work_in_progress: int
    work_ring_full: int
    work_done: int
    work_dropped: int
    longest_stall_us: float
    recent_busy_cycles: tuple[int, ...]


@dataclass(frozen=True)
class Rxq(Record):
    """A receive queue.

    `no_mbufs` counts polls that found no free mbuf, `rate_missed` packets that were due by the rate asked for and
    that the thread was too late to make. `processing_cycles` were spent in polls that brought packets and in sends of
    these, `deferred_cycles` in checks of their sends in progress: of each send and check the part that its packets
    were of the batch. `recent_cycles`: both of these in the last minute, in whole steps of 5 s, oldest first.
    """

    levels = frozenset({"recent_cycles"})

    packets: int
    bytes: int
    batches: int
    no_mbufs: int
    rate_missed: int
    processing_cycles: int
    deferred_cycles: int
    recent_cycles: tuple[int, ...]


@dataclass(frozen=True)
class Txq(Record):
    """A transmit queue: `submitted` = `completed` + `in_flight` + `given_up`, in packets.

    `completed` packets reached the guest. `given_up` packets are no longer waited for: those in `quarantined` are
    still with the engine, and move to `completed` and `late_completions` when it completes them; the others are
    lost. So the difference of two snapshots may have a negative `given_up`. `wedges`: times that the engine handed
    nothing back for so long that its device was taken out of use. `retries`: times that the rest of a batch was
    tried again. With `copy = "auto"`: `engine_changes` from one engine to the other, and `dma_min_bytes`, the mean
    size from which on DMA costs less, 0 when that is not known. `submit_cycles` were spent in sends that the far
    side took something of, `complete_cycles` in checks that brought completions back, `wasted_cycles` in sends and
    checks that moved nothing. `waiting` packets are on their way to it from threads that do not own it.
    `in_flight_time`: of each batch that was in progress, from its submit to the check that brought its last packet
    back.
    """

    levels = frozenset({"in_flight", "quarantined", "dma_min_bytes", "waiting"})

    submitted: int
    completed: int
    in_flight: int
    given_up: int
    quarantined: int
    late_completions: int
    wedges: int
    batches: int
    retries: int
    bytes_by_engine: Mapping[str, int]
    engine_changes: int
    dma_min_bytes: int
    drops: Mapping[str, int]
    submit_cycles: int
    complete_cycles: int
    wasted_cycles: int
    waiting: int
    in_flight_time: Times


@dataclass(frozen=True)
class PortCounters(Record):
    """A port with its queues. `copy`: who moves the bytes of a vhost port now ("dma", "cpu" or "auto"), else `None`.

    `guest_failures`: connections that ended before they were a guest that is served, or by a message that was
    refused. `vhost_counters`: librte_vhost's own of the present guest, as `Datapath.vhost_counters` gives them,
    where the port's table asks for them. Empty while the datapath runs, since they lie under locks of the data
    path; the final figures have them.
    """

    levels = frozenset({"kind", "copy", "vhost_counters"})

    kind: str
    copy: str | None
    guest_connects: int
    guest_disconnects: int
    guest_failures: int
    rxqs: tuple[Rxq, ...]
    txqs: tuple[Txq, ...]
    vhost_counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Mempool(Record):
    """A pool of mbufs: how many it has, and how many are free (exact while nothing runs).

    `repeated`: mbufs that are free more than once, as somebody freed them twice; looked for in the final figures only.
    """

    levels = frozenset({"size", "available", "repeated"})

    size: int
    available: int
    repeated: int = 0


@dataclass(frozen=True)
class Dma(Record):
    """A DMA device and its own counters, in copies.

    `is_hardware` is false for software that plays one; `out_of_use`: it did not finish a copy, and was stopped.
    `modelled`: what its users saw was made by a model laid over it; `model` says which in few words, and
    `model_changes` how often it was another. What the model did, on top of the device's own counters: copies
    that stalled the device, times that it declared the ring full, copies that it made fail. `late_copies` took
    the device longer than the model's latency and bandwidth say: then it is too slow for this model.
    """

    levels = frozenset({"device", "driver", "is_hardware", "out_of_use", "modelled", "model"})

    device: str
    driver: str
    is_hardware: bool
    out_of_use: bool
    submitted: int
    completed: int
    errors: int
    modelled: bool = False
    model: str = ""
    model_changes: int = 0
    stalls_injected: int = 0
    fulls_injected: int = 0
    errors_injected: int = 0
    late_copies: int = 0

    @property
    def origin(self) -> str:
        """Whose figures these are: "software: dma_skeleton, modelled: 30 GB/s, 2 us"."""
        kind = f"{'hardware' if self.is_hardware else 'software'}: {self.driver or self.device}"
        return f"{kind}, modelled: {self.model_history}" if self.modelled else kind

    @property
    def model_history(self) -> str:
        """The model, and whether it was another before: "30 GB/s, 2 us, changed once"."""
        changes = self.model_changes
        return self.model + (f", changed {'once' if changes == 1 else f'{changes} times'}" if changes else "")


@dataclass(frozen=True)
class Eal(Record):
    """DPDK: compiled against and loaded, and whether memory is in hugepages."""

    levels = frozenset({"dpdk_compiled", "dpdk_loaded", "hugepages"})

    dpdk_compiled: str
    dpdk_loaded: str
    hugepages: bool


@dataclass(frozen=True)
class Snapshot(Record):
    """Everything that is counted, at one time. `seconds`: since the datapath came up, or between two snapshots."""

    levels = frozenset({"tsc_hz"})

    seconds: float
    tsc_hz: int
    pmds: tuple[Pmd, ...]
    ports: Mapping[str, PortCounters]
    mempools: Mapping[str, Mempool]
    dma: Mapping[str, Dma]
    eal: Eal

    def to_dict(self) -> dict[str, Any]:
        """The same as dictionaries and lists, ready for JSON."""
        return cast(dict[str, Any], plain(self))

    def rxqs(self) -> Iterator[tuple[str, int, Rxq]]:
        """Each receive queue with its port's name and its number."""
        for name, port in self.ports.items():
            for qid, rxq in enumerate(port.rxqs):
                yield name, qid, rxq

    def txqs(self) -> Iterator[tuple[str, int, Txq]]:
        """Each transmit queue with its port's name and its number."""
        for name, port in self.ports.items():
            for qid, txq in enumerate(port.txqs):
                yield name, qid, txq

    def faults(self, *, stopped: bool = False) -> list[str]:
        """What contradicts itself: one sentence each, empty when the books balance.

        With `stopped`, for a datapath that has ended, nothing may be in flight and every mempool must be full.
        """
        found = []
        for name, qid, txq in self.txqs():
            accounted = txq.completed + txq.in_flight + txq.given_up
            if txq.submitted != accounted:
                found.append(
                    f"port {name} txq {qid}: submitted {txq.submitted} packets, but completed, in flight and given up "
                    f"are {accounted}"
                )
            if stopped and txq.in_flight:
                found.append(f"port {name} txq {qid}: {txq.in_flight} packets are still in flight")
        found += [
            f"dma {name}: {dma.device} did not finish a copy in time: it was stopped, and its packets are given up"
            for name, dma in self.dma.items()
            if dma.out_of_use
        ]
        if stopped:
            found += [
                f"mempool {name}: {pool.size - pool.available} of {pool.size} mbufs did not come back"
                for name, pool in self.mempools.items()
                if pool.available != pool.size
            ]
            found += [
                f"mempool {name}: {pool.repeated} mbufs were freed twice"
                for name, pool in self.mempools.items()
                if pool.repeated
            ]
        return found

    def __str__(self) -> str:
        from pydpdk_defer._stats_text import table

        return table(self)
