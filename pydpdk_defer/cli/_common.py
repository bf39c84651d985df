# SPDX-License-Identifier: BSD-3-Clause
"""What the verbs share: JSON to a file or to stdout, an orderly end on a signal."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOPKG
from pathlib import Path
from types import FrameType
from typing import Any

from pydpdk_defer.errors import DeferError

__all__ = ["ignore_signals_after_the_verb", "needs_extra", "stop_signals", "write_json"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_process_ends = False  # after stop_signals()


def ignore_signals_after_the_verb() -> None:
    """For a process that ends then: no late Ctrl-C turns its end into something else."""
    global _process_ends  # signals are the process's too
    _process_ends = True


def write_json(target: str, data: Any) -> None:
    """Write `data` to the file `target`, or to stdout when that is "-". Raises `DeferError`."""
    text = json.dumps(data, indent=2)
    if target == "-":
        print(text, flush=True)
        return
    try:
        Path(target).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise DeferError(
            f"cannot write {target}: {error.strerror}", error.errno or 0, "give --json a path that you may write, or -"
        ) from error


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around imports that need what `pip install 'pydpdk_defer[EXTRA]'` installs. Raises `DeferError` without it."""
    try:
        yield
    except ImportError as error:
        raise DeferError(
            f"{error.name} is not installed", ENOPKG, f"python -m pip install 'pydpdk_defer[{extra}]'"
        ) from error


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT, SIGTERM and SIGHUP into a flag: yields a function that says whether one came.

    Nothing is interrupted, so cleaning up belongs inside the context: a second Ctrl-C cannot break it there. In a
    thread other than the main one signals stay as they are. Afterwards they are as before, or ignored, see
    `ignore_signals_after_the_verb`.
    """
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        # No lock: the main thread may be interrupted while it holds any.
        nonlocal came
        came = True

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            afterwards = signal.SIG_IGN if _process_ends else handler
            signal.signal(number, signal.SIG_DFL if afterwards is None else afterwards)
