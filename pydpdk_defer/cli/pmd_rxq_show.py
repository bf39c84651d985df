# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer pmd-rxq-show`: which PMD thread of a running datapath polls what, and what that costs it."""

import argparse

from pydpdk_defer.attach import attach
from pydpdk_defer.cli._attached import add_file_prefix, add_json
from pydpdk_defer.cli._common import write_json
from pydpdk_defer.host.cpus import cpu_places
from pydpdk_defer.views.rxq_show import rxq_show

__all__ = ["add_parser", "run"]


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "pmd-rxq-show",
        help="which PMD thread of a running datapath polls what, and at what cost",
        description="Which PMD thread of a running datapath polls which receive queues, and what part of its cycles "
        "each took in the last minute, in the layout of Open vSwitch.",
    )
    add_file_prefix(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    with attach(args.file_prefix) as datapath:
        lists = datapath.look()
    if args.json:
        write_json(args.json, {name: lists[name] for name in ("pmd", "rxqs")})
    if args.json != "-":
        nodes = {cpu: place.node for cpu, place in cpu_places(pmd["core"] for pmd in lists["pmd"]).items()}
        print(rxq_show(lists, nodes), end="")
    return 0
