# SPDX-License-Identifier: BSD-3-Clause
"""What snapshots are made of: records whose fields are keys too, their differences, and times that were counted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

__all__ = ["Record", "Times", "plain"]


class Record:
    """A frozen dataclass whose fields are keys too."""

    levels: ClassVar[frozenset[str]] = frozenset()
    identity: ClassVar[str | None] = None  # the field that tells one from another of a tuple; None: its place

    def __getitem__(self, name: str) -> Any:
        if name not in self.keys():
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> tuple[str, ...]:
        return tuple(f.name for f in fields(self))  # type: ignore[arg-type]

    def __sub__(self, before: Self) -> Self:
        values = {}
        for f in fields(self):  # type: ignore[arg-type]
            now = getattr(self, f.name)
            values[f.name] = now if f.name in self.levels else _difference(now, getattr(before, f.name))
        return type(self)(**values)


def _difference(now: Any, before: Any) -> Any:
    if isinstance(now, Mapping):
        return {key: _difference(value, before[key]) if key in before else value for key, value in now.items()}
    if isinstance(now, tuple):
        old = _by_identity(before)
        return tuple(_difference(item, old[key]) if key in old else item for key, item in _by_identity(now).items())
    if isinstance(now, str) or now is None:
        return now
    return now - before


def _by_identity(items: tuple[Any, ...]) -> dict[Any, Any]:
    return {
        item[item.identity] if isinstance(item, Record) and item.identity else place: item
        for place, item in enumerate(items)
    }


@dataclass(frozen=True)
class Times:
    """How long things took: whole nanoseconds, up to 0.1 % too many, and how many took so long."""

    counts: Mapping[int, int]

    def __sub__(self, before: Self) -> Self:
        more = {ns: count - before.counts.get(ns, 0) for ns, count in self.counts.items()}
        return type(self)({ns: count for ns, count in more.items() if count})

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self.counts.values())

    @property
    def mean_us(self) -> float:
        """0 when nothing was counted, as all times are then."""
        return sum(ns * count for ns, count in self.counts.items()) / self.count / 1000 if self.counts else 0.0

    def percentile_us(self, percent: float) -> float:
        """The time that `percent` % of all did not exceed, in microseconds; 0 when nothing was counted."""
        return self.percentiles_us((percent,))[0]

    def percentiles_us(self, percents: Sequence[float]) -> list[float]:
        """`percentile_us` of each of `percents`, which must ascend, in one pass over the counts."""
        for percent in percents:
            if not 0 <= percent <= 100:
                raise ValueError(f"percent must be from 0 to 100, not {percent}")
        found: list[float] = []
        total, seen = self.count, 0
        for ns, count in sorted(self.counts.items()):
            seen += count
            while len(found) < len(percents) and seen * 100 >= percents[len(found)] * total:
                found.append(ns / 1000)
        return found + [0.0] * (len(percents) - len(found))

    def to_dict(self) -> dict[str, float]:
        """The usual percentiles, in microseconds."""
        p50, p99, p999, most = self.percentiles_us((50, 99, 99.9, 100))
        return {
            "count": self.count,
            "mean_us": self.mean_us,
            "p50_us": p50,
            "p99_us": p99,
            "p999_us": p999,
            "max_us": most,
        }


def plain(value: Any) -> Any:
    """The same as dictionaries, lists and numbers."""
    if isinstance(value, Times):
        return value.to_dict()
    if isinstance(value, Record):
        return {name: plain(value[name]) for name in value}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
