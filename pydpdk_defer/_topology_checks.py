# SPDX-License-Identifier: BSD-3-Clause
"""What ties the tables of a topology together: names that refer to others, and what only one may have.

The checks take a topology in parts, with `None` for a part that is wrong in itself. So one fault does not
hide another, and a name whose table is wrong still counts as known.
"""

import os.path
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import ErrorDetails

from pydpdk_defer._topology_faults import fault, misspelt_tables
from pydpdk_defer._topology_fields import RxqRef, did_you_mean
from pydpdk_defer._topology_sections import (
    DmaDevice,
    EthdevPort,
    ForwardOptions,
    GeneratorPort,
    PmdThread,
    Port,
    VhostPort,
)

__all__ = ["Parts", "link_faults", "parts_without_faults", "peers"]


@dataclass(frozen=True)
class Parts:
    """The tables that refer to each other; `None` stands for one that is wrong in itself."""

    dma: Mapping[str, DmaDevice | None] = field(default_factory=dict)
    port: Mapping[str, Port | None] = field(default_factory=dict)
    pmd: tuple[PmdThread | None, ...] = ()
    forward: ForwardOptions | None = None


_PARTS = TypeAdapter(Parts)


def link_faults(parts: Parts) -> list[str]:
    """A line for each reference that leads nowhere, and for each thing claimed twice."""
    return [
        *_nothing_to_do(parts),
        *_dma_references(parts),
        *_devices_once(parts),
        *_sockets_once(parts),
        *_cores_and_rxqs(parts),
        *_wires(parts),
        *_polled_without_wire(parts),
    ]


def parts_without_faults(tables: Mapping[str, Any], errors: Iterable[ErrorDetails]) -> Parts | None:
    """What is right in tables that gave these errors; `None` when it is not even known which there are."""
    wrong = {error["loc"][:2] for error in errors}
    if wrong & {("dma",), ("port",), ("pmd",)} or misspelt_tables(errors):
        return None
    parts: dict[str, Any] = {
        table: {
            name: None if (table, name) in wrong else entry
            for name, entry in tables.get(table, {}).items()
            if isinstance(name, str)
        }
        for table in ("dma", "port")
    }
    parts["pmd"] = [None if ("pmd", at) in wrong else pmd for at, pmd in enumerate(tables.get("pmd", ()))]
    forward_is_wrong = any(location[0] == "forward" for location in wrong)
    parts["forward"] = None if forward_is_wrong else tables.get("forward", {})
    return _PARTS.validate_python(parts)


