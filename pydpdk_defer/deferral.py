# SPDX-License-Identifier: BSD-3-Clause
"""The deferral engine on its own, with Python callables: for tests, and for trying out policies.

The same C++ code runs in the PMD threads.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from pydpdk_defer import _native
from pydpdk_defer._native import DeferralStats

__all__ = ["Deferral", "DeferralStats"]

P = TypeVar("P")


class Deferral:
    """Sends in progress on work rings, and the rules by which a thread comes back to them.

    `ring_size`: slots, a power of two from 2 to 65536; a ring is full at `ring_size - 1` items. `attempt_limit`: an
    item that answered "in progress" more often than this is forced. `policy`: "fifo", the semantics of Open vSwitch's
    design "Userspace deferral of work" (2021), one ring on which the oldest item holds up all others; "per_queue", a
    ring for each (port, qid), so that an item in progress holds up only its own queue.

    `iteration_delay`: iterations (0 to 255) that an item rests before `do_iteration` looks at it. `paced`: an item is
    not checked before a send of its bytes can be done, by what was learned of earlier ones. `deadline_us`: an item
    that is in progress this many microseconds after it was deferred is forced; 0: attempts alone count. `on_full`:
    with "wait" `defer` does work until there is room, with "drop" it refuses the item. `max_stall_us`: the longest
    that `defer` and `do_all_work` wait before they force what they wait for; 0: as long as the limits of the items
    allow. `clock`: nanoseconds, for everything that counts in time; it must go on by itself, as waits read it
    (default: the system's monotonic clock). `first_index`: where the rings' 32-bit indices start.

    An object belongs to one thread. Wrong arguments are `ValueError` or `TypeError`.
    """

    def __init__(
        self,
        ring_size: int = 128,
        attempt_limit: int = 1000,
        policy: Literal["fifo", "per_queue"] = "fifo",
        *,
        iteration_delay: int = 0,
        paced: bool = False,
        deadline_us: int = 0,
        on_full: Literal["wait", "drop"] = "wait",
        max_stall_us: int = 0,
        clock: Callable[[], int] | None = None,
        first_index: int = 0,
    ) -> None:
        _one_of("policy", policy, "fifo", "per_queue")
        _one_of("on_full", on_full, "wait", "drop")
        _whole("ring_size", ring_size, 2, 65536)
        _whole("attempt_limit", attempt_limit, 1, 2**32 - 1)
        _whole("iteration_delay", iteration_delay, 0, 255)
        _whole("deadline_us", deadline_us, 0, 2**32 - 1)
        _whole("max_stall_us", max_stall_us, 0, 2**32 - 1)
        _whole("first_index", first_index, 0, 2**32 - 1)
        if not isinstance(paced, bool):
            raise TypeError(f"paced must be True or False, not {paced!r}")
        if clock is not None and not callable(clock):
            raise TypeError(f"clock must be callable or None, not {clock!r}")
        if ring_size & (ring_size - 1):
            raise ValueError(f"ring_size must be a power of two, not {ring_size}")
        self._engine = _native.Deferral(
            clock=clock,
            policy=policy,
            ring_size=ring_size,
            attempt_limit=attempt_limit,
            iteration_delay=iteration_delay,
            on_full=on_full,
            paced=paced,
            deadline_us=deadline_us,
            max_stall_us=max_stall_us,
            first_index=first_index,
        )

    def defer(
        self,
        work_func: Callable[[P, int, bool], int],
        port: P,
        qid: int,
        *,
        byte_count: int = 0,
        rxqs: Sequence[tuple[int, int]] = (),
    ) -> bool:
        """Append a work item. A full ring is counted once; then, by `on_full`, work is done until there is room.

        Returns whether the item was appended, which only `on_full="drop"` can refuse. `work_func(port, qid, force)`
        answers 0 when the send is finished and `-errno.EINPROGRESS` when it is not; with `force` it must finish or
        give up, and any other value than 0 says that it gave up. `qid`: 0 to 65535. `byte_count`: of the send, for
        `paced`. `rxqs`: at most 32 pairs of an rxq's number and how many packets of the send it brought; they are
        charged with the time that checks of the item take.
        """
        if not callable(work_func):
            raise TypeError(f"work_func must be callable, not {work_func!r}")
        _whole("qid", qid, 0, 0xFFFF)
        _whole("byte_count", byte_count, 0, 2**32 - 1)
        for rxq, packets in rxqs:
            _whole("an rxq of rxqs", rxq, 0, 0xFFFF)
            _whole("packets of an rxq", packets, 1, 0xFFFF)
        return self._engine.defer(work_func, port, qid, byte_count, rxqs)

    def do_work(self) -> int:
        """Check the oldest item once; with policy "per_queue" the oldest of the queue whose turn it is.

        0: it left the ring, done or dropped. `-errno.EINPROGRESS`: it stays at the head. `-errno.ENOENT`: there
        is none. An exception of the work function passes through; the item stays, unless it was forced: then it
        leaves as dropped. A work function may defer more, but not do work itself: that is a `RuntimeError`.
        """
        return self._engine.do_work()

    def do_all_work(self) -> int:
        """Check until nothing is pending; return how many items left. The limits force out what does not finish."""
        return self._engine.do_all_work()

    def quiesce(self) -> int:
        """A PMD thread's turn every 1024 iterations; return how many items left.

        With policy "fifo" as `do_all_work`, but what is not done after `max_stall_us` stays. With "per_queue" every
        queue is asked, and none is waited for.
        """
        return self._engine.quiesce()

    def do_iteration(self) -> int:
        """A PMD thread's turn: work until the first item in progress, or too young; return how many left.

        With policy "per_queue" so for each queue.
        """
        return self._engine.do_iteration()

    def charged_ns(self, rxq: int) -> int:
        """Nanoseconds that checks for this rxq's packets took: of each check its part of the packets."""
        _whole("rxq", rxq, 0, 0xFFFF)
        return self._engine.charged_ns(rxq)

    @property
    def pending(self) -> int:
        """Items on the rings."""
        return self._engine.pending

    @property
    def longest_stall_us(self) -> float:
        """The longest that `defer`, `do_all_work` or `quiesce` waited for sends in progress."""
        return self._engine.longest_stall_ns / 1000

    @property
    def stats(self) -> DeferralStats:
        """The five counters, as they are now."""
        return self._engine.stats


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {value}")


def _one_of(name: str, value: Any, *choices: str) -> None:
    if value not in choices:
        raise ValueError(f"{name} {value!r} is not known; there is: {', '.join(choices)}")
