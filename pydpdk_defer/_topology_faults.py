# SPDX-License-Identifier: BSD-3-Clause
"""From pydantic's errors to lines that name the key as TOML does, the value, and what would do.

A line reads `port.vm0.copy = "gpu": must be "dma" or "cpu"`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from pydpdk_defer import _toml
from pydpdk_defer._topology_fields import FAULT_TYPE, closest, did_you_mean
from pydpdk_defer._topology_sections import (
    DeferralOptions,
    DmaDevice,
    DmaModel,
    EalOptions,
    EthdevPort,
    ForwardOptions,
    GeneratorPort,
    PmdThread,
    VhostPort,
)

__all__ = ["fault", "misspelt_tables", "shape_faults"]

Location = tuple[str | int, ...]

_VALUE_LENGTH = 120
_PORT_KINDS: dict[str, type[BaseModel]] = {
    "generator": GeneratorPort,
    "ethdev": EthdevPort,
    "vhost": VhostPort,
}
_KINDS = '"generator", "ethdev" or "vhost"'
_TABLES: dict[str, type[BaseModel]] = {
    "eal": EalOptions,
    "dma": DmaDevice,
    "pmd": PmdThread,
    "deferral": DeferralOptions,
    "forward": ForwardOptions,
}
_ROOT_KEYS = ("eal", "dma", "port", "pmd", "deferral", "forward")
_MISSING: Any = object()


def fault(key: str, text: str, value: Any = _MISSING) -> str:
    """One line: the key with all that leads to it, the value when one is given, and `text`."""
    shown = "" if value is _MISSING else f" = {_shortened(_toml.value(value))}"
    return f"{key}{shown}: {text}"


def shape_faults(errors: Iterable[ErrorDetails]) -> list[str]:
    """A line for each thing wrong with the keys and values of a topology, each by itself."""
    errors = list(errors)
    suggested = {(*error["loc"][:-1], name) for error in errors if (name := _suggestion(error)) is not None}
    # A misspelt key that must be there is one fault, not two.
    wanted = [error for error in errors if not (error["type"] == "missing" and error["loc"] in suggested)]
    return [line for error in wanted for line in _lines(error)]


def misspelt_tables(errors: Iterable[ErrorDetails]) -> bool:
    """Whether a top-level key looks like a misspelt one, so that what it holds is not known."""
    return any(len(error["loc"]) == 1 and _suggestion(error) is not None for error in errors)


def _lines(error: ErrorDetails) -> Iterator[str]:
    location, kind, value = error["loc"], error["type"], error["input"]
    key = _key(location)
    if location[-1] == "[key]":
        yield from (fault(key, f"this name {text}") for _, _, text in error["ctx"]["parts"])
    elif kind == FAULT_TYPE:
        for suffix, part, text in error["ctx"]["parts"]:
            yield fault(key + suffix, text, part if suffix else value)
    elif kind == "extra_forbidden":
        shown = _MISSING if isinstance(value, Mapping | list) else value
        remedy = did_you_mean(str(location[-1]), _known_keys(location))
        yield fault(key, f"no such key{_where(location)}; {remedy}", shown)
    elif kind == "missing":
        example = _model(location).model_fields[str(location[-1])].examples or [""]
        yield fault(key, f"missing; add for example {location[-1]} = {_toml.value(example[0])}")
    elif kind == "union_tag_not_found":
        near = closest("kind", map(str, value))
        yield fault(f"{key}.kind", f"missing; it is {_KINDS}{f', in place of {near}' if near else ''}")
    elif kind == "union_tag_invalid":
        yield fault(f"{key}.kind", f"must be {_KINDS}", value["kind"])
    elif kind in {"model_type", "model_attributes_type", "dict_type", "mapping_type"}:
        yield fault(key, f"must be a table, written {_header(location)}", value)
    else:
        yield fault(key, error["msg"], value)


def _key(location: Location) -> str:
    """The location as a dotted key, without what pydantic adds: a port's kind, a mark behind bad names."""
    if location[-1:] == ("[key]",):
        location = location[:-1]
    if location[:1] == ("port",):
        location = location[:2] + location[3:]
    parts = [f"[{part}]" if isinstance(part, int) else f".{_toml.key(part)}" for part in location]
    return "".join(parts).removeprefix(".")


def _suggestion(error: ErrorDetails) -> str | None:
    if error["type"] != "extra_forbidden":
        return None
    return closest(str(error["loc"][-1]), _known_keys(error["loc"]))


def _in_dma_model(location: Location) -> bool:
    return location[0] == "dma" and location[2:3] == ("model",)


def _model(location: Location) -> type[BaseModel]:
    if _in_dma_model(location):
        return DmaModel
    return _PORT_KINDS[str(location[2])] if location[0] == "port" else _TABLES[str(location[0])]


def _known_keys(location: Location) -> list[str]:
    if len(location) == 1:
        return list(_ROOT_KEYS)
    return [field.alias or name for name, field in _model(location).model_fields.items()]


def _where(location: Location) -> str:
    if len(location) == 1:
        return ""
    return f" in a port of kind '{location[2]}'" if location[0] == "port" else f" in {_header(location)}"


def _header(location: Location) -> str:
    if _in_dma_model(location):
        return "[dma.NAME.model]"
    headers = {"dma": "[dma.NAME]", "port": "[port.NAME]", "pmd": "[[pmd]]"}
    return headers.get(str(location[0]), f"[{location[0]}]")


def _shortened(shown: str) -> str:
    return shown if len(shown) <= _VALUE_LENGTH else f"{shown[: _VALUE_LENGTH - 3]}..."
