# SPDX-License-Identifier: BSD-3-Clause
"""Keeps Ctrl-C out of what must not be left half done: starting DPDK, and taking a datapath down."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["shielded"]


@contextmanager
def shielded() -> Iterator[None]:
    """Put SIGINT off until the end of the context.

    At the end the handler from before gets it, which usually raises `KeyboardInterrupt`. Outside the main thread,
    where Python delivers no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if came and callable(before):
            before(*came[0])
