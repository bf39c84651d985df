# SPDX-License-Identifier: BSD-3-Clause
"""The deferral engine with policy "fifo", through Python callables: the semantics of the Open vSwitch design."""

from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EINPROGRESS, ENOENT, ETIMEDOUT
from random import Random
from typing import Any

import pytest

from pydpdk_defer import Deferral

NEAR_WRAP = 2**32 - 5


def counters(engine: Deferral) -> tuple[int, int, int, int, int]:
    stats = engine.stats
    return (
        stats.work_deferred,
        stats.work_in_progress,
        stats.work_ring_full,
        stats.work_done,
        stats.work_dropped,
    )


@dataclass
class Send:
    """A send that answers "in progress" some times, then `answer`; forced it answers `forced`."""

    in_progress: int = 0
    answer: int = 0
    forced: int = 0
    calls: list[tuple[int, bool]] = field(default_factory=list)

    def process_async(self, qid: int, force: bool) -> int:
        self.calls.append((qid, force))
        if force:
            return self.forced
        if self.in_progress > 0:
            self.in_progress -= 1
            return -EINPROGRESS
        return self.answer

    def defer_to(self, engine: Deferral, qid: int = 0) -> None:
        engine.defer(Send.process_async, self, qid)


def test_an_empty_ring_has_no_work() -> None:
    engine = Deferral()
    assert engine.do_work() == -ENOENT
    assert engine.do_all_work() == 0
    assert counters(engine) == (0, 0, 0, 0, 0)


def test_an_item_in_progress_stays_at_the_head() -> None:
    engine = Deferral()
    first, second = Send(in_progress=2), Send()
    first.defer_to(engine, 7)
    second.defer_to(engine, 8)
    assert [engine.do_work() for _ in range(5)] == [-EINPROGRESS, -EINPROGRESS, 0, 0, -ENOENT]
    assert first.calls == [(7, False)] * 3
    assert second.calls == [(8, False)]
    assert counters(engine) == (2, 2, 0, 2, 0)


def test_any_other_answer_is_done() -> None:
    engine = Deferral()
    Send(answer=-ETIMEDOUT).defer_to(engine)
    assert engine.do_work() == 0
    assert counters(engine) == (1, 0, 0, 1, 0)


@pytest.mark.parametrize(("forced", "done", "dropped"), [(0, 1, 0), (-ETIMEDOUT, 0, 1), (5, 0, 1)])
def test_an_item_over_the_limit_is_forced_and_leaves(forced: int, done: int, dropped: int) -> None:
    engine = Deferral(attempt_limit=3)
    send = Send(in_progress=10**6, forced=forced)
    send.defer_to(engine)
    assert [engine.do_work() for _ in range(5)] == [-EINPROGRESS] * 3 + [0, -ENOENT]
    assert send.calls == [(0, False)] * 4 + [(0, True)]
    assert counters(engine) == (1, 4, 0, done, dropped)


def test_a_full_ring_is_counted_once_and_worked_on_until_there_is_room() -> None:
    engine = Deferral(ring_size=4)
    sends = [Send(in_progress=5), Send(), Send()]
    for send in sends:
        send.defer_to(engine)
    assert engine.pending == 3  # full at size - 1
    assert engine.stats.work_ring_full == 0
    Send().defer_to(engine)
    assert engine.pending == 3
    assert len(sends[0].calls) == 6
    assert sends[1].calls == []
    assert counters(engine) == (4, 5, 1, 1, 0)


def test_do_all_work_ends_and_says_how_many_left() -> None:
    engine = Deferral(attempt_limit=10)
    for in_progress in (0, 3, 10**6):
        Send(in_progress=in_progress, forced=-1).defer_to(engine)
    assert engine.do_all_work() == 3
    assert engine.pending == 0
    assert counters(engine) == (3, 3 + 11, 0, 2, 1)


def test_an_iteration_works_until_the_first_item_in_progress() -> None:
    engine = Deferral()
    for in_progress in (0, 0, 1, 0):
        Send(in_progress=in_progress).defer_to(engine)
    assert [engine.do_iteration() for _ in range(3)] == [2, 2, 0]


def test_iteration_delay_lets_an_item_rest_in_the_main_loop_only() -> None:
    engine = Deferral(iteration_delay=2)
    Send().defer_to(engine)
    assert [engine.do_iteration() for _ in range(3)] == [0, 0, 1]
    Send().defer_to(engine)
    assert engine.do_work() == 0


