# SPDX-License-Identifier: BSD-3-Clause
"""How often and how long an evaluation measures."""

from dataclasses import dataclass

from pydpdk_defer.errors import UsageError

__all__ = ["QUICK", "Schedule"]

# What one slice takes beside its own time: a lead-in, the engine's change, the end of what is in flight, the guest.
_SLICE_OVERHEAD_SECONDS = 0.05
_POINT_OVERHEAD_SECONDS = 0.2
_START_SECONDS = 4.0
_FORK_SECONDS = 3.0
_SEARCH_TRIALS = 25  # bring a search to its end, about
_TRIAL_SECONDS = 1.0


@dataclass(frozen=True)
class Schedule:
    """How often and how long. In each round every engine has one slice.

    `forks`: everything is measured by so many pairs of processes, one after the other: what a process has by chance,
    such as where its memory lies, makes them differ by more than their rounds show. Each does `rounds` at the same rate
    and `full_rounds` as fast as it goes, after `warm_up_rounds`. `verify_every`: at every so many points of a device
    the payload is proved first, at its largest frames always. `no_loss`: also search the highest rate that loses no
    more than this part, 0 for none; `None`: no search.
    """

    forks: int = 5
    rounds: int = 3
    full_rounds: int = 2
    warm_up_rounds: int = 1
    slice_seconds: float = 0.1
    verify_every: int = 4
    no_loss: float | None = None

    def __post_init__(self) -> None:
        for name in ("forks", "rounds", "full_rounds", "warm_up_rounds", "verify_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if not 0.01 <= self.slice_seconds <= 10:
            raise UsageError(f"a slice must last 10 ms to 10 s, not {self.slice_seconds * 1000:g} ms")
        if self.no_loss is not None and not 0 <= self.no_loss < 1:
            raise UsageError(f"no_loss must be from 0 to less than 1, not {self.no_loss:g}")

    def repetitions(self, engines: int) -> int:
        """Measured slices of one point."""
        return engines * self.forks * (self.rounds + self.full_rounds)

    def slices(self, engines: int) -> int:
        """The same, and those that warm up."""
        return self.repetitions(engines) + engines * self.forks * self.warm_up_rounds

    def seconds(self, points: int, engines: int) -> float:
        """An estimate of how long so many points take."""
        of_point = (
            self.slices(engines) * (self.slice_seconds + _SLICE_OVERHEAD_SECONDS) + self.forks * _POINT_OVERHEAD_SECONDS
        )
        if self.no_loss is not None:
            of_point += engines * _SEARCH_TRIALS * _TRIAL_SECONDS
        return _START_SECONDS + (self.forks - 1) * _FORK_SECONDS + points * of_point


QUICK = Schedule(rounds=2, full_rounds=1, slice_seconds=0.04, verify_every=100)
