# SPDX-License-Identifier: BSD-3-Clause
"""`top` in a real terminal, through its keys, beside a datapath with traffic, and when that dies."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGINT, SIGKILL

import pexpect
import pyte
import pytest
from processes import LIMIT_SECONDS, Guest, Run, topology, wait_until

from pydpdk_defer.attach import find
from pydpdk_defer.host import runtime_dir


class Terminal:
    """`pydpdk-defer top` on a terminal of this size; what stands on its screen."""

    def __init__(self, width: int, height: int) -> None:
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        command = ["-m", "pydpdk_defer", "top", "--interval", "0.3"]
        environment = {name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS")}
        self.process = pexpect.spawn(
            sys.executable, command, dimensions=(height, width), env={**environment, "TERM": "xterm"}, timeout=5
        )

    def wait_for(self, *texts: str) -> list[str]:
        """Until all of these stand on the screen."""

        def are_there() -> bool:
            with suppress(pexpect.TIMEOUT, pexpect.EOF):
                self._stream.feed(self.process.read_nonblocking(1 << 16, timeout=0.1))
            shown = "\n".join(self._screen.display)
            return all(text in shown for text in texts)

        try:
            wait_until(are_there, f"{texts} on the screen", LIMIT_SECONDS / 2)
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
        wait_until(lambda: any(found.pid == run.popen.pid for found in find()), "it answers")
        yield run
        if run.popen.poll() is None:
            run.signal(SIGINT)
            run.result()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
def test_through_its_keys(folder: Path, width: int, height: int) -> None:
    with traffic(folder) as run:
        terminal = Terminal(width, height)
        screen = terminal.wait_for("chk/item", "core 1", "vm0:0", "kpps", "copier", "q quit")
        assert f"process {run.popen.pid}" in screen[0]
        assert len(screen) == height
        assert screen[-1].startswith("q quit")
        [pmd] = [line for line in screen if "core 1" in line]
        assert pmd.rstrip().endswith("/127")
        [queue] = [line for line in screen if "vm0:0" in line]
        assert "dma" in queue
        terminal.press("p")
        paused = terminal.wait_for("PAUSED")
        time.sleep(1)
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
        terminal = Terminal(80, 24)
        terminal.wait_for("vm0:0", "kpps")
        pid = run.popen.pid
        run.finish(SIGKILL)
        terminal.process.expect(f"error: the datapath of process {pid} has ended")
        assert terminal.end() == 1
    shutil.rmtree(runtime_dir.of_prefix(f"pydpdk_defer_{pid}"))


def test_a_terminal_that_is_too_small_says_so(folder: Path) -> None:
    with traffic(folder):
        terminal = Terminal(50, 10)
        terminal.wait_for("the terminal is 50x10")
        terminal.press("q")
        assert terminal.end() == 0


def test_without_a_terminal_or_a_datapath() -> None:
    terminal = pexpect.spawn(sys.executable, ["-m", "pydpdk_defer", "top"], timeout=LIMIT_SECONDS)
    terminal.expect("error: no datapath is running")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
    output, _status = pexpect.run(
        f"sh -c '{sys.executable} -m pydpdk_defer top < /dev/null 2>&1 | cat'", withexitstatus=True
    )
    assert b"error: top needs a terminal" in output
