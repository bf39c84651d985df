# SPDX-License-Identifier: BSD-3-Clause
"""The deferral engine's options, by a clock that only the tests move: deadline, full rings, charges, pacing, stalls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from errno import ECANCELED, EINPROGRESS
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydpdk_defer import Deferral

Policy = Literal["fifo", "per_queue"]
policies: st.SearchStrategy[Policy] = st.sampled_from(["fifo", "per_queue"])
bounded = settings(max_examples=60, derandomize=True, database=None, deadline=None)


@dataclass
class Clock:
    """Nanoseconds. Each reading moves it on by `step`, as a wait would never end on a clock that stands still."""

    now: int = 10**9
    step: int = 0

    def __call__(self) -> int:
        self.now += self.step
        return self.now


@dataclass
class Copy:
    """A send that is done at `done_at`; each call takes `takes`. Keeps when it was asked, and when it was forced."""

    clock: Clock
    done_at: float
    takes: int = 0
    asked: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)

    def __call__(self, port: object, qid: int, force: bool) -> int:
        (self.forced if force else self.asked).append(self.clock.now)
        done = self.clock.now >= self.done_at
        self.clock.now += self.takes
        return 0 if done else -ECANCELED if force else -EINPROGRESS


NEVER = float("inf")


@bounded
@given(policy=policies, deadline_us=st.integers(1, 10**6), steps=st.lists(st.integers(0, 400_000), min_size=1))
def test_an_item_is_forced_at_the_first_check_after_its_deadline(
    policy: Policy, deadline_us: int, steps: list[int]
) -> None:
    clock = Clock()
    engine = Deferral(policy=policy, attempt_limit=2**32 - 1, deadline_us=deadline_us, clock=clock)
    start = clock.now
    copy = Copy(clock, NEVER)
    engine.defer(copy, None, 0)
    for step in steps:
        clock.now += step
        overdue = clock.now - start >= 1000 * deadline_us
        assert engine.do_iteration() == overdue
        assert copy.forced == ([clock.now] if overdue else [])
        if overdue:
            break
    assert engine.pending + engine.stats.work_dropped == 1


@bounded
@given(policy=policies, size=st.sampled_from([2, 4, 64]), sends=st.lists(st.tuples(st.integers(0, 2), st.booleans())))
def test_a_full_ring_refuses_and_nothing_is_asked(policy: Policy, size: int, sends: list[tuple[int, bool]]) -> None:
    clock = Clock()
    engine = Deferral(size, policy=policy, on_full="drop", clock=clock)
    waiting = [0, 0, 0]
    refused = 0
    copies = []
    for qid, fill in sends:
        for _ in range(size if fill else 1):
            has_room = (sum(waiting) if policy == "fifo" else waiting[qid]) < size - 1
            copies.append(Copy(clock, NEVER))
            assert engine.defer(copies[-1], None, qid) == has_room
            waiting[qid] += has_room
            refused += not has_room
    assert engine.pending == engine.stats.work_deferred == sum(waiting)
    assert engine.stats.work_ring_full == refused
    assert not any(copy.asked or copy.forced for copy in copies)


@st.composite
def charged_sends(draw: st.DrawFn) -> tuple[int, int, int, list[tuple[int, int]]]:
    rxqs = draw(st.lists(st.integers(0, 40), max_size=32, unique=True))
    packets = st.integers(1, 65535) | st.just(1)
    return (
        draw(st.integers(0, 3)),  # its qid
        draw(st.integers(0, 4)),  # checks until it is done
        draw(st.integers(0, 10**6)),  # ns of a check
        [(rxq, draw(packets)) for rxq in rxqs],
    )


@bounded
@given(policy=policies, limit=st.integers(1, 5), sends=st.lists(charged_sends(), max_size=12), data=st.data())
def test_the_time_of_checks_is_charged_to_the_last_nanosecond(
    policy: Policy, limit: int, sends: list[tuple[int, int, int, list[tuple[int, int]]]], data: st.DataObject
) -> None:
    clock = Clock()
    engine = Deferral(8, attempt_limit=limit, policy=policy, clock=clock)
    fair: dict[int, float] = {}
    charges = 0
    spent = 0

    def checks(left: int, takes: int, rxqs: list[tuple[int, int]]) -> Callable[[object, int, bool], int]:
        packets = sum(count for _, count in rxqs)

        def check(port: object, qid: int, force: bool) -> int:
            nonlocal left, spent, charges
            left -= 1
            clock.now += takes
            spent += takes if rxqs else 0
            charges += 1
            for rxq, count in rxqs:
                fair[rxq] = fair.get(rxq, 0) + takes * count / packets
            return -EINPROGRESS if left >= 0 and not force else 0

        return check

    for qid, left, takes, rxqs in sends:
        engine.defer(checks(left, takes, rxqs), None, qid, rxqs=rxqs)
        clock.now += 12345  # nobody's
        data.draw(st.sampled_from([engine.do_work, engine.do_iteration, engine.do_all_work, engine.quiesce]))()
    engine.do_all_work()
    assert sum(engine.charged_ns(rxq) for rxq in range(50)) == spent
    for rxq in range(50):
        # What does not divide, less than a nanosecond a part, goes to the last.
        assert abs(engine.charged_ns(rxq) - fair.get(rxq, 0)) <= 32 * charges + 1e-6 * spent


def test_the_time_of_a_forced_check_that_raised_is_not_the_next_items() -> None:
    clock = Clock()
    engine = Deferral(attempt_limit=1, clock=clock)

    def raises(port: object, qid: int, force: bool) -> int:
        clock.now += 100
        return 1 // 0 if force else -EINPROGRESS

    engine.defer(raises, None, 0, rxqs=[(0, 1)])
    engine.defer(Copy(clock, 0, takes=7), None, 1, rxqs=[(1, 1)])
    with pytest.raises(ZeroDivisionError):
        engine.do_all_work()
    assert (engine.charged_ns(0), engine.charged_ns(1)) == (300, 7)


def test_an_exception_comes_out_once() -> None:
    engine = Deferral(attempt_limit=1)
    answers: list[Callable[[], int]] = [lambda: [][0], lambda: 0]
    engine.defer(lambda port, qid, force: 1 // 0 if force else -EINPROGRESS, None, 0)
    engine.defer(lambda port, qid, force: answers.pop(0)(), None, 0)
    with pytest.raises(IndexError):  # raised by the second item, after the first was forced
        engine.do_all_work()
    assert engine.do_work() == 0


def test_an_item_that_found_no_room_is_let_go_whatever_was_deferred_meanwhile() -> None:
    import weakref

    engine = Deferral(2, policy="per_queue")

    def defers_and_raises(port: object, qid: int, force: bool) -> int:
        engine.defer(lambda port, qid, force: 0, None, 1)
        return 1 // 0

    engine.defer(defers_and_raises, None, 0)
    copy = Copy(Clock(), 0)
    watch = weakref.ref(copy)
    with pytest.raises(ZeroDivisionError):
        engine.defer(copy, None, 0)
    del copy
    assert engine.pending == 2
    assert watch() is None


@bounded
@given(
    policy=policies,
    copy_ns=st.integers(1_000, 1_000_000),
    bytes_=st.sampled_from([64, 1500, 32 * 1500, 2**24]),
    jitter=st.lists(st.integers(-10, 10), min_size=8, max_size=8),
)
def test_paced_checks_wait_until_a_copy_can_be_done(
    policy: Policy, copy_ns: int, bytes_: int, jitter: list[int]
) -> None:
    clock = Clock()
    engine = Deferral(policy=policy, paced=True, clock=clock)
    step = max(copy_ns // 200, 1)
    checks = late = 0
    sends = 200
    for number in range(2 * sends):
        takes = copy_ns + copy_ns * jitter[number % len(jitter)] // 100
        start = clock.now
        copy = Copy(clock, start + takes)
        engine.defer(copy, None, 0, byte_count=bytes_)
        while engine.pending:
            engine.do_iteration()
            clock.now += step
        # No two of its checks are closer than a tenth of a microsecond.
        assert all(b - a >= 100 for a, b in zip(copy.asked, copy.asked[1:], strict=False))
        if number >= sends:
            assert copy.asked[0] - start >= 0.7 * copy_ns
            checks += len(copy.asked)
            late += copy.asked[-1] - start - takes
    assert checks < 3 * sends
    assert late < 0.1 * sends * copy_ns + sends * (step + 100)


@bounded
@given(
    policy=policies,
    before=st.integers(0, 10**8),
    deadline_us=st.sampled_from([0, 0, 50_000]),
    step=st.integers(1_000, 1_000_000),
)
def test_a_device_that_stopped_is_asked_again_every_ten_milliseconds(
    policy: Policy, before: int, deadline_us: int, step: int
) -> None:
    clock = Clock()
    engine = Deferral(policy=policy, attempt_limit=40, paced=True, deadline_us=deadline_us, clock=clock)
    for _ in range(8):  # it has learned something
        engine.defer(Copy(clock, clock.now + before), None, 0, byte_count=64)
        clock.now += before + 1
        while engine.do_iteration() == 0:
            clock.now += step
    start = clock.now
    copy = Copy(clock, NEVER)
    engine.defer(copy, None, 0, byte_count=64)
    while engine.pending:
        engine.do_iteration()
        clock.now += step
        assert clock.now < start + 10**10
    assert len(copy.forced) == 1
    gaps = [b - a for a, b in zip(copy.asked, copy.asked[1:], strict=False)]
    assert all(gap <= 10**7 + step for gap in gaps)
    if deadline_us:
        assert copy.forced[0] - start < 1000 * deadline_us + step
    else:
        assert len(copy.asked) == 41


@bounded
@given(
    policy=policies,
    size=st.sampled_from([2, 4, 16]),
    max_stall_us=st.integers(1, 1000),
    takes=st.integers(0, 50_000),
    paced=st.booleans(),
    whole=st.booleans(),
)
def test_no_wait_is_longer_than_max_stall(
    policy: Policy, size: int, max_stall_us: int, takes: int, paced: bool, whole: bool
) -> None:
    clock = Clock(step=1000)
    engine = Deferral(size, 2**32 - 1, policy, paced=paced, max_stall_us=max_stall_us, clock=clock)
    copies = [Copy(clock, NEVER, takes=takes) for _ in range(size - 1)]
    for copy in copies:
        engine.defer(copy, None, 0, byte_count=1500)
    start = clock.now
    forced = size - 1 if whole else 1
    if whole:
        assert engine.do_all_work() == forced
    else:
        assert engine.defer(Copy(clock, NEVER), None, 0)
    limit = start + 1000 * max_stall_us
    assert all(time <= limit + 2000 for copy in copies for time in copy.asked)
    assert all(time >= limit for copy in copies for time in copy.forced)
    assert engine.stats.work_dropped == forced
    # One check may have begun just before; those forced take their time.
    assert engine.longest_stall_us * 1000 <= 1000 * max_stall_us + (forced + 1) * (takes + 2000)


@bounded
@given(max_stall_us=st.integers(1, 1000), pending=st.integers(1, 20))
def test_a_quiesce_leaves_what_it_may_not_wait_for(max_stall_us: int, pending: int) -> None:
    clock = Clock(step=500)
    engine = Deferral(32, 2**32 - 1, max_stall_us=max_stall_us, clock=clock)
    for _ in range(pending):
        engine.defer(Copy(clock, NEVER), None, 0)
    assert engine.quiesce() == 0
    assert engine.pending == pending
    assert max_stall_us <= engine.longest_stall_us <= max_stall_us + 2
