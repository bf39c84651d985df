# SPDX-License-Identifier: BSD-3-Clause
"""A guest whose driver leaves its device and takes it again, many times; a process of its own, for test_life.py.

    python rebinding_guest.py SOCKET TIMES HUGEPAGES

Each time it receives some packets first. Prints a line for each time, and "done" at the end.
"""

import sys
import time

from pydpdk_defer.guest import Guest

SECONDS = 30.0
SOME_PACKETS = 200


def main(socket: str, times: int, hugepages: bool) -> None:
    with Guest(socket, role="sink", hugepages=hugepages, connect_timeout=SECONDS) as guest:
        for number in range(times):
            received = 0
            deadline = time.monotonic() + SECONDS
            while received < SOME_PACKETS:
                assert time.monotonic() < deadline, f"time {number}: {received} packets came"
                received += guest.poll(10)
            guest.rebind()
            print(number, flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1")
