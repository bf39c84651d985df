# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer guest`: a guest on a vhost-user socket, that counts, echoes or proves what arrives."""

import argparse
import sys
import time
from typing import Literal

from pydpdk_defer.cli._arguments import json_target, positive_count, seconds
from pydpdk_defer.cli._common import stop_signals, write_json
from pydpdk_defer.cli._log import print_error, print_fault
from pydpdk_defer.errors import UsageError
from pydpdk_defer.guest import Guest

__all__ = ["add_parser", "run"]

_HUGEPAGES: dict[str, bool | Literal["auto"]] = {"auto": "auto", "yes": True, "no": False}
_LIVE_SECONDS = 1.0


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "guest",
        help="a virtio-user guest on a vhost-user socket",
        description="Be the guest at the other end of a vhost-user socket, in this process, and report what arrived.",
        epilog="Without --duration and --packets it runs until Ctrl-C, or until the backend goes away. Exit status 1: "
        "the run failed, the pcap file is not complete, or verify found frames corrupt, lost, out of order or twice.",
    )
    parser.add_argument("socket", metavar="SOCKET")
    parser.add_argument("--role", choices=("sink", "echo", "verify"), default="sink", help="what to do with packets")
    parser.add_argument(
        "--server",
        action="store_true",
        help="listen on the socket, for a backend in client mode, and wait for the next",
    )
    parser.add_argument("--queues", type=positive_count, default=1, metavar="N", help="queue pairs (default 1)")
    parser.add_argument(
        "--virtio", default="", metavar="ARGS", help="arguments of DPDK's driver, such as packed_vq=1,mrg_rxbuf=0"
    )
    parser.add_argument("--mac", metavar="ADDR", help="the device's MAC address")
    parser.add_argument("--duration", type=seconds, metavar="S", help="end so many seconds after it was ready")
    parser.add_argument("--packets", type=positive_count, metavar="N", help="end when N packets were received")
    parser.add_argument("--pcap", metavar="FILE", help="write everything that arrives to a pcap file")
    parser.add_argument("--from-start", action="store_true", help="verify: number 0 is to be the first frame")
    parser.add_argument(
        "--json", type=json_target, metavar="PATH|-", help="write the report as JSON, to a file or to stdout"
    )
    parser.add_argument("--hugepages", choices=tuple(_HUGEPAGES), default="auto", help="default: when enough are free")
    parser.add_argument("--memory-mb", type=positive_count, default=256, metavar="N", help="memory (default 256)")
    parser.add_argument(
        "--data-room", type=positive_count, default=2048, metavar="BYTES", help="of a guest buffer (default 2048)"
    )
    parser.add_argument("--core", type=int, metavar="N", help="poll on this CPU")
    parser.add_argument("--spin", action="store_true", help="never yield the CPU when idle")
    parser.add_argument(
        "--connect-timeout",
        type=seconds,
        metavar="S",
        help="wait so long for the backend (default 10; with --server until Ctrl-C)",
    )
    parser.add_argument(
        "--reconnect", action="store_true", help="connect again when the backend went away, within --connect-timeout"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    try:
        guest = _make(args)
    except UsageError as error:
        print_error(error)
        return 2
    with stop_signals() as stopped:
        try:
            if guest.start(until=stopped, notify=_say):
                _say(f"guest ready on {args.socket}")
                live = _Live(guest)
                guest.run(args.duration, args.packets, until=lambda: live() or stopped(), notify=_say)
        finally:
            guest.close()
        stats = guest.stats()
        if args.json != "-":
            print(stats, flush=True)
        if args.json is not None:
            write_json(args.json, stats.to_dict())
        faults = stats.faults()
        for fault in faults:
            print_fault(fault)
        return 1 if faults else 0


def _make(args: argparse.Namespace) -> Guest:
    return Guest(
        args.socket,
        role=args.role,
        server=args.server,
        queues=args.queues,
        virtio=args.virtio,
        mac=args.mac,
        pcap=args.pcap,
        from_start=args.from_start,
        memory_mb=args.memory_mb,
        hugepages=_HUGEPAGES[args.hugepages],
        data_room=args.data_room,
        core=args.core,
        spin=args.spin,
        connect_timeout=args.connect_timeout,
        reconnect=args.reconnect,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Live:
    """Prints a line a second to a terminal; called often, and always false."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._on = sys.stderr.isatty()
        self._received = 0
        self._last = time.monotonic()

    def __call__(self) -> bool:
        passed = time.monotonic() - self._last
        if self._on and passed >= _LIVE_SECONDS:
            stats = self._guest.stats()
            rate = (stats.received - self._received) / passed
            text = f"{stats.duration_s:7.1f} s  {stats.received:,} packets, {rate:,.0f} packets/s"
            if stats.role == "verify":
                text += f", corrupt {stats.corrupt}, lost {stats.lost}, reordered {stats.reordered}"
            _say(text)
            self._received = stats.received
            self._last += passed
        return False