def peers(wires: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """For each port in a wire the port at the other end, which for a reflecting port is itself."""
    return {one: other for pair in wires for one, other in (pair, pair[::-1])}


def _nothing_to_do(parts: Parts) -> Iterator[str]:
    if not parts.port:
        yield fault("port", "missing; a topology needs at least one [port.NAME] table")
    if not parts.pmd:
        yield fault("pmd", "missing; a topology needs at least one [[pmd]] table")


def _dma_references(parts: Parts) -> Iterator[str]:
    for name, port in parts.port.items():
        if not isinstance(port, VhostPort):
            continue
        if port.copy_ != "cpu" and not port.dma and not port.dma_by_queue:
            yield fault(
                f"port.{name}.copy",
                'needs dma = [...] with the name of a [dma.NAME] table; without one, copy = "cpu" would do',
                port.copy_,
            )
        for at, device in enumerate(port.dma):
            path = f"port.{name}.dma[{at}]"
            if device not in parts.dma:
                yield fault(path, f"no such [dma.NAME] table; {did_you_mean(device, parts.dma)}", device)
            elif device in port.dma[:at]:
                yield fault(path, "is in this list already; name each DMA device once", device)
        for qid, device in port.dma_by_queue.items():
            path = f"port.{name}.dma_by_queue.{qid}"
            if int(qid) >= port.queues:
                yield fault(path, _beyond(name, port.queues, "name"), device)
            elif device not in parts.dma:
                yield fault(path, f"no such [dma.NAME] table; {did_you_mean(device, parts.dma)}", device)


def _devices_once(parts: Parts) -> Iterator[str]:
    taken: dict[str, str] = {}
    ethdevs = {name: port for name, port in parts.port.items() if isinstance(port, EthdevPort)}
    for table, entries in (("dma", parts.dma), ("port", ethdevs)):
        for name, entry in entries.items():
            if entry is None:
                continue
            device = entry.device.partition(",")[0].strip()
            if device in taken:
                text = f"{taken[device]} has the device '{device}' already; give this one another device"
                yield fault(f"{table}.{name}.device", text, entry.device)
            taken.setdefault(device, f"{table}.{name}")


def _sockets_once(parts: Parts) -> Iterator[str]:
    taken: dict[str, str] = {}
    for name, port in parts.port.items():
        if not isinstance(port, VhostPort):
            continue
        place = os.path.normpath(Path(port.socket).absolute())
        if place in taken:
            text = f"port.{taken[place]} has this socket already; give each vhost port its own path"
            yield fault(f"port.{name}.socket", text, port.socket)
        taken.setdefault(place, name)


def _cores_and_rxqs(parts: Parts) -> Iterator[str]:
    cores: dict[int, int] = {}
    rxqs: dict[RxqRef, str] = {}
    for at, pmd in enumerate(parts.pmd):
        if pmd is None:
            continue
        if pmd.core in cores:
            text = f"pmd[{cores[pmd.core]}] is pinned to this core already; give each [[pmd]] its own core"
            yield fault(f"pmd[{at}].core", text, pmd.core)
        cores.setdefault(pmd.core, at)
        for index, written in enumerate(pmd.rxqs):
            rxq, path = RxqRef.parse(written), f"pmd[{at}].rxqs[{index}]"
            if rxq.port not in parts.port:
                yield fault(path, f"no such port; {did_you_mean(rxq.port, parts.port, 'ports')}", written)
            elif (port := parts.port[rxq.port]) is not None and rxq.qid >= port.queues:
                yield fault(path, _beyond(rxq.port, port.queues), written)
            elif rxq in rxqs:
                yield fault(path, f"{rxqs[rxq]} polls it already; poll each receive queue once", written)
            rxqs.setdefault(rxq, f"pmd[{at}].rxqs[{index}]")


def _wires(parts: Parts) -> Iterator[str]:
    wired: dict[str, int] = {}
    if parts.forward and parts.forward.kind == "l2" and parts.forward.wires:
        yield fault("forward.wires", 'has no meaning with kind = "l2", which joins all ports; leave it out')
        return
    for at, pair in enumerate(parts.forward.wires if parts.forward else ()):
        if pair[0] == pair[1] and isinstance(parts.port.get(pair[0]), GeneratorPort):
            text = "a generator has nothing to reflect; wire it to another port"
            yield fault(f"forward.wires[{at}]", text, pair)
        for end, port in enumerate(dict.fromkeys(pair)):
            path = f"forward.wires[{at}][{end}]"
            if port not in parts.port:
                yield fault(path, f"no such port; {did_you_mean(port, parts.port, 'ports')}", port)
            elif port in wired:
                text = f"forward.wires[{wired[port]}] has this port already; a port is in one wire only"
                yield fault(path, text, port)
            wired.setdefault(port, at)


def _polled_without_wire(parts: Parts) -> Iterator[str]:
    if parts.forward is None or parts.forward.kind == "l2":
        return
    settled = set(peers(parts.forward.wires))
    for key, rxq in _polled(parts):
        if rxq.port not in settled:
            settled.add(rxq.port)
            text = f'port {rxq.port} is in no wire; add one to forward.wires, as in ["{rxq.port}", "OTHER"]'
            yield fault(key, text, str(rxq))


def _polled(parts: Parts) -> Iterator[tuple[str, RxqRef]]:
    """Each receive queue that exists, where it is polled first: its key, and which it is."""
    seen: set[RxqRef] = set()
    for at, pmd in enumerate(parts.pmd):
        for index, written in enumerate(pmd.rxqs if pmd else ()):
            rxq = RxqRef.parse(written)
            port = parts.port.get(rxq.port)
            if pmd and port and rxq.qid < port.queues and rxq not in seen:
                seen.add(rxq)
                yield f"pmd[{at}].rxqs[{index}]", rxq


def _beyond(port: str, queues: int, verb: str = "poll") -> str:
    which = f"only queue 0; {verb} that" if queues == 1 else f"queues 0 to {queues - 1}; {verb} one of those"
    return f"port {port} has {which} or set port.{port}.queues higher"
