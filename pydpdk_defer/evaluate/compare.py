# SPDX-License-Identifier: BSD-3-Clause
"""Two evaluations, point by point: what got faster, what slower, what cannot be told."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from pydpdk_defer._stats_text import rows
from pydpdk_defer.errors import UsageError
from pydpdk_defer.evaluate.axes import Frames, Point, Policy
from pydpdk_defer.evaluate.comparison import tells
from pydpdk_defer.evaluate.evaluation import Evaluation
from pydpdk_defer.evaluate.intervals import Interval, Sample, median_interval
from pydpdk_defer.evaluate.tables import connect

__all__ = ["Change", "Changes", "compare"]

Outcome = Literal["faster", "slower", "cannot be told", "lost"]
Measure = Literal["cycles/packet", "packets/s at full load", "p99 latency", "dma/cpu cycles"]

# How each is read out of the table, and whether less is better.
_MEASURES: Mapping[Measure, tuple[str, bool]] = {
    "cycles/packet": ("phase = 'paced'", True),
    "packets/s at full load": ("phase = 'full'", False),
    "p99 latency": ("phase = 'paced'", True),
}
_VALUES: Mapping[Measure, str] = {
    "cycles/packet": "cycles_per_packet",
    "packets/s at full load": "delivered_pps",
    "p99 latency": "latency_p99_us",
}
_RATIO: Measure = "dma/cpu cycles"
_KEY = "frames, burst, queues, policy, device"
_RATIOS = f"""
    SELECT side, {_KEY}, 'dma/cpu' AS engine, dma.fork, list(dma.cycles_per_packet / cpu.cycles_per_packet)
    FROM repetitions AS dma JOIN repetitions AS cpu USING (side, {_KEY}, phase, round)
    WHERE phase = 'paced' AND dma.engine = 'dma' AND cpu.engine = 'cpu'
      AND dma.cycles_per_packet > 0 AND cpu.cycles_per_packet > 0
    GROUP BY ALL
