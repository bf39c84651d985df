# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer pmd-perf-show`: what the PMD threads of a running datapath did."""

import argparse
from datetime import datetime

from pydpdk_defer.attach import attach
from pydpdk_defer.cli._attached import add_file_prefix, add_json
from pydpdk_defer.cli._common import write_json
from pydpdk_defer.host.cpus import cpu_places
from pydpdk_defer.views.perf_show import perf_show

__all__ = ["add_parser", "run"]


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "pmd-perf-show",
        help="what the PMD threads of a running datapath did",
        description="What each PMD thread of a running datapath did since its start or the last pmd-stats-clear, in "
        "the layout of Open vSwitch, with its deferred work.",
    )
    add_file_prefix(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    with attach(args.file_prefix) as datapath:
        counted = datapath.since_baseline()
    if args.json:
        write_json(args.json, counted.to_dict())
    if args.json != "-":
        nodes = {cpu: place.node for cpu, place in cpu_places(pmd.core for pmd in counted.pmds).items()}
        clock = datetime.now().strftime("%H:%M:%S.%f")[:-3]  # local, as the one who looks has it
        print(perf_show(counted, nodes, clock), end="")
    return 0
