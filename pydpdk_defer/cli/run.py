# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer run`: bring a datapath up, show how it does, and end with its statistics."""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydpdk_defer._stats_text import live_line
from pydpdk_defer.cli._arguments import host_and_port, json_target, positive_count, seconds
from pydpdk_defer.cli._common import needs_extra, stop_signals, write_json
from pydpdk_defer.cli._log import print_fault, print_note, to_stderr
from pydpdk_defer.datapath import Datapath
from pydpdk_defer.eal import runtime_folder
from pydpdk_defer.stats import Snapshot
from pydpdk_defer.topology import DeferralOptions, Topology

__all__ = ["add_parser", "run"]


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "run",
        help="bring a datapath up and report",
        description="Bring the datapath of a topology up, print live figures to stderr, and at the end the statistics.",
        epilog="Without --duration and --packets it runs until Ctrl-C. The final figures are taken after everything "
        "was stopped and drained; when packets are then in flight or mbufs missing, the run has failed.",
    )
    parser.add_argument("topology", metavar="TOPOLOGY.toml")
    parser.add_argument("--duration", type=seconds, metavar="S", help="end after so many seconds, guest or no guest")
    parser.add_argument(
        "--packets",
        type=positive_count,
        metavar="N",
        help="end when each generator has made N frames (without a generator: when N packets were received)",
    )
    parser.add_argument(
        "--wait-guest",
        type=seconds,
        metavar="S",
        help="first wait until each vhost port has a guest, at most so many seconds for each",
    )
    parser.add_argument(
        "--json", type=json_target, metavar="PATH|-", help="write the statistics as JSON, to a file or to stdout"
    )
    parser.add_argument("--interval", type=seconds, default=1.0, metavar="S", help="seconds between live figures")
    parser.add_argument(
        "--metrics", type=host_and_port, metavar="HOST:PORT", help="answer scrapes there in OpenMetrics' text format"
    )
    parser.add_argument("--quiet", action="store_true", help="no live figures, and of what happens only warnings")
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="what happens goes to stderr as text (default), or as a JSON object a line: with DPDK's own log, without "
        "live figures",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    to_stderr(logging.WARNING if args.quiet else logging.INFO, args.log_format)
    topology = Topology.load(args.topology)
    with stop_signals() as stopped:
        datapath = Datapath(topology)
        with datapath, _metrics(args.metrics):
            _wait_for_guests(datapath, args.wait_guest, stopped)
            if not stopped():
                show = _Live(datapath, args.interval, args.quiet or args.log_format == "json")
                datapath.run(args.duration, args.packets, until=lambda: show() or stopped())
        final = datapath.snapshot()
        status = _report(final, args.json)
        if (late := sum(txq.late_completions for _, _, txq in final.txqs())) and not args.quiet:
            print_note(_about_late_copies(late, topology.deferral))
        return status


@contextmanager
def _metrics(address: tuple[str, int] | None) -> Iterator[None]:
    if address is None:
        yield
        return
    with needs_extra("metrics"):
        from pydpdk_defer.views.openmetrics import serving
    with serving(runtime_folder(), *address) as port:
        print_note(f"metrics: http://{address[0]}:{port}/metrics")
        yield


def _report(final: Snapshot, json_target: str | None) -> int:
    faults = final.faults(stopped=True)
    if json_target != "-":
        print(final, flush=True)
    if json_target:
        write_json(json_target, {**final.to_dict(), "faults": faults})
    for fault in faults:
        print_fault(fault)
    return 1 if faults else 0


def _about_late_copies(packets: int, deferral: DeferralOptions) -> str:
    limits = ("attempt_limit", "deadline_us", "max_stall_us")
    present = [f"{name} = {value}" for name in limits if (value := getattr(deferral, name))]
    return (
        f"{packets} packets were given up and reached the guest later; they count as completed. To wait for such "
        f"packets, raise the limits in [deferral]: {', '.join(present)}"
    )


def _wait_for_guests(datapath: Datapath, timeout: float | None, stopped: Callable[[], bool]) -> None:
    if timeout is None:
        return
    for port in datapath.topology.needs_guest:
        datapath.wait_for_guest(port, timeout, until=stopped)


class _Live:
    """Prints a line an interval; called often."""

    def __init__(self, datapath: Datapath, interval: float, quiet: bool) -> None:
        self._datapath = datapath
        self._interval = interval
        self._quiet = quiet
        self._start = time.monotonic()
        self._next = self._start + interval
        self._before: Snapshot = datapath.snapshot()

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._quiet and now >= self._next:
            snapshot = self._datapath.snapshot()
            print(live_line(snapshot - self._before, now - self._start), file=sys.stderr, flush=True)
            self._before = snapshot
            self._next += self._interval
        return False
