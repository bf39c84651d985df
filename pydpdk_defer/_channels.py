# SPDX-License-Identifier: BSD-3-Clause
"""Which thread uses which channel of each DMA device: one a thread and device, as far as there are any."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydpdk_defer.topology import Topology, VhostPort

__all__ = ["Channel", "ChannelShares", "Circumstances"]


@dataclass(frozen=True)
class Channel:
    """A channel of a DMA device: the device's name in the topology, and the channel's number."""

    dma: str
    index: int


@dataclass(frozen=True)
class Circumstances:
    """What a plan depends on besides the topology.

    `channels`: of each DMA device. `dma_nodes`, `port_nodes`: NUMA nodes, where they are known. `usable_txqs`: of
    ports whose guest has not all of them on. `injected`: ports that the control side sends to.
    """

    channels: Mapping[str, int] = field(default_factory=dict)
    dma_nodes: Mapping[str, int] = field(default_factory=dict)
    port_nodes: Mapping[str, int] = field(default_factory=dict)
    usable_txqs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    injected: frozenset[str] = frozenset()


class ChannelShares:
    """Deals channels to the owners of txqs: PMD threads by their cores, `None` for the control side."""

    def __init__(self, topology: Topology, circumstances: Circumstances) -> None:
        self._topology = topology
        self._circumstances = circumstances
        self._users: dict[str, list[int | None]] = {name: [] for name in topology.dma}
        self._first: dict[tuple[str, int], str] = {}
        self.notes: list[str] = []

    def give_channel(self, core: int | None, txq: tuple[str, int]) -> None:
        """One for this txq, which the owner may use for others of its txqs too; a note when there is none."""
        port, qid = txq
        choices = self._choices(txq)
        device = next((device for device in choices if self._let_use(device, core)), None)
        if device is not None:
            self._first[txq] = device
            if self._is_far(device, port):
                self._note(
                    f"port {port}: dma {device} is on NUMA node {self._circumstances.dma_nodes[device]}, the port's "
                    f"memory on node {self._circumstances.port_nodes[port]}: every copy crosses the link between them"
                )
        elif choices:
            owner = "control side" if core is None else f"PMD thread of core {core}"
            self._note(
                f"port {port}: the CPU copies for txq {qid}, as dma {', '.join(choices)} has no channel left for the "
                f"{owner}"
            )

    def channels_of(self, core: int | None, txq: tuple[str, int]) -> tuple[Channel, ...]:
        """The channels of a txq: its own, and those of devices that nobody else uses."""
        if txq not in self._first:
            return ()
        first = self._first[txq]
        # A spare device is one that no other thread uses: not every device has channels for several.
        spares = [
            device
            for device in self._choices(txq)
            if device != first and set(self._users[device]) <= {core} and self._let_use(device, core)
        ]
        return tuple(Channel(device, self._users[device].index(core)) for device in (first, *spares))

    def _choices(self, txq: tuple[str, int]) -> list[str]:
        """Near devices before far ones, else in turn; a queue that names its device has no choice."""
        name, qid = txq
        port = self._topology.port[name]
        if not isinstance(port, VhostPort):
            return []
        if str(qid) in port.dma_by_queue:
            return [port.dma_by_queue[str(qid)]]
        in_turn = [port.dma[(qid + step) % len(port.dma)] for step in range(len(port.dma))]
        return sorted(in_turn, key=lambda device: self._is_far(device, name))

    def _is_far(self, device: str, port: str) -> bool:
        near, node = self._circumstances.dma_nodes.get(device), self._circumstances.port_nodes.get(port)
        return near is not None and node is not None and near != node

    def _let_use(self, device: str, core: int | None) -> bool:
        users = self._users[device]
        if core not in users and len(users) < self._circumstances.channels[device]:
            users.append(core)
        return core in users

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
