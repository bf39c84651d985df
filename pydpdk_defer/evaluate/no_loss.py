# SPDX-License-Identifier: BSD-3-Clause
"""The highest rate that loses no more than it may, by MLRsearch (draft-ietf-bmwg-mlrsearch)."""

from MLRsearch import (
    AbstractMeasurer,
    Config,
    MeasurementResult,
    MultipleLossRatioSearch,
    SearchGoal,
)

from pydpdk_defer.evaluate.axes import Engine, Point
from pydpdk_defer.evaluate.sweep import Measurer

__all__ = ["no_loss_rate"]

_LOWEST_PPS = 1000.0
_RELATIVE_WIDTH = 0.05
_TRIALS = 5  # as long as the final ones, at a rate that is to count
_LONGEST_SECONDS = 300.0
_SLACK = 0.01  # of a trial's frames: its begin and its end are not sharper than that


def no_loss_rate(
    measurer: Measurer, point: Point, engine: Engine, *, loss_ratio: float, highest_pps: float, seconds: float
) -> float:
    """Packets/s, to 5 %, of which no more than the part `loss_ratio` is lost in half of the trials or more; 0: none.

    `highest_pps`: where to begin, such as the rate delivered at full load. `seconds`: of a final trial; first ones are
    half as long.
    """
    goal = SearchGoal(
        loss_ratio=loss_ratio,
        exceed_ratio=0.5,
        relative_width=_RELATIVE_WIDTH,
        initial_trial_duration=seconds / 2,
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
    config.warmup_duration = seconds
    found = MultipleLossRatioSearch(config).search(_Trial(measurer, point, engine), debug=lambda _text: None)[goal]
    bound = found.relevant_lower_bound
    return 0.0 if bound is None else float(bound)


class _Trial(AbstractMeasurer):  # type: ignore[misc]  # MLRsearch has no types
    def __init__(self, measurer: Measurer, point: Point, engine: Engine) -> None:
        self._measurer, self._point, self._engine = measurer, point, engine

    def measure(self, intended_duration: float, intended_load: float) -> MeasurementResult:
        """What the thread was too late to send counts as lost too: it is the same thread that copies."""
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
