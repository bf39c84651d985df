# SPDX-License-Identifier: BSD-3-Clause
"""Who works on what: from a topology to each PMD thread's queues and each txq's DMA channel.

Wire forwarding keeps a flow on one queue: what rxq q of a port receives leaves by txq q modulo the number of
txqs of the port at the other end. A txq belongs to the one thread that sends to it. A generator swallows what
it is sent on a txq of its own for each thread.
"""

from dataclasses import dataclass

from pydpdk_defer.topology import GeneratorPort, Topology, VhostPort

__all__ = ["Channel", "Plan", "PmdPlan", "make_plan"]


@dataclass(frozen=True)
class Channel:
    """A channel of a DMA device: the device's name in the topology, and the channel's number."""

    dma: str
    index: int


@dataclass(frozen=True)
class PmdPlan:
    """A PMD thread: `outputs` are its txqs (port, qid), `inputs` its rxqs with the output each leads to."""

    core: int
    inputs: tuple[tuple[str, int, int], ...]
    outputs: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Plan:
    """The whole: threads, the channels of each txq of each vhost port with DMA, threads that use a device.

    A txq's first channel is the one that it uses; the others take its place when its device hangs.
    """

    pmds: tuple[PmdPlan, ...]
    channels: dict[str, tuple[tuple[Channel, ...], ...]]
    dma_cores: dict[str, tuple[int, ...]]
    sinks: dict[str, int]


def make_plan(topology: Topology) -> Plan:
    """The plan of a topology that has been checked."""
    sinks: dict[str, int] = {}
    pmds = tuple(_pmd_plan(topology, index, sinks) for index in range(len(topology.pmd)))
    owner = {output: pmd.core for pmd in pmds for output in pmd.outputs}
    dma_cores: dict[str, list[int]] = {name: [] for name in topology.dma}
    txqs = [
        (name, port, qid, owner.get((name, qid)))
        for name, port in topology.port.items()
        if isinstance(port, VhostPort) and port.dma
        for qid in range(port.queues)
    ]
    for _, port, qid, core in txqs:
        _let_use(dma_cores[port.dma[qid % len(port.dma)]], core)
    channels: dict[str, tuple[tuple[Channel, ...], ...]] = {}
    for name, port, qid, core in txqs:
        in_turn = [port.dma[(qid + step) % len(port.dma)] for step in range(len(port.dma))]
        # A spare device is one that no other thread uses: not every device has channels for several.
        spares = [device for device in in_turn[1:] if dma_cores[device] in ([], [core])]
        for device in spares:
            _let_use(dma_cores[device], core)
        # Only who sends uses a channel: nobody would let go of that of another txq when its device hangs.
        of_txq = tuple(Channel(d, dma_cores[d].index(core)) for d in [in_turn[0], *spares]) if core is not None else ()
        channels[name] = (*channels.get(name, ()), of_txq)
    return Plan(pmds, channels, {name: tuple(cores) for name, cores in dma_cores.items()}, sinks)


def _let_use(cores: list[int], core: int | None) -> None:
    if core is not None and core not in cores:
        cores.append(core)


def _pmd_plan(topology: Topology, index: int, sinks: dict[str, int]) -> PmdPlan:
    pmd = topology.pmd[index]
    outputs: list[tuple[str, int]] = []
    inputs: list[tuple[str, int, int]] = []
    own_sinks: dict[str, int] = {}
    for rxq in topology.rxqs_of(pmd):
        peer = topology.peer_of(rxq.port)
        if peer is None:
            inputs.append((rxq.port, rxq.qid, -1))
            continue
        port = topology.port[peer]
        if isinstance(port, GeneratorPort):
            if peer not in own_sinks:
                own_sinks[peer] = sinks.get(peer, 0)
                sinks[peer] = own_sinks[peer] + 1
            output = (peer, own_sinks[peer])
        else:
            output = (peer, rxq.qid % port.queues)
        if output not in outputs:
            outputs.append(output)
        inputs.append((rxq.port, rxq.qid, outputs.index(output)))
    return PmdPlan(pmd.core, tuple(inputs), tuple(outputs))
