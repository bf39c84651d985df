# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer doctor`: can this host do it, and if not, what to type."""

import argparse

from pydpdk_defer.cli._arguments import json_target
from pydpdk_defer.cli._common import write_json
from pydpdk_defer.host.doctor import examine
from pydpdk_defer.topology import Topology

__all__ = ["add_parser", "run"]


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "doctor",
        help="can this host do it, and what to type if not",
        description="Look at hugepages, IOMMU, DMA devices, DPDK and its plug-ins, CPUs, limits of a container and "
        "what killed processes left: OK, WARN or FAIL, why it matters, and the command to type. With a topology just "
        "at what that needs. Changes nothing, and needs no rights.",
        epilog="Exit status 1 when something that is needed fails.",
    )
    parser.add_argument("topology", metavar="TOPOLOGY.toml", nargs="?")
    parser.add_argument(
        "--json", type=json_target, metavar="PATH|-", help="write the checks as JSON, to a file or to stdout"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    found = examine() if args.topology is None else examine(Topology.load(args.topology), args.topology)
    if args.json:
        write_json(args.json, found.to_dict())
    if args.json != "-":
        print(found)
    return 0 if found.fit else 1
