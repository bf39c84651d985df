# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer top`: a running datapath, live, in the terminal."""

import argparse
import curses
import sys
import time
from errno import ENOTTY

from pydpdk_defer.attach import Attached, attach
from pydpdk_defer.cli._arguments import seconds
from pydpdk_defer.cli._attached import add_file_prefix
from pydpdk_defer.errors import DeferError
from pydpdk_defer.views.top import Look, Top

__all__ = ["add_parser", "run"]

_SHORTEST_SECONDS = 0.1
_KEYS = {
    curses.KEY_UP: "up",
    curses.KEY_DOWN: "down",
    curses.KEY_ENTER: "enter",
    ord("\n"): "enter",
    ord("\r"): "enter",
    27: "escape",
    **{ord(key): key for key in "psc"},
}


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "top",
        help="a running datapath, live",
        description="Show what the PMD threads, queues and DMA devices of a running datapath do, as rates between two "
        "looks. Keys: q quits, p pauses, s sorts the queues, c counts drops from now, arrows choose a queue, and enter "
        "shows all of it.",
    )
    add_file_prefix(parser)
    parser.add_argument("--interval", type=seconds, default=1.0, metavar="S", help="seconds between looks, default 1")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise DeferError("top needs a terminal", ENOTTY, "for programs: pydpdk-defer pmd-perf-show --json -")
    with attach(args.file_prefix) as datapath:
        top = Top(f"{datapath.folder.name}, process {datapath.pid}")
        try:
            curses.wrapper(_watch, datapath, top, max(args.interval, _SHORTEST_SECONDS))
        except curses.error as error:
            raise DeferError(
                f"this terminal cannot be drawn on: {error}", ENOTTY, "set TERM, for example xterm"
            ) from error
        except KeyboardInterrupt:
            pass
    return 0


def _watch(screen: "curses.window", datapath: Attached, top: Top, interval: float) -> None:
    curses.curs_set(0)
    due = time.monotonic()
    while True:
        if time.monotonic() >= due:
            top.look(Look(datapath.look(), datapath.in_flight_times() if top.is_detail else {}))
            due = max(due + interval, time.monotonic())
        _draw(screen, top)
        screen.timeout(max(0, round((due - time.monotonic()) * 1000)))
        key = screen.getch()
        if key == ord("q"):
            return
        if key in _KEYS:
            top.key(_KEYS[key])
            if top.is_detail:
                due = time.monotonic()  # its times in flight were not asked for yet


def _draw(screen: "curses.window", top: Top) -> None:
    height, width = screen.getmaxyx()
    lines = top.lines(width, height)
    marked = top.marked(lines)
    screen.erase()
    for number, line in enumerate(lines):
        bold = number in (0, len(lines) - 1)
        look = curses.A_REVERSE if number == marked else curses.A_BOLD if bold else curses.A_NORMAL
        text = line.ljust(width) if number == marked else line
        screen.insstr(number, 0, text[:width], look)  # the last cell of a terminal cannot be added to
    screen.refresh()
