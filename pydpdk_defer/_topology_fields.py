# SPDX-License-Identifier: BSD-3-Clause
"""What one value of a topology may be: validators that say, in one sentence, what would do instead.

Each function here returns pydantic metadata for an `Annotated` type. It runs before pydantic's own strict
check and judges type and range together, so that a bad value gives one fault and not one for each member of a
union.
"""

import difflib
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from pydpdk_defer import _toml

__all__ = [
    "FAULT_TYPE",
    "FRAME_SIZE_MAX",
    "FRAME_SIZE_MIN",
    "RxqRef",
    "closest",
    "did_you_mean",
    "fault_at",
    "frame_size",
    "listed",
    "mac_address",
    "matching",
    "number",
    "one_of",
    "queue_number",
    "rxq",
    "text",
    "whole",
]

FAULT_TYPE = "topology_fault"
FRAME_SIZE_MIN, FRAME_SIZE_MAX = 60, 16128
_WEIGHT_MAX, _MIX_MAX = 4096, 64
_TEXT_SHOULD = "must be text in quotes"

_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_RXQ = re.compile(r"(?P<port>[A-Za-z][A-Za-z0-9_-]{0,31}):(?P<qid>0|[1-9][0-9]{0,4})")


class RxqRef(NamedTuple):
    """One receive queue of one port, written `"port:qid"` in a topology."""

    port: str
    qid: int

    def __str__(self) -> str:
        return f"{self.port}:{self.qid}"

    @classmethod
    def parse(cls, reference: str) -> "RxqRef":
        """Read `"port:qid"`; anything else is a `ValueError`."""
        found = _RXQ.fullmatch(reference)
        if found is None:
            raise ValueError(f"{reference!r} is no receive queue; it is written PORT:QID, as in 'src:0'")
        return cls(found["port"], int(found["qid"]))


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, upper and lower case alike."""
    words = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(word.lower(), words, n=1)
    return words[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], what: str = "known") -> str:
    """`did you mean 'x'?` when a known word is close, else the list of known words, headed by `what`."""
    known = list(known)
    near = closest(word, known)
    return f"did you mean '{near}'?" if near else f"{what}: {', '.join(known) or 'none'}"


def whole(low: int, high: int | None = None, *, power_of_two: bool = False, why: str = "") -> BeforeValidator:
    """A whole number from `low` to `high`, both included; `why` ends the fault's text."""
    kind = "a power of two" if power_of_two else "a whole number"
    should = f"must be {kind} {f'of at least {low}' if high is None else f'from {low} to {high}'}"

    def check(value: Any) -> Any:
        in_range = _is_int(value) and value >= low and (high is None or value <= high)
        if in_range and not (power_of_two and value & (value - 1)):
            return value
        unquote = ", without quotes" if isinstance(value, str) else ""
        near = f"; {_nearest_powers(value)} would do" if power_of_two and in_range else ""
        raise _fault(f"{should}{unquote}{near}{f' ({why})' if why else ''}")

    return BeforeValidator(check)


def number(low: float, meaning: str, high: float = math.inf) -> BeforeValidator:
    """A finite number, whole or not, of at least `low` and at most `high`."""
    should = (
        f"must be a finite number of at least {low:g}" if high == math.inf else f"must be from {low:g} to {high:.15g}"
    )

    def check(value: Any) -> Any:
        if (_is_int(value) or isinstance(value, float)) and low <= value <= high and _is_finite(value):
            return value
        raise _fault(f"{should} ({meaning})")

    return BeforeValidator(check)


def one_of(*choices: str | bool) -> BeforeValidator:
    """One of these values, of exactly their types."""
    written = [_toml.value(choice) for choice in choices]
    should = "must be " + " or ".join(filter(None, [", ".join(written[:-1]), written[-1]]))

    def check(value: Any) -> Any:
        if any(type(value) is type(choice) and value == choice for choice in choices):
            return value
        raise _fault(should)

    return BeforeValidator(check)


