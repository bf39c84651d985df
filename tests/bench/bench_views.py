# SPDX-License-Identifier: BSD-3-Clause
"""What looking costs: cycles per packet with `top` attached that looks ten times a second, and without, in turn.

    python tests/bench/bench_views.py [--sizes 64,1500] [--rounds 60] [--hugepages] [--json PATH|-]

Who looks is a process of its own on the guest's CPU, as `top` would be on none of the PMD threads' cores; it is stopped
while nobody is to look.
"""

import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGSTOP

sys.path.insert(0, str(Path(__file__).resolve().parent))

from two_ways import Bench, Switch, compare_in_turns

LOOKS_EVERY_SECONDS = 0.1


@contextmanager
def watched(bench: Bench) -> Iterator[Switch]:
    """`top` in a terminal of its own that somebody reads."""
    terminal, its_end = pty.openpty()
    [free_cpu, *_] = sorted(os.sched_getaffinity(0) - {pmd.core for pmd in bench.datapath.topology.pmd})
    command = [sys.executable, "-m", "pydpdk_defer", "top", "--file-prefix", f"pydpdk_defer_{os.getpid()}"]
    top = subprocess.Popen(
        ["taskset", "-c", str(free_cpu), *command, "--interval", str(LOOKS_EVERY_SECONDS)],
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "LINES": "24", "COLUMNS": "80"},
    )
    os.close(its_end)
    screen = bytearray()

    def read() -> None:
        with suppress(OSError):  # the terminal's end
            while data := os.read(terminal, 65536):
                screen.extend(data[-4096:])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        time.sleep(2)
        if top.poll() is not None or b"core" not in screen:
            raise RuntimeError(f"top does not look: {bytes(screen).decode(errors='replace')}")
        yield lambda is_on: top.send_signal(SIGCONT if is_on else SIGSTOP)
    finally:
        top.kill()
        top.wait()
        reader.join()
        os.close(terminal)


if __name__ == "__main__":
    sys.exit(compare_in_turns(__doc__ or "", watched, slice_seconds=0.4, rounds=60))
