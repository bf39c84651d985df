# SPDX-License-Identifier: BSD-3-Clause
"""`top` in a real terminal, through its keys, beside a datapath with traffic, and when that dies."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGINT, SIGKILL

import pexpect
import pyte
import pytest
from processes import LIMIT_SECONDS, Guest, Run, topology, wait_until

from pydpdk_defer.host import runtime_dir

pytestmark = pytest.mark.timeout(120)


class Terminal:
    """`pydpdk-defer top` on a terminal of this size; what stands on its screen."""

    def __init__(self, run: Run, width: int, height: int) -> None:
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        command = ["-m", "pydpdk_defer", "top", "--interval", "0.3", "--file-prefix", str(run.file_prefix())]
        environment = {name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS")}
        self.process = pexpect.spawn(
            sys.executable,
            command,
            dimensions=(height, width),
            env={**environment, "TERM": "xterm"},
            timeout=LIMIT_SECONDS,
        )

    def wait_for(self, *patterns: str) -> list[str]:
        """Wait until the screen has a match of each: a screen may be drawn in part only."""

        def are_there() -> bool:
            with suppress(pexpect.TIMEOUT, pexpect.EOF):
                self._stream.feed(self.process.read_nonblocking(1 << 16, timeout=0.1))
            shown = "\n".join(self._screen.display)
            return all(re.search(pattern, shown) for pattern in patterns)

        try:
            wait_until(are_there, f"{patterns} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(self._screen.display)) from None
        return list(self._screen.display)

    def press(self, keys: str) -> None:
        self.process.send(keys)

    def end(self) -> int:
        """Its status."""
        self.process.expect(pexpect.EOF)
        self.process.close()
        return int(self.process.exitstatus if self.process.exitstatus is not None else -1)


@contextmanager
def traffic(folder: Path) -> Iterator[Run]:
    socket = folder / "vm0.sock"
    with (
        Run(folder, topology(socket, port__src__rate_pps=10_000), "--quiet", "--wait-guest", "60") as run,
        Guest(folder, socket, role="sink") as guest,
    ):
        guest.wait_ready()
        run.wait_for_packets("vm0")
        yield run
        if run.popen.poll() is None:
            run.signal(SIGINT)
            run.result()


@pytest.mark.parametrize(("width", "height"), [(80, 24), pytest.param(200, 50, marks=pytest.mark.full)])
def test_through_its_keys(folder: Path, width: int, height: int) -> None:
    with traffic(folder) as run:
        terminal = Terminal(run, width, height)
        screen = terminal.wait_for(
            "chk/item",
            r"core 1 .*kpps .*/127 *\n",
            r"vm0:0 .*kpps .* dma *\n",
            r"copier .* software: dma_skeleton",
            "q quit",
        )
        assert f"process {run.popen.pid}" in screen[0]
        assert len(screen) == height
        assert screen[-1].startswith("q quit")
        terminal.press("p")
        paused = terminal.wait_for("PAUSED")
        run.wait_for_packets("vm0", 10_000)  # for a second
        assert terminal.wait_for("PAUSED")[1:] == paused[1:]
        terminal.press("p")
        terminal.press("s")
        terminal.wait_for("by rate")
        terminal.press("\x1b[B\r")  # the next queue, in detail
        terminal.wait_for("transmit queue", "submitted", "since clear")
        terminal.press("\x1b")
        terminal.wait_for("chk/item")
        terminal.press("c")
        terminal.press("q")
        assert terminal.end() == 0


def test_the_datapath_dies_while_watched(folder: Path) -> None:
    with traffic(folder) as run:
        terminal = Terminal(run, 80, 24)
        terminal.wait_for("vm0:0 .*kpps")
        pid = run.popen.pid
        run.finish(SIGKILL)
        terminal.process.expect(f"error: the datapath of process {pid} has ended")
        assert terminal.end() == 1
    shutil.rmtree(runtime_dir.of_prefix(f"pydpdk_defer_{pid}"))


def test_a_terminal_that_is_too_small_says_so(folder: Path) -> None:
    with traffic(folder) as run:
        terminal = Terminal(run, 50, 10)
        terminal.wait_for("the terminal is 50x10")
        terminal.press("q")
        assert terminal.end() == 0


def test_without_a_terminal_or_a_datapath() -> None:
    command = ["-m", "pydpdk_defer", "top", "--file-prefix", f"none_{os.getpid()}"]
    terminal = pexpect.spawn(sys.executable, command, timeout=LIMIT_SECONDS)
    terminal.expect("error: no datapath with the file prefix 'none_[0-9]+' is running")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
    output, _status = pexpect.run(
        f"sh -c '{sys.executable} -m pydpdk_defer top < /dev/null 2>&1 | cat'",
        withexitstatus=True,
        timeout=int(LIMIT_SECONDS),
    )
    assert b"error: top needs a terminal" in output
