# SPDX-License-Identifier: BSD-3-Clause
"""Many guests in one process, each with memory and rings of its own, that swallow what they get.

    python tests/bench/ring_guests.py CORE SOCKET...

Connects to all sockets, prints "ready", and serves until its standard input ends.
"""

import ctypes
import mmap
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "datapath"))

from vhost_frontend import AVAILABLE_OFFSET, RING_SIZE, USED_OFFSET, Frontend

_SLICE_MS = 100


@contextmanager
def ring_guests(sockets: Sequence[str], *, core: int) -> Iterator[None]:
    """These guests in a process of their own, pinned to `core`; ended when the context ends."""
    command = [sys.executable, __file__, str(core), *sockets]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("the guests did not start")
            yield
        finally:
            process.stdin.close()
            process.wait(30)


def main() -> None:
    import _ring_sink

    core, *sockets = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    with ExitStack() as guests:
        memories = []
        for path in sockets:
            frontend = guests.enter_context(Frontend(Path(path)))
            frontend.start()
            memories.append(mmap.mmap(frontend.memory_fd, frontend.memory_bytes))
        sink = _ring_sink.Sink(
            memories=[ctypes.addressof(ctypes.c_char.from_buffer(memory)) for memory in memories],
            size=RING_SIZE,
            available_offset=AVAILABLE_OFFSET,
            used_offset=USED_OFFSET,
        )
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            sink.serve(_SLICE_MS)


if __name__ == "__main__":
    main()