"""


@dataclass(frozen=True)
class Change:
    """One measure of one engine at one point: `before` and `after` with 95 % intervals, and the change in parts.

    `outcome` is "cannot be told" where the intervals overlap, "lost" where the later evaluation was to measure it and
    has no value: it failed, was not reached, or delivered nothing; then `after` and `change` are `None`. `change`: +0.1
    is a tenth more than before.
    """

    frames: str
    burst: int
    queues: int
    policy: str
    device: str
    engine: str
    measure: Measure
    before: Interval
    after: Interval | None
    change: float | None
    outcome: Outcome

    @property
    def point(self) -> Point:
        """Where it was measured."""
        frames: Frames = "imix" if self.frames == "imix" else int(self.frames)
        return Point(frames, self.burst, self.queues, cast(Policy, self.policy), self.device)


@dataclass(frozen=True)
class Changes:
    """All changes from one evaluation to another. `regressions`: slower by more than `tolerance` (0.1 is a tenth), or
    lost.
    """

    changes: tuple[Change, ...]
    tolerance: float
    absolute: bool
    notes: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """What was lost, or got slower by more than the tolerance: in absolute figures only if these are to count."""
        return tuple(change for change in self.changes if self._regressed(change))

    def _regressed(self, change: Change) -> bool:
        if change.change is None:
            return True
        is_judged = self.absolute or change.measure == _RATIO
        return change.outcome == "slower" and abs(change.change) > self.tolerance and is_judged

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "tolerance": self.tolerance,
            "absolute": self.absolute,
            "notes": list(self.notes),
            "changes": [asdict(change) for change in self.changes],
            "regressions": len(self.regressions),
        }

    def __str__(self) -> str:
        one_family = len({change.point.family for change in self.changes}) == 1
        table = [("frames" if one_family else "point", "copy", "measure", "before", "after", "change", "")]
        for c in self.changes:
            changed = "-" if c.change is None else f"{100 * c.change:+.1f} %"
            mark = "REGRESSION" if self._regressed(c) and c.outcome != "lost" else c.outcome
            name = c.frames if one_family else str(c.point)
            table.append((name, c.engine, c.measure, _text(c.before), _text(c.after), changed, mark))
        return "\n".join([*(f"note: {note}" for note in self.notes), *rows(table), self._total()])

    def _total(self) -> str:
        counts = {
            outcome: sum(c.outcome == outcome for c in self.changes)
            for outcome in ("faster", "slower", "cannot be told", "lost")
        }
        total = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count or outcome != "lost")
        count = len(self.regressions)
        if count:
            verdict = f"{count} regression{'s' * (count > 1)} past {100 * self.tolerance:g} %"
        elif counts["slower"] and not self.absolute:
            verdict = f"no regression of {_RATIO} past {100 * self.tolerance:g} %; --absolute judges the others too"
        else:
            verdict = "no regression"
        return f"{total}: {verdict}"


def compare(before: Evaluation, after: Evaluation, tolerance: float = 0.1, *, absolute: bool = False) -> Changes:
    """What changed at the points that both have. `ValueError` when there are none.

    Cycles, rates and latencies of two processes differ on a shared machine for no reason that either knows. So what
    counts as a regression is the ratio of DMA to CPU cycles; with `absolute` everything does, for a host of one's own.
    What was lost always does, at points that both were to measure.
    """
    with connect(before=before, after=after) as connection:
        found: dict[tuple[Any, ...], dict[str, dict[int, list[float]]]] = {}
        for measure, (which, _) in _MEASURES.items():
            value = _VALUES[measure]
            query = f"""
                SELECT side, {_KEY}, engine, fork, list({value}) FROM repetitions
                WHERE failure = '' AND {which} AND {value} > 0 GROUP BY ALL
            """
            for side, *key, fork, values in connection.execute(query).fetchall():
                found.setdefault((*key, measure), {}).setdefault(side, {})[fork] = values
        for side, *key, fork, values in connection.execute(_RATIOS).fetchall():
            found.setdefault((*key, _RATIO), {}).setdefault(side, {})[fork] = values
    changes = tuple(
        sorted(
            _changes(found, after), key=lambda c: (c.burst, c.queues, c.policy, c.device, _place(c.frames), c.engine)
        )
    )
    if not changes:
        raise UsageError(
            f"{before.folder} and {after.folder} have no point in common that was measured; "
            "compare evaluations of the same axes"
        )
    return Changes(changes, tolerance, absolute, tuple(_notes(before, after, found)))


def _changes(found: Mapping[tuple[Any, ...], Mapping[str, Sample]], later: Evaluation) -> Iterator[Change]:
    wanted = set(later.header.axes.points())
    engines = {*later.header.axes.engines, "dma/cpu"}
    for (*point, measure), sides in found.items():
        if "after" not in sides:
            frames, burst, queues, policy, device, engine = point
            then = median_interval(sides["before"])
            lost = Change(frames, burst, queues, policy, device, engine, measure, then, None, None, "lost")
            if lost.point in wanted and lost.engine in engines:
                yield lost
        if len(sides) == 2:
            before, after = median_interval(sides["before"]), median_interval(sides["after"])
            change = after.value / before.value - 1
            less_is_better = _MEASURES[measure][1] if measure in _MEASURES else True
            outcome: Outcome = "cannot be told"
            if all(map(tells, sides.values())) and not before.overlaps(after):
                outcome = "faster" if (change < 0) == less_is_better else "slower"
            frames, burst, queues, policy, device, engine = point
            yield Change(frames, burst, queues, policy, device, engine, measure, before, after, change, outcome)


def _notes(
    before: Evaluation, after: Evaluation, found: Mapping[tuple[Any, ...], Mapping[str, Sample]]
) -> Iterator[str]:
    for name, then, now in (
        ("CPU", before.header.host.get("cpu"), after.header.host.get("cpu")),
        ("DPDK", before.header.host.get("dpdk_loaded"), after.header.host.get("dpdk_loaded")),
        ("kernel", before.header.host.get("kernel"), after.header.host.get("kernel")),
        ("DMA devices", before.header.devices, after.header.devices),
        ("guest", before.header.virtio, after.header.virtio),
        ("schedule", before.header.schedule, after.header.schedule),
        ("guest's buffers", before.header.data_room, after.header.data_room),
    ):
        if then != now:
            yield f"not the same {name}: {then}, then {now}"
    for name, one in (("before", before), ("after", after)):
        yield from (f"{name}: {warning}" for warning in one.warnings)
    here, there = (set(one.header.axes.points()) for one in (before, after))
    for points, side in ((here - there, "before"), (there - here, "after")):
        if points:
            yield f"only {side} has {len(points)} of the points, the first one {min(points, key=str)}"


def _place(frames: str) -> float:
    return float(frames) if frames.isdigit() else float("inf")


def _text(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return (
        f"{interval.value:,.3g} ({interval.low:,.3g} to {interval.high:,.3g})"
        if interval.value < 100
        else (f"{interval.value:,.0f} ({interval.low:,.0f} to {interval.high:,.0f})")
    )
