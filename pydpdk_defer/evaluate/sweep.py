# SPDX-License-Identifier: BSD-3-Clause
"""The order of an evaluation: points, engines in turn, rates, what is repeated and what is left out.

It knows no DPDK. What measures is a `Measurer`; where results go is a function.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from pydpdk_defer.errors import DeferError
from pydpdk_defer.evaluate.axes import Axes, Engine, Point
from pydpdk_defer.evaluate.records import Phase, PointRecord, Repetition
from pydpdk_defer.evaluate.schedule import Schedule

__all__ = ["CorruptionError", "Measurer", "Sweep"]

_OFFERED_SHARE = 0.5
_VERIFIED_FRAMES = 2000
_ALIKE = 0.8  # a fork that delivers so much of what the first one did is offered the same


CORRUPTION = "the evaluation ends, as data is not what it was"


class CorruptionError(DeferError):
    """What arrived is not what was sent."""


class Measurer(Protocol):
    """Who measures. A `DeferError` of `measure` makes a failed repetition, and `recover` is called."""

    def prepare(self, point: Point) -> None:
        """Make ready for this point; a point that differs in frames or burst alone needs nothing."""

    def measure(self, point: Point, engine: Engine, rate_pps: float, seconds: float) -> Mapping[str, Any]:
        """One slice; the fields of a `Repetition` that it fills. `rate_pps` 0: as fast as it goes."""

    def verify(self, point: Point, engine: Engine, frames: int) -> str:
        """Send so many frames and prove every byte; what is wrong in words, or ""."""

    def recover(self) -> None:
        """Make ready again after an error."""

    def renew(self) -> None:
        """From the next `prepare` on measure in new processes."""


Progress = Callable[[int, int, Point], None]


class Sweep:
    """Goes through the points of `axes`, once for each fork, and gives each repetition to `keep` as it comes.

    `done`: repetitions of an earlier part of the same evaluation; rounds that are whole are not measured again.
    """

    def __init__(
        self,
        axes: Axes,
        schedule: Schedule,
        measurer: Measurer,
        keep: Callable[[Repetition], None],
        *,
        evaluation: str,
        done: Iterable[Repetition] = (),
        progress: Progress | None = None,
        until: Callable[[], bool] | None = None,
    ) -> None:
        self._axes = axes
        self._schedule = schedule
        self._measurer = measurer
        self._keep = keep
        self._evaluation = evaluation
        self._done: dict[tuple[Point, Phase], dict[int, dict[Engine, Repetition]]] = {}
        for repetition in done:
            if not repetition.failure:
                rounds = self._done.setdefault((repetition.point.point(), repetition.phase), {})
                rounds.setdefault(repetition.round, {})[repetition.engine] = repetition
        self._progress = progress or (lambda _done, _total, _point: None)
        self._until = until or (lambda: False)
        self._fork = 0
        self._warm_up_pps: dict[Engine, float] = {}  # of the point that is measured

    def run(self) -> bool:
        """All points; false when `until()` was true first. `CorruptionError` ends it."""
        points = self._axes.points()
        total = self._schedule.forks * len(points)
        measured_by: int | None = None  # which fork the present processes are
        for fork in range(self._schedule.forks):
            self._fork = fork
            verified: dict[str, int] = {}
            for number, point in enumerate(points, fork * len(points)):
                if self._until():
                    return False
                self._progress(number, total, point)
                if self._is_whole(point):
                    continue
                if measured_by not in (None, fork):
                    self._measurer.renew()
                measured_by = fork
                if self._prepared(point):
                    count = verified[point.device] = verified.get(point.device, -1) + 1
                    is_sample = count % self._schedule.verify_every == 0 or point.frames == self._axes.largest_frame
                    if not is_sample or self._verified(point):
                        self._measure(point)
        self._progress(total, total, points[-1])
        return not self._until()

    def _wanted(self, phase: Phase) -> range:
        """The rounds of the present fork."""
        if phase == "no_loss":
            return range(0 if self._schedule.no_loss is None else 1)  # done in the first fork, if all goes well
        rounds = self._schedule.full_rounds if phase == "full" else self._schedule.rounds
        return range(self._fork * rounds, (self._fork + 1) * rounds)

    def _is_whole(self, point: Point) -> bool:
        phases: tuple[Phase, ...] = ("full", "paced", "no_loss")
        return all(self._is_whole_phase(point, phase) for phase in phases)

    def _is_whole_phase(self, point: Point, phase: Phase) -> bool:
        return not self._missing(point, phase)

    def _missing(self, point: Point, phase: Phase) -> list[int]:
        return [number for number in self._wanted(phase) if not self._is_done(point, phase, number)]

    def _is_done(self, point: Point, phase: Phase, number: int) -> bool:
        return self._done.get((point, phase), {}).get(number, {}).keys() >= set(self._axes.engines)

    def _prepared(self, point: Point) -> bool:
        try:
            self._measurer.prepare(point)
        except DeferError as error:
            self._fail(point, "full", self._axes.engines[0], self._wanted("full")[0], error)
            return False
        return True

    def _verified(self, point: Point) -> bool:
        for engine in self._axes.engines:
            try:
                wrong = self._measurer.verify(point, engine, _VERIFIED_FRAMES)
            except DeferError as error:
                self._fail(point, "full", engine, self._wanted("full")[0], error)
                self._recover()
                return False
            if wrong:
                corruption = CorruptionError(
                    f"{CORRUPTION}: by {engine} copy, {point}: {wrong}",
                    0,
                    "do not use a copy engine that changes data; look at the device, its driver and the kernel's log",
                )
                self._fail(point, "full", engine, self._wanted("full")[0], corruption)
                raise corruption
        return True

    def _measure(self, point: Point) -> None:
        self._warm_up_pps = {}
        for number in range(self._schedule.warm_up_rounds):
            self._round(point, "full", 0.0, number, is_kept=False)
        self._rounds(point, "full", 0.0)
        rate = self._offered_rate(point)
        if rate == 0 and not self._until() and self._is_whole_phase(point, "full"):
            nothing = DeferError("an engine delivered nothing at full load, so there is no common rate: see the drops")
            self._fail(point, "paced", self._axes.engines[0], self._wanted("paced")[0], nothing)
        if rate > 0:
            self._rounds(point, "paced", rate)
            if self._schedule.no_loss is not None and self._missing(point, "no_loss"):
                self._no_loss(point, self._schedule.no_loss)

    def _no_loss(self, point: Point, loss_ratio: float) -> None:
        """For each engine the rate, and a slice at that rate."""
        from pydpdk_defer.evaluate.no_loss import no_loss_rate

        for engine in self._axes.engines:
            if self._until() or self._is_measured(point, "no_loss", engine, 0):
                continue
            highest = 2 * max(self._rates(point, engine), default=0.0)
            try:
                rate = no_loss_rate(
                    self._measurer, point, engine, loss_ratio=loss_ratio, highest_pps=highest, until=self._until
                )
                seconds = self._schedule.slice_seconds
                measured = self._measurer.measure(point, engine, rate, seconds) if rate else {}
            except DeferError as error:
                self._fail(point, "no_loss", engine, 0, error)
                if not self._until():
                    self._recover()
                continue
            self._keep(self._repetition(point, "no_loss", engine, 0, offered_pps=rate, **measured))

    def _rates(self, point: Point, engine: Engine) -> list[float]:
        """What the engine delivered at full load, round by round."""
        rounds = self._done.get((point, "full"), {}).values()
        return [of_round[engine].delivered_pps for of_round in rounds if engine in of_round]

    def _is_measured(self, point: Point, phase: Phase, engine: Engine, number: int) -> bool:
        return engine in self._done.get((point, phase), {}).get(number, {})

    def _offered_rate(self, point: Point) -> float:
        """Half of what the slowest engine can deliver: that of the first fork, unless this one is slower.

        A slice in which something else had the CPU tells nothing about an engine: the best of a fork counts.
        """
        before = {
            number: r.offered_pps
            for number, of_round in self._done.get((point, "paced"), {}).items()
            for r in of_round.values()
        }
        for number in self._wanted("paced"):
            if number in before:  # measured in part
                return before[number]
        full = self._done.get((point, "full"), {})
        of_fork = [full.get(number, {}) for number in self._wanted("full")]
        best = dict(self._warm_up_pps)
        for engine, repetition in (item for of_round in of_fork for item in of_round.items()):
            best[engine] = max(repetition.delivered_pps, best.get(engine, 0.0))
        slowest = min(best.get(engine, 0.0) for engine in self._axes.engines)
        rate = _OFFERED_SHARE * slowest
        first = before[min(before)] if before else rate
        return first if rate >= _ALIKE * first else rate

    def _rounds(self, point: Point, phase: Phase, rate_pps: float) -> None:
        for number in self._missing(point, phase):
            self._round(point, phase, rate_pps, number, is_kept=True)

    def _round(self, point: Point, phase: Phase, rate_pps: float, number: int, is_kept: bool) -> None:
        """One of each engine. What an error leaves of a round is not measured: it would be in other processes."""
        for engine in _in_turn(self._axes.engines, number):
            if self._until():
                return
            try:
                measured = self._measurer.measure(point, engine, rate_pps, self._schedule.slice_seconds)
            except DeferError as error:
                if is_kept or isinstance(error, CorruptionError):
                    self._fail(point, phase, engine, number, error)
                if isinstance(error, CorruptionError):
                    raise
                self._recover()
                if is_kept:
                    self._round(point, phase, rate_pps, number, is_kept=False)  # warm up again
                return
            if not is_kept:
                pps = measured["delivered"] / measured["delivered_seconds"] if measured["delivered_seconds"] else 0.0
                self._warm_up_pps[engine] = max(pps, self._warm_up_pps.get(engine, 0.0))
            else:
                repetition = self._repetition(point, phase, engine, number, offered_pps=rate_pps, **measured)
                self._done.setdefault((point, phase), {}).setdefault(number, {})[engine] = repetition
                self._keep(repetition)

    def _fail(self, point: Point, phase: Phase, engine: Engine, number: int, error: DeferError) -> None:
        self._keep(self._repetition(point, phase, engine, number, failure=error.strerror))

    def _recover(self) -> None:
        try:
            self._measurer.recover()
        except DeferError:
            return  # the next slice fails and says why

    def _repetition(self, point: Point, phase: Phase, engine: Engine, number: int, **measured: Any) -> Repetition:
        return Repetition(
            evaluation=self._evaluation,
            point=PointRecord.of(point),
            phase=phase,
            engine=engine,
            round=number,
            fork=self._fork,
            **measured,
        )


def _in_turn(engines: Sequence[Engine], number: int) -> Iterable[Engine]:
    """A B B A: what drifts with time weighs on all alike."""
    return engines if number % 2 == 0 else tuple(reversed(engines))