def test_an_exception_passes_through_and_the_item_stays() -> None:
    engine = Deferral()
    answers: list[Callable[[], int]] = [lambda: 1 // 0, lambda: 0]
    engine.defer(lambda port, qid, force: answers.pop(0)(), None, 0)
    with pytest.raises(ZeroDivisionError):
        engine.do_work()
    assert engine.pending == 1
    assert engine.do_work() == 0
    assert counters(engine) == (1, 0, 0, 1, 0)


def test_an_exception_of_a_forced_call_passes_through_and_the_item_leaves() -> None:
    engine = Deferral(attempt_limit=1)
    engine.defer(lambda port, qid, force: 1 // 0 if force else -EINPROGRESS, None, 0)
    assert engine.do_work() == -EINPROGRESS
    with pytest.raises(ZeroDivisionError):
        engine.do_work()
    assert counters(engine) == (1, 2, 0, 0, 1)


def test_an_error_while_room_is_made_costs_no_item() -> None:
    engine = Deferral(ring_size=2, attempt_limit=1)
    engine.defer(lambda port, qid, force: 1 // 0 if force else -EINPROGRESS, None, 0)
    last = Send()
    with pytest.raises(ZeroDivisionError):
        last.defer_to(engine, 9)
    assert engine.pending == 1
    assert engine.do_work() == 0
    assert last.calls == [(9, False)]
    assert counters(engine) == (2, 2, 1, 1, 1)


def test_a_work_function_may_defer_more_but_not_do_work() -> None:
    engine = Deferral(ring_size=4)

    def defers_more(port: object, qid: int, force: bool) -> int:
        Send().defer_to(engine)
        return 0

    engine.defer(defers_more, None, 0)
    assert engine.do_all_work() == 2
    engine.defer(lambda port, qid, force: engine.do_work(), None, 0)
    with pytest.raises(RuntimeError, match="a work function cannot do work itself"):
        engine.do_work()
    assert engine.pending == 1


def test_an_answer_that_is_no_number_is_refused() -> None:
    engine = Deferral()
    engine.defer(lambda port, qid, force: None, None, 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="work_func must answer with a whole number, not None"):
        engine.do_work()


@pytest.mark.parametrize("ring_size", [2, 4, 128])
@pytest.mark.parametrize("seed", range(5))
def test_it_does_what_the_design_says_over_random_operations(ring_size: int, seed: int) -> None:
    random = Random(seed)
    engine = Deferral(ring_size=ring_size, attempt_limit=4, first_index=NEAR_WRAP)
    model: list[list[int]] = []  # items as [answers "in progress" left, attempts, forced answer]
    deferred = in_progress = full = done = dropped = 0

    def model_work() -> int:
        nonlocal in_progress, done, dropped
        if not model:
            return -ENOENT
        item = model[0]
        if item[0] == 0:
            model.pop(0)
            done += 1
            return 0
        item[0] -= 1
        item[1] += 1
        in_progress += 1
        if item[1] <= 4:
            return -EINPROGRESS
        model.pop(0)
        dropped, done = dropped + (item[2] != 0), done + (item[2] == 0)
        return 0

    for _ in range(3000):
        match random.randrange(10):
            case 0 | 1 | 2 | 3:
                length, forced = random.choice([0, 1, 2, 9]), random.choice([0, -1])
                if len(model) == ring_size - 1:
                    full += 1
                    while len(model) == ring_size - 1:
                        model_work()
                model.append([length, 0, forced])
                deferred += 1
                Send(in_progress=length, forced=forced).defer_to(engine)
            case 9 if random.random() < 0.1:
                while model_work() != -ENOENT:
                    pass
                engine.do_all_work()
            case _:
                assert engine.do_work() == model_work()
        assert engine.pending == len(model)
        assert counters(engine) == (deferred, in_progress, full, done, dropped)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"ring_size": 3}, ValueError, "ring_size must be a power of two, not 3"),
        ({"ring_size": 1}, ValueError, "ring_size must be from 2 to 65536, not 1"),
        ({"ring_size": 131072}, ValueError, "from 2 to 65536"),
        ({"ring_size": "128"}, TypeError, "ring_size must be a whole number"),
        ({"attempt_limit": 0}, ValueError, "attempt_limit must be from 1"),
        ({"iteration_delay": 256}, ValueError, "iteration_delay must be from 0 to 255, not 256"),
        ({"policy": "lifo"}, ValueError, "policy 'lifo' is not known; there is: fifo"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text.replace("(", r"\(")):
        Deferral(**arguments)


def test_wrong_items_are_refused() -> None:
    engine = Deferral()
    with pytest.raises(TypeError, match="work_func must be callable"):
        engine.defer(None, None, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="qid must be from 0 to 65535, not 65536"):
        engine.defer(lambda port, qid, force: 0, None, 65536)
    assert engine.pending == 0


def test_items_keep_their_port_alive_and_let_go_of_it() -> None:
    import weakref

    engine = Deferral()
    send = Send()
    watch = weakref.ref(send)
    send.defer_to(engine)
    del send
    assert watch() is not None
    assert engine.do_work() == 0
    assert watch() is None
