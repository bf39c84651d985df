# SPDX-License-Identifier: BSD-3-Clause
"""What to measure: lists and ranges as people write them, and the points that they span."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeVar, get_args

from pydpdk_defer._topology_fields import did_you_mean
from pydpdk_defer.errors import UsageError

__all__ = [
    "Axes",
    "Engine",
    "Frames",
    "Point",
    "Policy",
    "parse_engines",
    "parse_numbers",
    "parse_policies",
    "parse_sizes",
]

Engine = Literal["cpu", "dma", "auto"]
Policy = Literal["fifo", "per_queue", "fifo+paced", "per_queue+paced"]
Frames = int | Literal["imix"]
_Word = TypeVar("_Word", bound=str)

FRAME_BYTES = (60, 16128)
BURSTS = (1, 32)
QUEUES = (1, 16)
_POINTS_MAX = 10_000
_IMIX_MEAN_BYTES = (64 * 7 + 590 * 4 + 1514) / 12


@dataclass(frozen=True)
class Point:
    """One place of the sweep, where the copy engines take turns.

    `frames`: bytes without FCS, or "imix"; `burst`: frames that are sent together, 1 to 32; `queues`: queue pairs of
    the guest, 1 to 16; `policy`: that of deferred work; `device`: a name of the evaluation's DMA devices.
    """

    frames: Frames
    burst: int
    queues: int
    policy: Policy
    device: str

    @property
    def mean_bytes(self) -> float:
        """The frame size, or the mean of the mix."""
        return _IMIX_MEAN_BYTES if self.frames == "imix" else self.frames

    @property
    def family(self) -> tuple[int, int, str, str]:
        """What points share that differ in their frames alone: a crossover belongs to it."""
        return self.burst, self.queues, self.policy, self.device

    def __str__(self) -> str:
        frames = "IMIX" if self.frames == "imix" else f"{self.frames} bytes"
        queues = f"{self.queues} queue{'s' if self.queues > 1 else ''}"
        return f"{frames}, burst {self.burst}, {queues}, {self.policy}, {self.device}"


@dataclass(frozen=True)
class Axes:
    """All that is measured: every frame size with every burst and so on. `ValueError` for axes that cannot be."""

    frames: tuple[Frames, ...]
    bursts: tuple[int, ...] = (32,)
    queues: tuple[int, ...] = (1,)
    policies: tuple[Policy, ...] = ("fifo",)
    devices: tuple[str, ...] = ("copier",)
    engines: tuple[Engine, ...] = ("cpu", "dma", "auto")

    def __post_init__(self) -> None:
        for axis in ("frames", "bursts", "queues", "policies", "devices", "engines"):
            values: tuple[object, ...] = getattr(self, axis)
            if not values:
                raise UsageError(f"{axis} is empty: nothing would be measured")
            if len(set(values)) < len(values):
                raise UsageError(f"{axis} has {Counter(values).most_common(1)[0][0]} twice")
        _check_range("a frame size", (size for size in self.frames if size != "imix"), FRAME_BYTES)
        _check_range("a burst", self.bursts, BURSTS)
        _check_range("a number of queues", self.queues, QUEUES)
        if len(self.engines) < 2:
            raise UsageError(f"engines is {self.engines[0]} alone: an evaluation compares at least two")
        if len(self.points()) > _POINTS_MAX:
            raise UsageError(f"the axes span {len(self.points())} points, more than the {_POINTS_MAX} that are allowed")

    def points(self) -> list[Point]:
        """Every point, so ordered that guest and device change as seldom as can be."""
        axes = product(self.queues, self.devices, self.policies, self.bursts, self.frames)
        return [Point(frames, burst, queues, policy, device) for queues, device, policy, burst, frames in axes]

    @property
    def largest_frame(self) -> int:
        """Bytes of the largest frame."""
        return max(1514 if frames == "imix" else frames for frames in self.frames)


def parse_sizes(text: str) -> tuple[Frames, ...]:
    """Frame sizes: "64,256,imix", "64:9000:x2" (doubled each time), "64:1500:+128"; the end of a range is in it."""
    return tuple(dict.fromkeys(_values(text, "a frame size", FRAME_BYTES, words=("imix",))))


def parse_numbers(text: str, what: str, limits: tuple[int, int]) -> tuple[int, ...]:
    """Whole numbers: a list of values and ranges, as frame sizes have them."""
    return tuple(dict.fromkeys(int(value) for value in _values(text, what, limits, words=())))


def parse_policies(text: str) -> tuple[Policy, ...]:
    """Policies of deferred work: "fifo,per_queue+paced"."""
    return _words(text, "policy", get_args(Policy))


def parse_engines(text: str) -> tuple[Engine, ...]:
    """Copy engines: "cpu,dma,auto"."""
    return _words(text, "copy engine", get_args(Engine))


def _words(text: str, what: str, known: Sequence[_Word]) -> tuple[_Word, ...]:
    chosen = []
    for word in _pieces(text, what):
        found = next((one for one in known if one == word), None)
        if found is None:
            raise UsageError(f"no {what} {word!r}; {did_you_mean(word, known, 'there are')}")
        chosen.append(found)
    return tuple(dict.fromkeys(chosen))


def _values(text: str, what: str, limits: tuple[int, int], words: Sequence[str]) -> Iterator[int | Literal["imix"]]:
    for piece in _pieces(text, what):
        if piece.lower() == "imix" and piece.lower() in words:
            yield "imix"
        elif ":" in piece:
            yield from _range(piece, what, limits)
        else:
            yield _number(piece, what, limits)


def _pieces(text: str, what: str) -> list[str]:
    pieces = [piece.strip() for piece in text.split(",")]
    if not all(pieces):
        raise UsageError(f"{text!r} lacks {what} before or after a comma" if any(pieces) else f"{what} is missing")
    return pieces


def _number(text: str, what: str, limits: tuple[int, int]) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{text!r} is not {what}: a whole number from {limits[0]} to {limits[1]}")
    _check_range(what, [int(text)], limits)
    return int(text)


def _check_range(what: str, values: "Iterator[int] | Sequence[int]", limits: tuple[int, int]) -> None:
    for value in values:
        if not limits[0] <= value <= limits[1]:
            raise UsageError(f"{value} is not {what}: it must be from {limits[0]} to {limits[1]}")


def _range(piece: str, what: str, limits: tuple[int, int]) -> Iterator[int]:
    parts = piece.split(":")
    step = parts[2] if len(parts) == 3 else ""
    if step[:1] not in ("x", "+") or not (step[1:].isascii() and step[1:].isdigit()):
        raise UsageError(f"{piece!r} is not a range: write 64:9000:x2 to double, or 64:1500:+128 to add")
    first, last, by = _number(parts[0], what, limits), _number(parts[1], what, limits), int(step[1:])
    if first > last:
        raise UsageError(f"{piece!r} is empty: {first} is more than {last}")
    if by < (2 if step[0] == "x" else 1):
        raise UsageError(f"{piece!r} never ends: {step} leads nowhere")
    value = first
    while value < last:
        yield value
        value = value * by if step[0] == "x" else value + by
    yield last
