# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer compare`: what changed from one evaluation to another."""

import argparse

from pydpdk_defer.cli._arguments import json_target, percentage
from pydpdk_defer.cli._common import needs_extra, write_json
from pydpdk_defer.cli._log import print_error
from pydpdk_defer.errors import UsageError
from pydpdk_defer.evaluate import load

__all__ = ["add_parser", "run"]


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "compare",
        help="what changed from one evaluation to another",
        description="Compare two evaluations point by point: what got faster, slower, or cannot be told.",
        epilog="Exit status 1 when the ratio of DMA to CPU cycles got worse by more than --tolerance (with --absolute "
        "any measure), or when what both were to measure has no value in the second.",
    )
    parser.add_argument("before", metavar="DIR")
    parser.add_argument("after", metavar="DIR")
    parser.add_argument("--tolerance", type=percentage, default=0.1, metavar="PERCENT", help="default 10")
    parser.add_argument(
        "--absolute",
        action="store_true",
        help="cycles, rates and latencies may fail too, not only the ratio of DMA to CPU: for a host of one's own",
    )
    parser.add_argument("--json", type=json_target, metavar="PATH|-", help="write the changes as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    before, after = load(args.before), load(args.after)
    with needs_extra("report"):
        from pydpdk_defer.evaluate.compare import compare
    try:
        changes = compare(before, after, args.tolerance, absolute=args.absolute)
    except UsageError as error:
        print_error(error)
        return 2
    if args.json != "-":
        print(changes)
    if args.json:
        write_json(args.json, changes.to_dict())
    return 1 if changes.regressions else 0
