# SPDX-License-Identifier: BSD-3-Clause
"""What the deferral engine is to do, in Python as plain as it gets: lists for rings, nothing saved, nothing shared."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from errno import EINPROGRESS, ENOENT
from typing import Any

WorkFunc = Callable[[Any, int, bool], int]
Key = tuple[int, int]  # a port's identity and a qid


@dataclass
class Item:
    """A send in progress."""

    work_func: WorkFunc
    port: Any
    qid: int
    deferred_at: int  # iteration
    attempts: int = 0


class Ring(list[Item]):
    """Items, oldest first; told from other rings by what it is, not by what is in it."""

    def __eq__(self, other: object) -> bool:
        return self is other


class FifoModel:
    """The semantics of the Open vSwitch design: one ring, and the oldest item holds up all others."""

    def __init__(self, ring_size: int, attempt_limit: int, iteration_delay: int, on_full: str) -> None:
        self.room = ring_size - 1
        self.attempt_limit = attempt_limit
        self.iteration_delay = iteration_delay
        self.drops = on_full == "drop"
        self.deferred = self.in_progress = self.ring_full = self.done = self.dropped = 0
        self.iteration = 0
        self.working = False
        self.forced_error: Exception | None = None
        self.ring = Ring()

    @property
    def pending(self) -> int:
        return len(self.ring)

    def defer(self, work_func: WorkFunc, port: object, qid: int) -> bool:
        if self.working:
            return self.append(work_func, port, qid, nested=True)
        return bool(self.outermost(lambda: self.append(work_func, port, qid, nested=False)))

    def append(self, work_func: WorkFunc, port: object, qid: int, nested: bool) -> bool:
        ring = self.ring_of((id(port), qid))
        if len(ring) == self.room:
            if nested and not self.drops:
                raise RuntimeError("the work ring is full, and a work function cannot do work to make room")
            self.ring_full += 1
            if self.drops:
                return False
            while len(ring) == self.room:
                self.check(ring)
        ring.append(Item(work_func, port, qid, self.iteration))
        self.deferred += 1
        return True

    def do_work(self) -> int:
        return self.outermost(lambda: self.check(self.ring) if self.ring else -ENOENT)

    def do_all_work(self) -> int:
        return self.outermost(lambda: self.check_while(lambda: self.ring))

    def quiesce(self) -> int:
        return self.do_all_work()

    def do_iteration(self) -> int:
        def work() -> int:
            left = self.work_ring(self.ring, self.iteration_delay)
            self.iteration += 1
            return left

        return self.outermost(work)

    def outermost(self, work: Callable[[], int]) -> int:
        """What was raised by a forced call comes out at the end, unless something else does before."""
        self.working = True
        self.forced_error = None
        try:
            result = work()
        finally:
            self.working = False
        if self.forced_error is not None:
            raise self.forced_error
        return result

    def check(self, ring: Ring) -> int:
        item = ring[0]
        if item.work_func(item.port, item.qid, False) != -EINPROGRESS:
            self.done += 1
            self.leave(ring)
            return 0
        self.in_progress += 1
        if item.attempts < self.attempt_limit:
            item.attempts += 1
            return -EINPROGRESS
        try:
            given_up = item.work_func(item.port, item.qid, True) != 0
        except Exception as error:
            given_up = True
            self.forced_error = error
        self.dropped += given_up
        self.done += not given_up
        self.leave(ring)
        return 0

    def check_while(self, next_ring: Callable[[], Ring | None]) -> int:
        left = 0
        while ring := next_ring():
            left += self.check(ring) == 0
        return left

    def work_ring(self, ring: Ring, delay: int) -> int:
        left = 0
        while ring and self.iteration - ring[0].deferred_at >= delay and self.check(ring) == 0:
            left += 1
        return left

    def ring_of(self, key: Key) -> Ring:
        return self.ring

    def leave(self, ring: Ring) -> None:
        ring.pop(0)


class PerQueueModel(FifoModel):
    """A ring for each (port, qid), in turn.

    A ring that has run empty keeps its place until its turn comes. A new queue takes the ring of the one that ran empty
    last, and its place with it.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.rings: dict[Key, Ring] = {}
        self.spare: list[Ring] = []
        self.turns: deque[Ring] = deque()
        self.wanted: Ring | None = None  # by a defer that waits for room

    @property
    def pending(self) -> int:
        return sum(map(len, self.rings.values()))

    def append(self, work_func: WorkFunc, port: object, qid: int, nested: bool) -> bool:
        ring = self.ring_of((id(port), qid))
        if not nested:
            self.wanted = ring
        try:
            if not super().append(work_func, port, qid, nested):
                return False
        finally:
            if not nested:
                self.wanted = None
        if ring not in self.turns:
            self.turns.append(ring)
        return True

    def do_work(self) -> int:
        def work() -> int:
            while self.turns:
                result = self.check(self.turns[0]) if self.turns[0] else -ENOENT
                self.next_turn()
                if result != -ENOENT:
                    return result
            return -ENOENT

        return self.outermost(work)

    def do_all_work(self) -> int:
        def next_ring() -> Ring | None:
            while self.turns:
                self.next_turn()
                if self.turns and self.turns[0]:
                    return self.turns[0]
            return None

        return self.outermost(lambda: self.check_while(next_ring))

    def quiesce(self) -> int:
        return self.outermost(lambda: self.work_rings(0))

    def do_iteration(self) -> int:
        def work() -> int:
            left = self.work_rings(self.iteration_delay)
            self.iteration += 1
            return left

        return self.outermost(work)

    def work_rings(self, delay: int) -> int:
        left = 0
        for _ in range(len(self.turns)):
            left += self.work_ring(self.turns[0], delay)
            self.next_turn()
        return left

    def next_turn(self) -> None:
        ring = self.turns.popleft()
        if ring:
            self.turns.append(ring)

    def ring_of(self, key: Key) -> Ring:
        if key not in self.rings:
            self.rings[key] = self.spare.pop() if self.spare else Ring()
        return self.rings[key]

    def leave(self, ring: Ring) -> None:
        item = ring.pop(0)
        if not ring and ring is not self.wanted:
            del self.rings[id(item.port), item.qid]
            self.spare.append(ring)
