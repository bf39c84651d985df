# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer evaluate`: from which frame size on does DMA-offloaded vhost pay here?"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from pydpdk_defer.cli._arguments import json_target, percentage, positive_count
from pydpdk_defer.cli._common import needs_extra, stop_signals, write_json
from pydpdk_defer.cli._log import print_error, print_fault
from pydpdk_defer.errors import DeferError, UsageError
from pydpdk_defer.evaluate import (
    QUICK,
    Axes,
    Evaluation,
    Options,
    Point,
    Schedule,
    evaluate,
    parse_engines,
    parse_numbers,
    parse_policies,
    parse_sizes,
)
from pydpdk_defer.evaluate.axes import BURSTS, QUEUES
from pydpdk_defer.evaluate.recommend import recommended_toml

__all__ = ["add_parser", "run"]

_SIZES, _QUICK_SIZES = "64:9000:x2,imix", "64,512,1500,4096,9000"
_HUGEPAGES: dict[str, Any] = {"auto": "auto", "yes": True, "no": False}
_Parsed = TypeVar("_Parsed")


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "evaluate",
        help="from which frame size on DMA pays here",
        description="Copy by CPU and by DMA in turn, in slices of one process against one guest, and say from which "
        "frame size on DMA pays, what it saves, and what it costs.",
        epilog="Lists hold values and ranges: 64,256,1500 or 64:9000:x2 (doubled) or 64:1500:+128. Every frame size is "
        "measured with every burst, number of queues, policy and device. Ctrl-C ends it and keeps what was measured.",
    )
    parser.add_argument(
        "--sizes",
        type=_checked(parse_sizes),
        metavar="LIST",
        help=f'frame sizes without FCS, 60 to 16128, and "imix" (default {_SIZES}; with --quick {_QUICK_SIZES})',
    )
    parser.add_argument(
        "--burst",
        type=_checked(lambda text: parse_numbers(text, "a burst", BURSTS)),
        default=(32,),
        metavar="LIST",
        help="frames sent together, 1 to 32 (default 32)",
    )
    parser.add_argument(
        "--queues",
        type=_checked(lambda text: parse_numbers(text, "a number of queues", QUEUES)),
        default=(1,),
        metavar="LIST",
        help="queue pairs of the guest, 1 to 16 (default 1)",
    )
    parser.add_argument(
        "--policy",
        type=_checked(parse_policies),
        default=("fifo",),
        metavar="LIST",
        help="fifo, per_queue, fifo+paced, per_queue+paced (default fifo)",
    )
    parser.add_argument(
        "--engines",
        type=_checked(parse_engines),
        default=("cpu", "dma", "auto"),
        metavar="LIST",
        help="copy engines (default cpu,dma,auto)",
    )
    parser.add_argument(
        "--dma",
        action="append",
        default=[],
        metavar="[NAME=]DEVICE",
        help="a DMA device, as in a topology; may be given again (default: what `devices` finds, else dma_skeleton)",
    )
    parser.add_argument(
        "--model",
        type=_checked(_model),
        metavar="KEY=VALUE,...",
        help="lay a model over the devices, such as bandwidth_gb_per_s=30,latency_us=2",
    )
    parser.add_argument(
        "--forks",
        type=positive_count,
        metavar="N",
        help="pairs of processes that measure everything, one after the other, since they differ (default 5)",
    )
    parser.add_argument(
        "--repeat", type=positive_count, metavar="N", help="rounds at each point in each fork (default 3; --quick 2)"
    )
    parser.add_argument("--slice-ms", type=positive_count, metavar="MS", help="of each slice (default 100)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="under a minute: few sizes, short slices; shares cores where there are only two CPUs",
    )
    parser.add_argument(
        "--no-loss",
        type=percentage,
        nargs="?",
        const=0.0,
        metavar="PERCENT",
        help="also search the highest rate that loses no more than so many percent (default 0), by MLRsearch",
    )
    parser.add_argument("--allow-shared-cores", action="store_true", help="go on where guest and software copies share")
    parser.add_argument("--virtio", default=Options.virtio, metavar="ARGS", help=f"guest's driver ({Options.virtio})")
    parser.add_argument(
        "--data-room",
        type=positive_count,
        default=Options.data_room,
        metavar="BYTES",
        help="of a guest buffer, 1024 to 16384; longer frames take several copies (default 2048)",
    )
    parser.add_argument(
        "--memory-mb", type=positive_count, default=Options.memory_mb, metavar="N", help="of the datapath"
    )
    parser.add_argument("--hugepages", choices=tuple(_HUGEPAGES), default="auto", help="default: when enough are free")
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default evaluation-DATE-TIME)")
    parser.add_argument("--resume", action="store_true", help="go on with the evaluation that --out holds a part of")
    parser.add_argument(
        "--json", type=json_target, metavar="PATH|-", help="write verdicts and figures as JSON, to a file or to stdout"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    if args.resume and args.out is None:
        print("error: --resume needs --out: the folder that holds a part of the evaluation", file=sys.stderr)
        return 2
    if args.no_loss is not None:
        with needs_extra("report"):
            import MLRsearch  # noqa: F401 - said before the evaluation, not in its midst
    try:
        axes = Axes(
            frames=args.sizes or parse_sizes(_QUICK_SIZES if args.quick else _SIZES),
            bursts=args.burst,
            queues=args.queues,
            policies=args.policy,
            engines=args.engines,
        )
        schedule = _schedule(args)
        options = Options(
            dma=tuple(args.dma),
            model=args.model,
            virtio=args.virtio,
            data_room=args.data_room,
            memory_mb=args.memory_mb,
            hugepages=_HUGEPAGES[args.hugepages],
            allow_shared_cores=args.allow_shared_cores or args.quick,
        )
        with stop_signals() as stopped:
            progress = _Progress(schedule, len(axes.engines), args.quiet)
            found = evaluate(
                axes,
                schedule=schedule,
                options=options,
                out=args.out,
                resume=args.resume,
                progress=progress,
                until=stopped,
                command_line=sys.argv,
            )
            return _report(found, args.json)
    except UsageError as error:
        print_error(error)
        return 2


def _report(found: Evaluation, json_target: str | None) -> int:
    measured = any(not repetition.failure for repetition in found.repetitions)
    out = sys.stderr if json_target == "-" else sys.stdout
    print(f"{found}\n\nresults: {found.folder}", file=out, flush=True)
    if json_target:
        write_json(json_target, found.to_dict())
    if measured:
        print(f"recommended topology: {_write_topology(found)}", file=out, flush=True)
        print(f"report: {_write_report(found)}", file=out)
    for fault in found.faults:
        print_fault(fault)
    return 0 if measured and not found.faults else 1


def _write_report(found: Evaluation) -> str:
    try:
        with needs_extra("report"):
            from pydpdk_defer.evaluate import report
    except DeferError as error:
        return f"none, {error}"
    path = found.folder / "report.html"
    try:
        report.write(found, path)
    except DeferError as error:
        return f"none, {error}"
    return str(path)


def _write_topology(found: Evaluation) -> str:
    path = found.folder / "recommended.toml"
    try:
        path.write_text(recommended_toml(found), encoding="utf-8")
    except OSError as error:
        return f"none, cannot write {path}: {error.strerror}"
    return str(path)


def _schedule(args: argparse.Namespace) -> Schedule:
    schedule = QUICK if args.quick else Schedule()
    if args.forks is not None:
        schedule = replace(schedule, forks=args.forks)
    if args.repeat is not None:
        schedule = replace(schedule, rounds=args.repeat)
    if args.no_loss is not None:
        schedule = replace(schedule, no_loss=args.no_loss)
    if args.slice_ms is not None:
        schedule = replace(schedule, slice_seconds=args.slice_ms / 1000)
    return schedule


def _checked(parse: Callable[[str], _Parsed]) -> Callable[[str], _Parsed]:
    """For argparse, which shows the text of its own error only."""

    def parsed(text: str) -> _Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _model(text: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for piece in text.split(","):
        key, _, value = piece.partition("=")
        try:
            values[key.strip()] = _model_value(value.strip())
        except ValueError:
            raise UsageError(f"{piece!r} is not KEY=VALUE with a number, true or false, such as latency_us=2") from None
    return values


def _model_value(text: str) -> bool | int | float:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return float(text)


class _Progress:
    """A line for each point, with what is left."""

    def __init__(self, schedule: Schedule, engines: int, quiet: bool) -> None:
        self._schedule, self._engines, self._quiet = schedule, engines, quiet
        self._start = time.monotonic()

    def __call__(self, done: int, total: int, point: Point) -> None:
        if self._quiet:
            return
        passed = time.monotonic() - self._start
        if done == 0:
            points, forks = total // self._schedule.forks, self._schedule.forks
            seconds = self._schedule.seconds(points, self._engines)
            slices = self._schedule.slices(self._engines)
            self._say(f"{points} points in {forks} forks, {slices} slices each: about {_duration(seconds)}")
        if done < total:
            left = f", about {_duration(passed / done * (total - done))} left" if done else ""
            self._say(f"{done + 1} of {total}: {point}{left}")

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