def text(*, max_bytes: int | None = None, why: str = "") -> BeforeValidator:
    """Printable text of at least one character, and at most `max_bytes` as UTF-8."""

    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise _fault(_TEXT_SHOULD)
        if not value:
            raise _fault("must not be empty")
        if not value.isprintable():
            raise _fault("must hold only printable characters")
        if max_bytes is not None and (size := len(value.encode())) > max_bytes:
            raise _fault(f"is {size} bytes long, but at most {max_bytes} fit ({why})")
        return value

    return BeforeValidator(check)


def matching(expression: str, should: str) -> BeforeValidator:
    """Text that the whole of `expression` matches; `should` describes it after "must be"."""
    compiled = re.compile(expression)

    def check(value: Any) -> Any:
        if isinstance(value, str) and compiled.fullmatch(value):
            return value
        raise _fault(f"must be {should}")

    return BeforeValidator(check)


def mac_address(*, source: bool) -> BeforeValidator:
    """A MAC address such as `02:00:00:00:00:01`; as a source, one that a single station can own."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or not _MAC.fullmatch(value):
            raise _fault('must be six bytes in hexadecimal with colons, as in "02:00:00:00:00:01"')
        octets = bytes.fromhex(value.replace(":", ""))
        if not any(octets):
            raise _fault('must not be all zero; "02:00:00:00:00:01" would do')
        if source and octets[0] & 1:
            raise _fault('is a multicast address, no source; "02:00:00:00:00:01" would do')
        return value

    return BeforeValidator(check)


def listed(should: str, *, low: int = 0, high: int | None = None) -> BeforeValidator:
    """A list of `low` to `high` entries, made a tuple so that a frozen model is frozen to the bottom."""

    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) < low or (high is not None and len(value) > high):
            raise _fault(f"must be {should}")
        return tuple(value)

    return BeforeValidator(check)


def queue_number() -> BeforeValidator:
    """The number of a queue as a key: text, as keys are."""
    return matching("[0-9]|1[0-5]", 'a queue number from "0" to "15"')


def rxq() -> BeforeValidator:
    """A receive queue as `"port:qid"`."""
    return matching(_RXQ.pattern, 'a receive queue as "PORT:QID", as in "src:0"')


def frame_size() -> BeforeValidator:
    """A size in bytes, `"imix"`, or a list of `[size, weight]`, where each bad pair is a fault of its own."""
    sizes = f"from {FRAME_SIZE_MIN} to {FRAME_SIZE_MAX}"

    def check(value: Any) -> Any:
        if value == "imix" or (_is_int(value) and FRAME_SIZE_MIN <= value <= FRAME_SIZE_MAX):
            return value
        if not isinstance(value, list | tuple):
            raise _fault(f'must be a size in bytes {sizes}, "imix", or a list of [size, weight]')
        if not 1 <= len(value) <= _MIX_MAX:
            raise _fault(f"must hold 1 to {_MIX_MAX} pairs of [size, weight], not {len(value)}")
        should = f"must be [size, weight], size {sizes} bytes, weight from 1 to {_WEIGHT_MAX}"
        bad = [(f"[{at}]", pair, should) for at, pair in enumerate(value) if not _is_weighted_size(pair)]
        if bad:
            raise fault_at(bad)
        return tuple(tuple(pair) for pair in value)

    return BeforeValidator(check)


def _is_weighted_size(pair: Any) -> bool:
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(map(_is_int, pair)):
        return False
    size, weight = pair
    return bool(FRAME_SIZE_MIN <= size <= FRAME_SIZE_MAX and 1 <= weight <= _WEIGHT_MAX)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def _nearest_powers(value: int) -> str:
    above = 1 << value.bit_length()
    return f"{above >> 1} or {above}"


def fault_at(parts: list[tuple[str, Any, str]]) -> PydanticCustomError:
    """One fault for each (what follows in the key, value, text)."""
    # The texts travel as context: in a message template their braces would be taken for fields.
    said = "; ".join(f"{suffix.lstrip('.')} {text}".lstrip() for suffix, _, text in parts)
    return PydanticCustomError(FAULT_TYPE, "{said}", {"parts": parts, "said": said})


def _fault(should: str) -> PydanticCustomError:
    return fault_at([("", None, should)])
