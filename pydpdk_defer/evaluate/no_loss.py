# SPDX-License-Identifier: BSD-3-Clause
"""The highest rate that loses no more than it may, by MLRsearch (draft-ietf-bmwg-mlrsearch)."""

from collections.abc import Callable
from errno import EINTR, ETIMEDOUT

from MLRsearch import (
    AbstractMeasurer,
    Config,
    MeasurementResult,
    MultipleLossRatioSearch,
    SearchGoal,
)

from pydpdk_defer.errors import DeferError
from pydpdk_defer.evaluate.axes import Engine, Point
from pydpdk_defer.evaluate.sweep import Measurer

__all__ = ["no_loss_rate"]

_LOWEST_PPS = 1000.0
_RELATIVE_WIDTH = 0.05
_TRIALS = 3  # as long as the final ones, at a rate that is to count
_LONGEST_SECONDS = 300.0
_SLACK = 0.01  # of a trial's frames: its begin and its end are not sharper than that


def no_loss_rate(
    measurer: Measurer,
    point: Point,
    engine: Engine,
    *,
    loss_ratio: float,
    highest_pps: float,
    until: Callable[[], bool] = lambda: False,
    seconds: float = 1.0,
) -> float:
    """Packets/s, to 5 %, of which no more than the part `loss_ratio` is lost in half of the trials or more; 0: none.

    `highest_pps`: where to begin, beyond what was delivered at full load. `seconds`: of a final trial; first ones are a
    quarter of it. They must be long beside what the guest's ring holds. Raises `DeferError` when `until()`, asked
    before each trial, is true, and when 5 minutes do not suffice.
    """
    goal = SearchGoal(
        loss_ratio=loss_ratio,
        exceed_ratio=0.5,
        relative_width=_RELATIVE_WIDTH,
        initial_trial_duration=seconds / 4,
        final_trial_duration=seconds,
        duration_sum=_TRIALS * seconds,
        preceding_targets=1,
        fail_fast=False,
    )
    config = Config()
    config.goals = [goal]
    config.min_load = _LOWEST_PPS
    config.max_load = max(highest_pps, 2 * _LOWEST_PPS)
    config.search_duration_max = _LONGEST_SECONDS
    config.warmup_duration = seconds / 4
    trial = _Trial(measurer, point, engine, until)
    try:
        found = MultipleLossRatioSearch(config).search(trial, debug=lambda _text: None)[goal]
    except RuntimeError as error:  # it takes too long
        raise DeferError(f"the search for the rate without loss did not end: {error}", ETIMEDOUT) from error
    bound = found.relevant_lower_bound
    return 0.0 if bound is None else float(bound)


class _Trial(AbstractMeasurer):  # type: ignore[misc]  # MLRsearch has no types
    def __init__(self, measurer: Measurer, point: Point, engine: Engine, until: Callable[[], bool]) -> None:
        self._measurer, self._point, self._engine, self._until = measurer, point, engine, until

    def measure(self, intended_duration: float, intended_load: float) -> MeasurementResult:
        """What the thread was too late to send counts as lost too: it is the same thread that copies."""
        if self._until():
            raise DeferError("the search for the rate without loss was ended", EINTR)
        measured = self._measurer.measure(self._point, self._engine, intended_load, intended_duration)
        sent, delivered = measured["sent"], measured["delivered"]
        intended = round(intended_load * measured["seconds"] * (1 - _SLACK))
        return MeasurementResult(
            intended_duration=intended_duration,
            intended_load=intended_load,
            offered_count=sent,
            forwarding_count=delivered,
            intended_count=max(sent, intended),
            duration_with_overheads=measured["seconds"],
        )
