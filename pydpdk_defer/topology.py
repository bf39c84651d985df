# SPDX-License-Identifier: BSD-3-Clause
"""The topology: which ports there are, which core polls what, where packets go, and who copies them.

A topology is a TOML file, or a dictionary of the same shape. Once read it does not change; to run a variant,
take `to_dict()`, change that, and read it with `from_dict()`.

    topology = Topology.load("examples/generator-to-vm.toml")
    topology.check_host(frozenset(os.sched_getaffinity(0)))
"""

import os
import re
import tomllib
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ValidationError

from pydpdk_defer import _toml
from pydpdk_defer._topology_base import FrozenDict, Section
from pydpdk_defer._topology_checks import Parts, link_faults, parts_without_faults, peers
from pydpdk_defer._topology_faults import shape_faults
from pydpdk_defer._topology_fields import RxqRef, did_you_mean, listed
from pydpdk_defer._topology_host import core_faults, dma_faults, eal_faults, socket_faults
from pydpdk_defer._topology_sections import (
    DeferralOptions,
    DmaDevice,
    DmaModel,
    EalOptions,
    EthdevPort,
    ForwardOptions,
    GeneratorPort,
    Name,
    PmdThread,
    Port,
    VhostPort,
)
from pydpdk_defer.errors import TopologyError

__all__ = [
    "DeferralOptions",
    "DmaDevice",
    "DmaModel",
    "EalOptions",
    "EthdevPort",
    "ForwardOptions",
    "GeneratorPort",
    "PmdThread",
    "Port",
    "RxqRef",
    "Topology",
    "VhostPort",
]

_ETHERNET_FRAME_BYTES = 1518
_MTU_TO_FRAME_BYTES = 18
_SYNTAX = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)


class Topology(Section):
    """A whole topology, checked: every name in it leads somewhere, and nothing is claimed twice.

    The attributes are the tables of the file: `eal`, `dma` and `port` by name, `pmd` in the file's order,
    `deferral`, `forward`. Every fault, however the topology is made, is a `TopologyError` that lists all
    faults, one a line.
    """

    eal: EalOptions = EalOptions()
    dma: Annotated[Mapping[Name, DmaDevice], AfterValidator(FrozenDict)] = FrozenDict()
    port: Annotated[Mapping[Name, Port], AfterValidator(FrozenDict)] = FrozenDict()
    pmd: Annotated[tuple[PmdThread, ...], listed("a list of tables, each written [[pmd]]")] = ()
    deferral: DeferralOptions = DeferralOptions()
    forward: ForwardOptions = ForwardOptions()

    def __init__(self, **tables: Any) -> None:
        try:
            super().__init__(**tables)
        except ValidationError as error:
            errors = error.errors(include_url=False)
            parts = parts_without_faults(tables, errors)
            faults = shape_faults(errors) + (link_faults(parts) if parts else [])
        else:
            faults = link_faults(Parts(self.dma, self.port, self.pmd, self.forward))
        if faults:
            raise TopologyError("\n".join(faults))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a TOML file. A `TopologyError` says what is wrong, each of its lines headed by the path."""
        name = os.fspath(path)
        try:
            content = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise TopologyError(f"{name}: cannot read the topology: {reason}") from error
        try:
            return cls.loads(content.decode())
        except UnicodeDecodeError as error:
            raise TopologyError(f"{name}: not UTF-8 at byte {error.start}, as TOML has to be") from error
        except TopologyError as error:
            lines = error.strerror.splitlines()
            raise TopologyError("\n".join(f"{name}: {line}" for line in lines)) from error.__cause__

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read TOML text. A syntax error is a `TopologyError` with its line and column, both from 1."""
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise TopologyError(_syntax_fault(text, str(error))) from error
        except (ValueError, RecursionError) as error:
            raise TopologyError(f"not TOML that can be read: {error}") from error
        return cls.from_dict(tables)

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any]) -> Self:
        """Read a dictionary of the file's shape, with the file's key names; lists may be tuples."""
        if strangers := [name for name in tables if not isinstance(name, str)]:
            raise TopologyError(f"{strangers[0]!r}: a key must be text")
        return cls(**tables)

    def to_dict(self) -> dict[str, Any]:
        """The tables as dictionaries and lists, every default written out; `from_dict` reads them back."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_toml(self) -> str:
        """The topology as TOML, every default written out; `loads` reads an equal topology back."""
        return _toml.document(self.to_dict())

    def rxqs_of(self, pmd: PmdThread) -> tuple[RxqRef, ...]:
        """The receive queues that a thread polls, in the order given."""
        return tuple(map(RxqRef.parse, pmd.rxqs))

    def peer_of(self, port: str) -> str | None:
        """The port at the other end of this port's wire, or `None`. An unknown port is a `ValueError`."""
        if port not in self.port:
            raise ValueError(f"no port {port!r}; {did_you_mean(port, self.port, 'ports')}")
        return peers(self.forward.wires).get(port)

    @property
    def largest_frame(self) -> int:
        """Bytes of the largest frame that generators and ethdevs bring in, at least 1518."""
        return max(_ETHERNET_FRAME_BYTES, *(_largest_frame_of(port) for port in self.port.values()))

    @property
    def needs_guest(self) -> tuple[str, ...]:
        """The vhost ports by name: each needs a guest before packets can pass."""
        return tuple(name for name, port in self.port.items() if isinstance(port, VhostPort))

    def check_host(self, available_cpus: Set[int]) -> None:
        """Whether this process can run the topology here; a `TopologyError` lists all that is in the way.

        `available_cpus` are the CPUs that the process may use, as from `os.sched_getaffinity(0)`. Checked are
        the cores of the PMD threads, and for each vhost port that its socket's folder exists, and in server
        mode can be written and holds nothing but a socket of that name.
        """
        faults = [
            *eal_faults(self.eal),
            *dma_faults(self.dma, available_cpus),
            *core_faults(self.pmd, available_cpus),
            *socket_faults(self.port),
        ]
        if faults:
            raise TopologyError("\n".join(faults))


def _largest_frame_of(port: Port) -> int:
    if isinstance(port, EthdevPort):
        return port.mtu + _MTU_TO_FRAME_BYTES
    if isinstance(port, GeneratorPort):
        if isinstance(port.frame_size, int):
            return port.frame_size
        if port.frame_size != "imix":
            return max(size for size, _ in port.frame_size)
    return _ETHERNET_FRAME_BYTES


def _syntax_fault(text: str, message: str) -> str:
    found = _SYNTAX.fullmatch(message)
    if found is None:
        return f"not TOML: {message}"
    before = text.rstrip("\n").split("\n")
    line, column = found["line"] or len(before), found["column"] or len(before[-1]) + 1
    return f"line {line}, column {column}: not TOML: {found['what']}"
