# SPDX-License-Identifier: BSD-3-Clause
"""Who works on what: from a topology to each PMD thread's queues and each txq's DMA channels.

Wire forwarding keeps a flow on one queue: what rxq q of a port receives leaves by txq q modulo the number of
txqs of the port at the other end. A txq belongs to the one thread that sends to it. A generator swallows what
it is sent on a txq of its own for each thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product, zip_longest

from pydpdk_defer.topology import GeneratorPort, PmdThread, Topology, VhostPort

__all__ = ["Channel", "Output", "Plan", "PmdPlan", "make_plan"]


@dataclass(frozen=True)
class Channel:
    """A channel of a DMA device: the device's name in the topology, and the channel's number."""

    dma: str
    index: int


@dataclass(frozen=True)
class Output:
    """A txq that a thread sends to, and the channels that may copy for it, the one to use first."""

    port: str
    qid: int
    channels: tuple[Channel, ...] = ()


@dataclass(frozen=True)
class PmdPlan:
    """A PMD thread: its txqs, and its rxqs (port, qid) each with the output that it leads to or `None`."""

    core: int
    outputs: tuple[Output, ...] = ()
    inputs: tuple[tuple[str, int, Output | None], ...] = ()

    def common(self, other: "PmdPlan") -> "PmdPlan":
        """What a thread does the same way by both plans."""
        return PmdPlan(
            self.core,
            tuple(output for output in self.outputs if output in other.outputs),
            tuple(rxq for rxq in self.inputs if rxq in other.inputs),
        )


@dataclass(frozen=True)
class Plan:
    """The whole: threads by their cores, the txqs of each generator, and what is not as the topology wishes."""

    pmds: Mapping[int, PmdPlan]
    sinks: Mapping[str, int]
    notes: tuple[str, ...] = ()


def make_plan(topology: Topology, channels: Mapping[str, int]) -> Plan:
    """The plan of a topology that has been checked; `channels`: how many each of its DMA devices has."""
    sinks: dict[str, int] = {}
    rxqs = {pmd.core: _txq_of_each_rxq(topology, pmd, sinks) for pmd in topology.pmd}
    sharing = _Sharing(topology, channels)
    # In rounds, so that every thread has its first channel before any has its second.
    for turn in zip_longest(*(product([core], _in_order(txqs)) for core, txqs in rxqs.items())):
        for core, txq in filter(None, turn):
            sharing.give_channel(core, txq)
    pmds = {}
    for core, txqs in rxqs.items():
        outputs = {txq: Output(*txq, sharing.channels_of(core, txq)) for txq in _in_order(txqs)}
        inputs = tuple((port, qid, outputs[txq] if txq else None) for (port, qid), txq in txqs.items())
        pmds[core] = PmdPlan(core, tuple(outputs.values()), inputs)
    return Plan(pmds, sinks, tuple(sharing.notes))


_Queue = tuple[str, int]


def _in_order(txqs: Mapping[_Queue, _Queue | None]) -> list[_Queue]:
    return [txq for txq in dict.fromkeys(txqs.values()) if txq is not None]


def _txq_of_each_rxq(topology: Topology, pmd: PmdThread, sinks: dict[str, int]) -> dict[_Queue, _Queue | None]:
    own_sinks: dict[str, int] = {}
    txqs: dict[_Queue, _Queue | None] = {}
    for rxq in topology.rxqs_of(pmd):
        peer = topology.peer_of(rxq.port)
        if peer is None:
            txqs[rxq.port, rxq.qid] = None
            continue
        port = topology.port[peer]
        if isinstance(port, GeneratorPort):
            if peer not in own_sinks:
                own_sinks[peer] = sinks.get(peer, 0)
                sinks[peer] = own_sinks[peer] + 1
            txqs[rxq.port, rxq.qid] = (peer, own_sinks[peer])
        else:
            txqs[rxq.port, rxq.qid] = (peer, rxq.qid % port.queues)
    return txqs


class _Sharing:
    """Which thread uses which channel of each DMA device: one a thread, as far as there are any."""

    def __init__(self, topology: Topology, channels: Mapping[str, int]) -> None:
        self._topology = topology
        self._channels = channels
        self._cores: dict[str, list[int]] = {name: [] for name in topology.dma}
        self._first: dict[_Queue, str] = {}
        self.notes: list[str] = []

    def give_channel(self, core: int, txq: _Queue) -> None:
        choices = self._choices(txq)
        for device in choices:
            if self._let_use(device, core):
                self._first[txq] = device
                return
        if choices:
            port, qid = txq
            self.notes.append(
                f"port {port}: the CPU copies for txq {qid}, as dma {', '.join(choices)} has no channel left for the "
                f"PMD thread of core {core}"
            )

    def channels_of(self, core: int, txq: _Queue) -> tuple[Channel, ...]:
        if txq not in self._first:
            return ()
        first = self._first[txq]
        # A spare device is one that no other thread uses: not every device has channels for several.
        spares = [
            device
            for device in self._choices(txq)
            if device != first and set(self._cores[device]) <= {core} and self._let_use(device, core)
        ]
        return tuple(Channel(device, self._cores[device].index(core)) for device in (first, *spares))

    def _choices(self, txq: _Queue) -> list[str]:
        port, qid = self._topology.port[txq[0]], txq[1]
        dma = port.dma if isinstance(port, VhostPort) else ()
        return [dma[(qid + step) % len(dma)] for step in range(len(dma))]

    def _let_use(self, device: str, core: int) -> bool:
        cores = self._cores[device]
        if core not in cores and len(cores) < self._channels[device]:
            cores.append(core)
        return core in cores
