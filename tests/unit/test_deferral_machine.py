# SPDX-License-Identifier: BSD-3-Clause
"""The deferral engine beside a plain model, driven by Hypothesis: each answer, each counter, each call."""

from collections.abc import Callable
from dataclasses import dataclass
from errno import ECANCELED, EINPROGRESS, ETIMEDOUT
from typing import Any, Literal
from weakref import WeakSet

import pytest
from deferral_model import FifoModel, PerQueueModel
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from pydpdk_defer import Deferral

PROFILE = settings(max_examples=100, stateful_step_count=40, derandomize=True, database=None, deadline=None)
QUEUES = [(port, qid) for port in range(3) for qid in (0, 1, 65535)]


class SendError(Exception):
    """What a work function raises."""


@dataclass(frozen=True)
class Script:
    """A send: what it answers to one call after another, None for an exception; then `last` for ever.

    With each call it defers the next of `more` first. `forced`: its answer to force.
    """

    answers: tuple[int | None, ...] = ()
    last: int = 0
    forced: int | None = 0
    more: "tuple[tuple[tuple[int, int], Script], ...]" = ()


codes = st.sampled_from([0, 0, -ETIMEDOUT, -ECANCELED, 7])
often = st.integers(0, 8).map(lambda count: (-EINPROGRESS,) * count)
mixed = st.lists(st.sampled_from([-EINPROGRESS, None]), max_size=5).map(tuple)
plain = st.builds(
    Script,
    answers=often | mixed,
    last=codes | st.just(-EINPROGRESS),
    forced=codes | st.none(),
)
queues = st.sampled_from(QUEUES)
scripts = plain | st.builds(
    lambda script, more: Script(script.answers, script.last, script.forced, tuple(more)),
    plain,
    st.lists(st.tuples(queues, plain | st.builds(Script, more=st.tuples(st.tuples(queues, plain)))), max_size=3),
)


class Port:
    """Only its identity counts."""


class Side:
    """An engine or its model, and what it called."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.ports = [Port() for _ in range(3)]
        self.calls: list[tuple[str, int, bool]] = []
        self.alive: WeakSet[Play] = WeakSet()

    def defer(self, name: str, queue: tuple[int, int], script: Script) -> Any:
        return self.engine.defer(Play(self, name, script), self.ports[queue[0]], queue[1])


class Play:
    """A script on its way through one side."""

    def __init__(self, side: Side, name: str, script: Script) -> None:
        self.side = side
        self.name = name
        self.script = script
        self.answers = list(script.answers)
        self.more = list(enumerate(script.more))
        side.alive.add(self)

    def __call__(self, port: Port, qid: int, force: bool) -> int:
        self.side.calls.append((self.name, qid, force))
        if self.more:
            number, (queue, script) = self.more.pop(0)
            self.side.defer(f"{self.name}.{number}", queue, script)
        answer = self.script.forced if force else self.answers.pop(0) if self.answers else self.script.last
        if answer is None:
            raise SendError(f"{self.name} force={force}")
        return answer


def outcome(action: Callable[[], Any]) -> object:
    try:
        return action()
    except (SendError, RuntimeError) as error:
        return type(error), str(error)


class Machine(RuleBasedStateMachine):
    """The same operations on both sides."""

    policy: Literal["fifo", "per_queue"] = "fifo"

    @initialize(
        bits=st.integers(1, 10),
        attempt_limit=st.integers(1, 6) | st.just(1000),
        iteration_delay=st.integers(0, 3) | st.just(255),
        on_full=st.sampled_from(["wait", "wait", "drop"]),
        below_wrap=st.integers(0, 2100),
    )
    def make(
        self,
        bits: int,
        attempt_limit: int,
        iteration_delay: int,
        on_full: Literal["wait", "drop"],
        below_wrap: int,
    ) -> None:
        size = 2**bits
        real = Deferral(
            size,
            attempt_limit,
            self.policy,
            iteration_delay=iteration_delay,
            on_full=on_full,
            first_index=(2**32 - below_wrap) % 2**32,
        )
        model = {"fifo": FifoModel, "per_queue": PerQueueModel}[self.policy]
        self.sides = [Side(real), Side(model(size, attempt_limit, iteration_delay, on_full))]
        self.names = 0

    def both(self, action: Callable[[Side], Any]) -> None:
        real, model = (outcome(lambda side=side: action(side)) for side in self.sides)  # type: ignore[misc]
        assert real == model
        assert self.sides[0].calls == self.sides[1].calls
        for side in self.sides:
            side.calls.clear()

    @rule(queue=queues, script=scripts)
    def defer(self, queue: tuple[int, int], script: Script) -> None:
        self.names += 1
        self.both(lambda side: side.defer(str(self.names), queue, script))

    @rule(queue=queues, script=plain, count=st.integers(2, 20))
    def defer_many(self, queue: tuple[int, int], script: Script, count: int) -> None:
        for _ in range(count):
            self.defer(queue, script)

    @rule(queue=queues)
    def fill(self, queue: tuple[int, int]) -> None:
        """So that the next one finds the ring full."""
        model = self.sides[1].engine
        while len(model.ring_of((id(self.sides[1].ports[queue[0]]), queue[1]))) < model.room:
            self.defer(queue, Script())

    @rule(count=st.integers(1, 12))
    def do_work(self, count: int) -> None:
        for _ in range(count):
            self.both(lambda side: side.engine.do_work())

    @rule(count=st.integers(1, 5))
    def do_iteration(self, count: int) -> None:
        for _ in range(count):
            self.both(lambda side: side.engine.do_iteration())

    @rule()
    def do_all_work(self) -> None:
        self.both(lambda side: side.engine.do_all_work())

    @rule()
    def quiesce(self) -> None:
        self.both(lambda side: side.engine.quiesce())

    @invariant()
    def same_figures(self) -> None:
        if not hasattr(self, "sides"):
            return
        real, model = (side.engine for side in self.sides)
        stats = real.stats
        assert (stats.work_deferred, stats.work_in_progress, stats.work_ring_full) == (
            model.deferred,
            model.in_progress,
            model.ring_full,
        )
        assert (stats.work_done, stats.work_dropped) == (model.done, model.dropped)
        assert real.pending == model.pending
        assert real.pending == stats.work_deferred - stats.work_done - stats.work_dropped

    @invariant()
    def what_left_is_let_go(self) -> None:
        if hasattr(self, "sides"):
            assert len(self.sides[0].alive) == self.sides[0].engine.pending


class PerQueueMachine(Machine):
    policy = "per_queue"


@pytest.mark.parametrize("machine", [Machine, PerQueueMachine], ids=["fifo", "per_queue"])
def test_the_engine_does_what_the_model_does(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=PROFILE)
