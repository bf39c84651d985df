# SPDX-License-Identifier: BSD-3-Clause
"""Topologies that differ from another in one thing. Names that lead nowhere are a `TopologyError`, as ever."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydpdk_defer._topology_base import Section
from pydpdk_defer._topology_fields import RxqRef, did_you_mean
from pydpdk_defer.errors import TopologyError
from pydpdk_defer.topology import DeferralOptions, DmaModel, Port, Topology

__all__ = [
    "with_copy",
    "with_deferral",
    "with_dma_model",
    "with_pmd",
    "with_port",
    "with_rxq_on",
    "with_wires",
    "without_pmd",
    "without_port",
]


def with_port(topology: Topology, name: str, port: Port | Mapping[str, Any]) -> Topology:
    """A port more. A `TopologyError` when there is one of this name."""
    if name in topology.port:
        raise TopologyError(f"port.{name}: is there already; remove it first, or choose another name")
    table = port.model_dump(mode="json", by_alias=True, exclude_none=True) if isinstance(port, Section) else dict(port)
    tables = topology.to_dict()
    tables["port"][name] = table
    return Topology.from_dict(tables)


def without_port(topology: Topology, name: str) -> Topology:
    """Without a port, its wire and its rxqs."""
    _check_port(topology, name)
    tables = topology.to_dict()
    del tables["port"][name]
    tables["forward"]["wires"] = [pair for pair in tables["forward"]["wires"] if name not in pair]
    # What led to it leads nowhere now, and need not be polled.
    orphans = {name, *(port for pair in topology.forward.wires if name in pair for port in pair)}
    for pmd in tables["pmd"]:
        pmd["rxqs"] = [rxq for rxq in pmd["rxqs"] if RxqRef.parse(rxq).port not in orphans]
    return Topology.from_dict(tables)


def with_wires(topology: Topology, wires: Iterable[tuple[str, str]]) -> Topology:
    """With these wires, and no others."""
    tables = topology.to_dict()
    tables["forward"]["wires"] = [list(pair) for pair in wires]
    return Topology.from_dict(tables)


def with_rxq_on(topology: Topology, rxq: str, core: int | None) -> Topology:
    """With an rxq polled by the thread of this core, or by nobody."""
    tables = topology.to_dict()
    _take_rxqs(tables, [rxq])
    if core is not None:
        _pmd(tables, core)["rxqs"].append(rxq)
    return Topology.from_dict(tables)


def with_pmd(topology: Topology, core: int, rxqs: Iterable[str], **options: int) -> Topology:
    """A thread more; rxqs that others poll are its own then."""
    tables = topology.to_dict()
    wanted = list(rxqs)
    _take_rxqs(tables, wanted)
    tables["pmd"].append({"core": core, "rxqs": wanted, **options})
    return Topology.from_dict(tables)


def without_pmd(topology: Topology, core: int, to: int | None) -> Topology:
    """A thread less; its rxqs go to another, or are polled by nobody."""
    tables = topology.to_dict()
    pmd = _pmd(tables, core)
    tables["pmd"].remove(pmd)
    if to is not None:
        _pmd(tables, to)["rxqs"] += pmd["rxqs"]
    return Topology.from_dict(tables)


def with_deferral(topology: Topology, options: DeferralOptions) -> Topology:
    """With other rules for deferred work."""
    return Topology.from_dict(topology.to_dict() | {"deferral": options.model_dump()})


def with_copy(topology: Topology, port: str, copy: str) -> Topology:
    """With a vhost port's packets copied by this engine."""
    tables = topology.to_dict()
    tables["port"][port]["copy"] = copy
    return Topology.from_dict(tables)


def with_dma_model(topology: Topology, dma: str, model: DmaModel) -> Topology:
    """With another model of a DMA device."""
    tables = topology.to_dict()
    tables["dma"][dma]["model"] = model.model_dump(mode="json")
    return Topology.from_dict(tables)


def _check_port(topology: Topology, name: str) -> None:
    if name not in topology.port:
        raise TopologyError(f"no port {name!r}; {did_you_mean(name, topology.port, 'ports')}")


def _pmd(tables: Mapping[str, Any], core: int) -> dict[str, Any]:
    found: list[dict[str, Any]] = [pmd for pmd in tables["pmd"] if pmd["core"] == core]
    if not found:
        cores = ", ".join(str(pmd["core"]) for pmd in tables["pmd"])
        raise TopologyError(f"no PMD thread on core {core}; there are threads on: {cores}")
    return found[0]


def _take_rxqs(tables: Mapping[str, Any], rxqs: Iterable[str]) -> None:
    taken = set(rxqs)
    for pmd in tables["pmd"]:
        pmd["rxqs"] = [rxq for rxq in pmd["rxqs"] if rxq not in taken]
