# SPDX-License-Identifier: BSD-3-Clause
"""The guest of an evaluation: a process that receives, and says what came since it was asked last.

    python -m pydpdk_defer.evaluate._guest JSON     {"socket": ..., "queues": ..., "core": ..., ...}

The JSON are settings of `Guest`.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from pydpdk_defer.errors import DeferError, UsageError
from pydpdk_defer.evaluate._remote import keep_stdout_for_answers, refuse, serve
from pydpdk_defer.guest import Guest, GuestStats

_POLL_MS = 2
_LONG_POLL_MS = 10  # between two of them Python has its say, which frames wait for
_QUIET_POLLS = 3


class _Guest:
    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._before: GuestStats | None = None
        self._is_up = False

    def take(self) -> dict[str, Any]:
        """What came since the last call, once nothing comes any more."""
        quiet = 0
        while quiet < _QUIET_POLLS:
            quiet = 0 if self._guest.poll(_POLL_MS) else quiet + 1
        now, before = self._guest.stats(), self._before
        self._before = now
        counters = ("received", "corrupt", "reordered", "duplicates", "foreign")
        taken: dict[str, Any] = {
            name: getattr(now, name) - (getattr(before, name) if before else 0) for name in counters
        }
        latency = self._guest.take_latency()
        return {
            **taken,
            "latency": sorted(latency.counts.items()),
            "last_arrival": self._guest.last_arrival,
            "link_up": self._guest.link_up,
        }

    def check_payload(self, on: bool) -> None:
        """Whether every byte is proved from now on."""
        self._guest.check_payload(on)

    def start(self) -> None:
        """Connect; the first question."""
        self._guest.start()
        self._guest.check_payload(False)
        self._is_up = True

    def receive(self) -> None:
        """A moment's work."""
        if self._is_up:
            self._guest.poll(_LONG_POLL_MS)
        else:
            time.sleep(_POLL_MS / 1000)


def main() -> None:
    [setting] = keep_stdout_for_answers()
    try:
        guest = Guest(**json.loads(setting), role="verify")
    except (DeferError, UsageError) as error:
        refuse(error)
        return
    serving = _Guest(guest)
    try:
        answers: dict[str, Callable[..., Any]] = {
            "take": serving.take,
            "check_payload": serving.check_payload,
            "start": serving.start,
        }
        serve(answers, meanwhile=serving.receive)
    finally:
        guest.close()


if __name__ == "__main__":
    main()
