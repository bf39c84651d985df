# SPDX-License-Identifier: BSD-3-Clause
"""A small TOML writer, for topologies and for the keys and values in error texts.

It writes what `tomllib` reads back as the same values: tables, arrays of tables, strings, numbers, booleans
and lists. `None` has no form in TOML; a table leaves such keys out.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import TypeGuard

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def key(name: object) -> str:
    """One part of a dotted key, in quotes only when TOML asks for them."""
    text = str(name)
    return text if _BARE_KEY.fullmatch(text) else string(text)


def string(text: str) -> str:
    """A basic string: double quotes, control characters escaped."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def value(item: object) -> str:
    """The item on one line; what TOML cannot say comes out as Python's `repr`, enough for an error text."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        return string(item)
    if isinstance(item, date | time):
        return item.isoformat()
    if isinstance(item, Mapping):
        inside = ", ".join(f"{key(name)} = {value(inner)}" for name, inner in item.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(item, list | tuple):
        return "[" + ", ".join(value(inner) for inner in item) + "]"
    try:
        return repr(item)
    except ValueError:  # Python writes no whole number of more than some thousand digits
        return "a very long number"


def document(tables: Mapping[str, object]) -> str:
    """A whole document: plain values first, then tables and arrays of tables, in the order given.

    A list whose entries are all mappings becomes an array of tables; a mapping that holds only mappings gets
    no header of its own.
    """
    return "\n".join(_table((), tables))


def _table(path: tuple[str, ...], content: Mapping[str, object]) -> list[str]:
    plain: list[str] = []
    nested: list[str] = []
    for name, item in content.items():
        inner_path = (*path, key(name))
        header = ".".join(inner_path)
        if item is None:
            continue
        if isinstance(item, Mapping):
            only_tables = bool(item) and all(isinstance(inner, Mapping) for inner in item.values())
            nested += [] if only_tables else [f"[{header}]"]
            nested += _table(inner_path, item)
        elif _is_array_of_tables(item):
            for inner in item:
                nested += [f"[[{header}]]", *_table(inner_path, inner)]
        else:
            plain.append(f"{key(name)} = {value(item)}")
    return [*plain, "", *nested] if plain else nested


def _is_array_of_tables(item: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    return isinstance(item, list | tuple) and bool(item) and all(isinstance(inner, Mapping) for inner in item)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character < " " or character == "\x7f":
        return f"\\u{ord(character):04X}"
    return character
