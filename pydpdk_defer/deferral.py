# SPDX-License-Identifier: BSD-3-Clause
"""The deferral engine on its own, with Python callables: for tests, and for trying out policies.

The same C++ code runs in the PMD threads.
"""

from collections.abc import Callable
from typing import Literal, TypeVar

from pydpdk_defer import _native
from pydpdk_defer._native import DeferralStats

__all__ = ["Deferral", "DeferralStats"]

P = TypeVar("P")

_POLICIES = ("fifo",)


class Deferral:
    """A ring of sends in progress, and the rules by which a thread comes back to them.

    `ring_size`: slots, a power of two from 2 to 65536; the ring is full at `ring_size - 1` items.
    `attempt_limit`: an item that answered "in progress" more often than this is forced. `policy`: "fifo", the
    semantics of Open vSwitch's design "Userspace deferral of work" (2021): the oldest item holds up all others.
    `iteration_delay`: iterations (0 to 255) that an item rests before `do_iteration` looks at it. `first_index`:
    where the ring's 32-bit indices start.

    An object belongs to one thread. Wrong arguments are `ValueError` or `TypeError`.
    """

    def __init__(
        self,
        ring_size: int = 128,
        attempt_limit: int = 1000,
        policy: Literal["fifo"] = "fifo",
        *,
        iteration_delay: int = 0,
        first_index: int = 0,
    ) -> None:
        if policy not in _POLICIES:
            raise ValueError(f"policy {policy!r} is not known; there is: {', '.join(_POLICIES)}")
        for name, value, low, high in (
            ("ring_size", ring_size, 2, 65536),
            ("attempt_limit", attempt_limit, 1, 2**32 - 1),
            ("iteration_delay", iteration_delay, 0, 255),
            ("first_index", first_index, 0, 2**32 - 1),
        ):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be a whole number, not {value!r}")
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {value}")
        if ring_size & (ring_size - 1):
            raise ValueError(f"ring_size must be a power of two, not {ring_size}")
        self._engine = _native.Deferral(
            ring_size=ring_size,
            attempt_limit=attempt_limit,
            iteration_delay=iteration_delay,
            first_index=first_index,
        )

    def defer(self, work_func: Callable[[P, int, bool], int], port: P, qid: int) -> None:
        """Append a work item. A full ring is counted once, then work is done until there is room.

        `work_func(port, qid, force)` answers 0 when the send is finished and `-errno.EINPROGRESS` when it is not;
        with `force` it must finish or give up, and any other value than 0 says that it gave up. `qid`: 0 to 65535.
        """
        if not callable(work_func):
            raise TypeError(f"work_func must be callable, not {work_func!r}")
        if not isinstance(qid, int) or isinstance(qid, bool):
            raise TypeError(f"qid must be a whole number, not {qid!r}")
        if not 0 <= qid <= 0xFFFF:
            raise ValueError(f"qid must be from 0 to 65535, not {qid}")
        self._engine.defer(work_func, port, qid)

    def do_work(self) -> int:
        """Check the oldest item once.

        0: it left the ring, done or dropped. `-errno.EINPROGRESS`: it stays at the head. `-errno.ENOENT`: there
        is none. An exception of the work function passes through; the item stays, unless it was forced: then it
        leaves as dropped. A work function may defer more, but not do work itself: that is a `RuntimeError`.
        """
        return self._engine.do_work()

    def do_all_work(self) -> int:
        """Check until the ring is empty; return how many items left it. Bounded by the attempt limit."""
        return self._engine.do_all_work()

    def do_iteration(self) -> int:
        """A PMD thread's turn: work until the first item in progress, or too young; return how many left."""
        return self._engine.do_iteration()

    @property
    def pending(self) -> int:
        """Items on the ring."""
        return self._engine.pending

    @property
    def stats(self) -> DeferralStats:
        """The five counters, as they are now."""
        return self._engine.stats
