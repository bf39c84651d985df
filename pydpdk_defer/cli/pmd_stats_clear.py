# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer pmd-stats-clear`: have `pmd-perf-show` count from now."""

import argparse

from pydpdk_defer.attach import attach
from pydpdk_defer.cli._attached import add_file_prefix

__all__ = ["add_parser", "run"]


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "pmd-stats-clear",
        help="have pmd-perf-show count from now",
        description="Have pmd-perf-show count from now, whoever calls it. The datapath's own counters go on.",
    )
    add_file_prefix(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    with attach(args.file_prefix) as datapath:
        datapath.set_baseline()
    return 0
