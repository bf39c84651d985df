# SPDX-License-Identifier: BSD-3-Clause
"""Who works on what: from a topology to each PMD thread's queues and each txq's DMA channels.

Wire forwarding keeps a flow on one queue: what an rxq receives leaves by one txq. The txqs that the port at the other
end can use are dealt to the threads that send there, and each thread deals its rxqs over those it has: where one thread
sends, rxq q leaves by txq q modulo their number. With l2 forwarding each thread has one txq of every port. Where there
are fewer txqs than threads some have one in common: it belongs to the first of these, and the others hand their packets
over. A generator swallows what it is sent on a txq of its own for each thread.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product, zip_longest

from pydpdk_defer._channels import Channel, ChannelShares, Circumstances
from pydpdk_defer.topology import GeneratorPort, Topology

__all__ = ["CONTROL", "PMD_THREADS_MAX", "Channel", "Circumstances", "Output", "Plan", "PmdPlan", "make_plan"]

PMD_THREADS_MAX = 128
CONTROL = PMD_THREADS_MAX  # the control side's number as a sender; PMD threads have those below


@dataclass(frozen=True)
class Output:
    """A txq that somebody sends to, and the channels that may copy for it, the one to use first.

    `sender`: the number at the handoff by which it is sent to when somebody else owns it.
    """

    port: str
    qid: int
    channels: tuple[Channel, ...] = ()
    sender: int | None = None

    @property
    def txq(self) -> tuple[str, int]:
        """Which one, whoever sends to it."""
        return self.port, self.qid


@dataclass(frozen=True)
class PmdPlan:
    """A PMD thread: its txqs, and its rxqs (port, qid) each with the output that it leads to or `None`.

    `handoffs`: those of its txqs that other threads send to as well; `relays`: that the control side sends to.
    `bridged`: rxqs lead to whatever output l2 forwarding finds.
    """

    core: int
    outputs: tuple[Output, ...] = ()
    inputs: tuple[tuple[str, int, Output | None], ...] = ()
    handoffs: tuple[Output, ...] = ()
    relays: tuple[Output, ...] = ()
    bridged: bool = False
    tx_flush_interval_us: int = 0
    sleep_max_us: int = 0
    perf_metrics: bool = True

    def common(self, other: "PmdPlan") -> "PmdPlan":
        """What a thread does the same way by both plans."""
        return replace(
            self,
            outputs=tuple(output for output in self.outputs if output in other.outputs),
            inputs=tuple(rxq for rxq in self.inputs if rxq in other.inputs and self.bridged == other.bridged),
            handoffs=tuple(output for output in self.handoffs if output in other.handoffs),
            relays=tuple(output for output in self.relays if output in other.relays),
        )

    def with_handoffs(self, handoffs: Iterable[Output]) -> "PmdPlan":
        """The same, and these of a former plan."""
        more = tuple(output for output in handoffs if output not in self.handoffs)
        outputs = self.outputs + tuple(output for output in more if output not in self.outputs)
        return replace(self, outputs=outputs, handoffs=self.handoffs + more)


@dataclass(frozen=True)
class Plan:
    """The whole: threads by their cores, the txqs of each generator, and what is not as the topology wishes.

    `control`: by port, the txqs that the control side sends to.
    """

    pmds: Mapping[int, PmdPlan]
    sinks: Mapping[str, int] = field(default_factory=dict)
    control: Mapping[str, Output] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def handoffs(self) -> frozenset[tuple[str, int]]:
        """The txqs that other threads than their owners send to."""
        return frozenset(output.txq for pmd in self.pmds.values() for output in pmd.handoffs)

    @property
    def relays(self) -> frozenset[tuple[str, int]]:
        """The txqs of threads that the control side sends to."""
        return frozenset(output.txq for pmd in self.pmds.values() for output in pmd.relays)


def make_plan(topology: Topology, circumstances: Circumstances) -> Plan:
    """The plan of a topology that has been checked."""
    queues = _Queues(topology, circumstances)
    routes = queues.routes()
    wanted = {core: queues.wanted_by(number, routes[core]) for number, core in enumerate(routes)}
    owners: dict[_Queue, int] = {}
    for core, txqs in wanted.items():
        for txq in txqs:
            owners.setdefault(txq, core)
    control = {port: queues.for_control(port, owners) for port in sorted(circumstances.injected & set(topology.port))}
    shares = ChannelShares(topology, circumstances)
    # In rounds, so that every thread has its first channel before any has its second.
    owned = {core: [txq for txq in txqs if owners[txq] == core] for core, txqs in wanted.items()}
    for turn in zip_longest(*(product([core], txqs) for core, txqs in owned.items())):
        for core, txq in filter(None, turn):
            shares.give_channel(core, txq)
    for txq in control.values():
        if txq not in owners:
            shares.give_channel(None, txq)
    shared = {txq for core, txqs in wanted.items() for txq in txqs if owners[txq] != core}
    relayed = set(control.values())
    pmds = {}
    for number, pmd in enumerate(topology.pmd):
        outputs = {
            txq: Output(*txq, shares.channels_of(pmd.core, txq))
            if owners[txq] == pmd.core
            else Output(*txq, sender=number)
            for txq in wanted[pmd.core]
        }
        pmds[pmd.core] = PmdPlan(
            pmd.core,
            tuple(outputs.values()),
            tuple((*rxq, outputs[txq] if txq else None) for rxq, txq in routes[pmd.core].items()),
            tuple(output for txq, output in outputs.items() if txq in shared and output.sender is None),
            tuple(output for txq, output in outputs.items() if txq in relayed and output.sender is None),
            topology.forward.kind == "l2",
            pmd.tx_flush_interval_us,
            pmd.sleep_max_us,
            pmd.perf_metrics,
        )
    to_control = {
        port: Output(*txq, sender=CONTROL) if txq in owners else Output(*txq, shares.channels_of(None, txq))
        for port, txq in control.items()
    }
    return Plan(pmds, queues.sinks, to_control, tuple(shares.notes))


_Queue = tuple[str, int]


class _Queues:
    """Which txqs the rxqs of a thread lead to. Threads go by their numbers."""

    def __init__(self, topology: Topology, circumstances: Circumstances) -> None:
        self._topology = topology
        self._usable = circumstances.usable_txqs
        self._sinks: dict[tuple[str, int], int] = {}
        self.sinks: dict[str, int] = {}
        self._rxqs = [[(rxq.port, rxq.qid) for rxq in topology.rxqs_of(pmd)] for pmd in topology.pmd]

    def routes(self) -> dict[int, dict[_Queue, _Queue | None]]:
        """By the cores of threads: for each rxq the txq that it leads to by wire."""
        peers = {port: self._topology.peer_of(port) for port in self._topology.port}
        dealt = {
            port: self._deal(port, [[q for q in rxqs if peers[q[0]] == port] for rxqs in self._rxqs])
            for port in self._topology.port
        }
        return {
            pmd.core: {rxq: None if (peer := peers[rxq[0]]) is None else dealt[peer][rxq] for rxq in rxqs}
            for pmd, rxqs in zip(self._topology.pmd, self._rxqs, strict=True)
        }

    def wanted_by(self, number: int, routes: Mapping[_Queue, _Queue | None]) -> list[_Queue]:
        """The txqs that a thread sends to, each once."""
        if self._topology.forward.kind == "l2":
            return [self._l2_txq(port, number) for port in self._topology.port] if routes else []
        return [txq for txq in dict.fromkeys(routes.values()) if txq is not None]

    def _deal(self, port: str, rxqs: list[list[_Queue]]) -> dict[_Queue, _Queue]:
        """The txqs of a port to those rxqs, by threads, that lead to it."""
        if isinstance(self._topology.port[port], GeneratorPort):
            return {rxq: self._sink(port, number) for number, of_thread in enumerate(rxqs) for rxq in of_thread}
        usable = self._usable_of(port)
        senders = [of_thread for of_thread in rxqs if of_thread]
        by_number = [{rxq: usable[rxq[1] % len(usable)] for rxq in of_thread} for of_thread in senders]
        if sum(len(set(txqs.values())) for txqs in by_number) == len({q for txqs in by_number for q in txqs.values()}):
            return {rxq: (port, qid) for txqs in by_number for rxq, qid in txqs.items()}
        shares = [usable[at % len(usable) :: len(senders)] for at in range(len(senders))]
        return {
            rxq: (port, share[turn % len(share)])
            for share, of_thread in zip(shares, senders, strict=True)
            for turn, rxq in enumerate(of_thread)
        }

    def _l2_txq(self, port: str, number: int) -> _Queue:
        if isinstance(self._topology.port[port], GeneratorPort):
            return self._sink(port, number)
        usable = self._usable_of(port)
        turn = sum(bool(rxqs) for rxqs in self._rxqs[:number])
        return port, usable[turn % len(usable)]

    def for_control(self, port: str, owners: Mapping[_Queue, int]) -> _Queue:
        """A txq that no thread has; else the first."""
        if isinstance(self._topology.port[port], GeneratorPort):
            return self._sink(port, CONTROL)
        usable = self._usable_of(port)
        return port, next((qid for qid in usable if (port, qid) not in owners), usable[0])

    def _sink(self, port: str, sender: int) -> _Queue:
        if (port, sender) not in self._sinks:
            self._sinks[port, sender] = self.sinks.get(port, 0)
            self.sinks[port] = self._sinks[port, sender] + 1
        return port, self._sinks[port, sender]

    def _usable_of(self, port: str) -> tuple[int, ...]:
        all_txqs = tuple(range(self._topology.port[port].queues))
        return tuple(qid for qid in self._usable.get(port, all_txqs) if qid in all_txqs) or all_txqs
