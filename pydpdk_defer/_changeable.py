# SPDX-License-Identifier: BSD-3-Clause
"""What can change about a datapath while packets pass."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from errno import EINVAL
from typing import Any, Literal

from pydpdk_defer import _native, _native_log, eal
from pydpdk_defer import _topology_edits as edits
from pydpdk_defer._building import Parts, View
from pydpdk_defer._changing import change, check_change, check_host, rearrange
from pydpdk_defer._signals import shielded
from pydpdk_defer._topology_fields import did_you_mean
from pydpdk_defer.errors import DeferError
from pydpdk_defer.plan import Circumstances
from pydpdk_defer.topology import DeferralOptions, DmaModel, Port, Topology, VhostPort

__all__ = ["Changeable", "start_traffic", "stop_traffic"]

_log = logging.getLogger("pydpdk_defer")


def start_traffic(ports: Iterable[_native.Port], packets: int) -> None:
    """Open the sources among these ports; each generator makes `packets` more frames, 0: no end."""
    for port in ports:
        if isinstance(port, _native.GeneratorPort):
            port.start_traffic(packets)
        elif isinstance(port, _native.EthdevPort):
            port.start_traffic()


def stop_traffic(ports: Iterable[_native.Port]) -> None:
    """Close the sources among these ports."""
    for port in ports:
        if isinstance(port, _native.GeneratorPort | _native.EthdevPort):
            port.stop_traffic()


class Changeable:
    """The part of a `Datapath` that changes it."""

    _topology: Topology
    _parts: Parts | None  # under _lock
    _view: View | None  # replaced as a whole under _view_lock, when a change is done
    _traffic: int | None  # as sources were started, while they are open; under _view_lock
    _lock: threading.RLock  # one change at a time
    _view_lock: threading.RLock  # never held for long; a signal handler may take a snapshot within one
    _seen: Circumstances | None  # at the last look
    _told: set[str]

    @property
    def topology(self) -> Topology:
        """The present topology. Every change replaces it, including `set_copy` and `set_dma_model`."""
        return self._topology

    def change(self, topology: Topology) -> None:
        """Go on with another topology; what is accepted already is lost by none of it.

        Ports, threads, wires, rxqs of threads, `[deferral]` and the `copy` of a port may differ; `[eal]`,
        `[dma]` and the other options of a port that stays may not, which is a `TopologyError`, as is what the
        host has no room for. An error leaves all as it was. A port that goes has 5 s to drain; what is then in
        progress is given up. The other methods here do it by this one.
        """
        if not isinstance(topology, Topology):
            raise TypeError(f"a Datapath changes to a Topology, not {type(topology).__name__}")
        with self._lock:
            parts = self._running()
            check_change(self._topology, topology)
            check_host(self._topology, topology, eal.available_cpus())
            with shielded():
                try:
                    self._set_copies(self._topology, topology)
                    change(parts, self._topology, topology)
                except BaseException:
                    with suppress(ValueError):  # a DMA device may have failed in the meantime
                        self._set_copies(topology, self._topology)
                    raise
                self._adopt(parts, topology)
            self._tell(parts.plan.notes)

    def _set_copies(self, now: Topology, then: Topology) -> None:
        """Set `copy` of the vhost ports that both topologies have, where it differs."""
        for name, port in then.port.items():
            before = now.port.get(name)
            if isinstance(port, VhostPort) and isinstance(before, VhostPort) and port.copy_ != before.copy_:
                self._vhost(name).copy = port.copy_

    def _adopt(self, parts: Parts, topology: Topology) -> None:
        """Publish a finished change: snapshots and telemetry show it, and traffic starts on its new ports."""
        with self._view_lock:
            before = self._view.ports if self._view is not None else {}
            self._topology = topology
            self._view = parts.view(topology)
            if self._traffic is not None:
                start_traffic([port for name, port in parts.ports.items() if name not in before], self._traffic)
        self._show()

    def _follow_guests(self) -> None:
        """Plan anew when a guest uses other queues than before, or has its memory elsewhere.

        Not before it was seen twice: a guest that leaves switches its queues off one after the other. What happened is
        told in the log meanwhile.
        """
        with self._lock:
            self._tell_events()
            if self._parts is None:
                return
            seen, self._seen = self._seen, self._parts.circumstances()
            if seen == self._seen != self._parts.planned_for:
                rearrange(self._parts, self._topology)
                self._adopt(self._parts, self._topology)
                self._tell(self._parts.plan.notes)

    def mac_table(self) -> list[tuple[str, str, int]]:
        """What l2 forwarding has learned: (address, port, seconds since it was seen), by port and address."""
        with self._lock:
            parts = self._running()
            names = {number: name for name, number in parts.bridge_ports.items()}
            learned = parts.bridge.entries() if parts.bridge is not None else []
            return sorted(
                ((address, names[port], age) for address, port, age in learned if port in names),
                key=lambda entry: (entry[1], entry[0]),
            )

    def _edit(self, make: Callable[..., Topology], *arguments: Any, **options: Any) -> None:
        """Change to the topology that `make` returns for the present one. Changes of other threads wait meanwhile."""
        with self._lock:
            self.change(make(self._topology, *arguments, **options))

    def add_port(self, name: str, port: Port | Mapping[str, Any]) -> None:
        """Add a port, by a table as in the topology; `set_wires` and `move_rxq` make use of it."""
        self._edit(edits.with_port, name, port)

    def remove_port(self, name: str) -> None:
        """Remove a port, its wires, and its rxqs from their threads."""
        self._edit(edits.without_port, name)

    def set_wires(self, wires: Iterable[tuple[str, str]]) -> None:
        """Where packets go from now on: pairs of ports, all of them."""
        self._edit(edits.with_wires, wires)

    def move_rxq(self, rxq: str, core: int | None) -> None:
        """Have the thread of another core poll an rxq, as "src:0"; `None`: nobody."""
        self._edit(edits.with_rxq_on, rxq, core)

    def add_pmd(self, core: int, rxqs: Iterable[str] = (), **options: int) -> None:
        """Start one more PMD thread, and have it poll these rxqs, which others may have polled until now.

        `options` are the other keys of a `[[pmd]]` table.
        """
        self._edit(edits.with_pmd, core, rxqs, **options)

    def remove_pmd(self, core: int, to: int | None = None) -> None:
        """End a PMD thread; its rxqs go to the thread of core `to`, or are polled by nobody."""
        self._edit(edits.without_pmd, core, to)

    def set_deferral(self, options: DeferralOptions) -> None:
        """Have every PMD thread finish what it has deferred, and work by these rules from then on.

        What is still in progress after the former `max_stall_us` is given up. The counters go on.
        """
        if not isinstance(options, DeferralOptions):
            raise TypeError(f"options must be DeferralOptions, not {options!r}")
        self._edit(edits.with_deferral, options)

    def set_copy(self, port: str, copy: Literal["dma", "cpu", "auto"]) -> None:
        """Have a vhost port's packets copied by DMA, by the CPU, or by what costs less from now on.

        Each queue goes over when nothing is in flight on it. `ValueError` for DMA without a DMA device.
        """
        with self._lock:
            parts = self._running()
            self._vhost(port).copy = copy
            self._adopt(parts, edits.with_copy(self._topology, port, copy))

    def set_dma_model(self, dma: str, model: DmaModel | None) -> None:
        """Have a modelled DMA device be like this from now on; `None`: as it is itself.

        Takes effect with the device's next use; what the former model held back is let go then, and copies are
        counted anew. `ValueError` for a device without a `[dma.NAME.model]` table: the table may be empty, but it
        is what lays a model over the device before threads use it.
        """
        if model is not None and not isinstance(model, DmaModel):
            raise TypeError(f"model must be a DmaModel or None, not {type(model).__name__}")
        with self._lock:
            parts = self._running()
            if dma not in parts.dma:
                raise ValueError(f"no DMA device {dma!r}; {did_you_mean(dma, parts.dma, 'DMA devices')}")
            if dma not in parts.models:
                raise ValueError(
                    f"dma.{dma} has no model, and a model cannot be added to a device in use; "
                    f"add the table [dma.{dma}.model] to the topology, it may be empty"
                )
            model = model or DmaModel()
            if fault := model.capacity_fault(self._topology.dma[dma].ring_size):
                raise ValueError(f"dma.{dma}.model.capacity = {model.capacity}: {fault}")
            parts.models[dma].set(model.model_dump())
            self._adopt(parts, edits.with_dma_model(self._topology, dma, model))

    def _tell_events(self) -> None:
        """What happened since the last time goes to the log, and DMA devices that were taken out of use, each once."""
        _native_log.forward()
        if self._parts is not None:
            self._tell(
                f"dma {name}: {device.device} hands no copies back and is out of use; its queues go "
                "on with another device or by CPU copy, those with packets in flight when a new guest comes"
                for name, device in self._parts.dma.items()
                if device.out_of_use
            )

    def _tell(self, notes: Iterable[str]) -> None:
        """Each note once."""
        for note in notes:
            if note not in self._told:
                self._told.add(note)
                _log.warning("%s", note)

    def _show(self) -> None:
        """Bring what the telemetry socket shows up to date."""
        raise NotImplementedError

    def _running(self) -> Parts:
        if self._parts is None:
            raise self._not_running()
        return self._parts

    def _viewed(self) -> View:
        if self._view is None:
            raise self._not_running()
        return self._view

    @staticmethod
    def _not_running() -> DeferError:
        return DeferError("this Datapath is not running", EINVAL, "use it as a context manager, or call start()")

    def _vhost(self, name: str) -> _native.VhostPort:
        view = self._viewed()
        port = view.ports.get(name)
        if isinstance(port, _native.VhostPort):
            return port
        known = ", ".join(view.topology.needs_guest) or "none"
        raise ValueError(f"no vhost port {name!r}; vhost ports: {known}")
