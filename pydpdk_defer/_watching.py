# SPDX-License-Identifier: BSD-3-Clause
"""A thread of the control side that looks at guests, and has the datapath follow what they do."""

import logging
import threading
from collections.abc import Callable

__all__ = ["Watcher"]

_LOOKS_EVERY_SECONDS = 0.05
_log = logging.getLogger("pydpdk_defer")


class Watcher:
    """Calls `look` many times a second, on a thread of its own, between `start` and `stop`."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Wait for the last look. Not from within one, and not while holding what a look waits for."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_LOOKS_EVERY_SECONDS):
            try:
                self._look()
            except Exception:
                _log.exception("the datapath could not follow its guests")
