# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer devices`: the DMA devices of this host, how a topology names them, and what keeps DPDK off."""

import argparse

from pydpdk_defer.cli._arguments import json_target
from pydpdk_defer.cli._common import write_json
from pydpdk_defer.host import dma_devices

__all__ = ["add_parser", "run"]


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "devices",
        help="DMA devices of this host, and how to name them",
        description="List the DMA devices of this host: hardware on the PCI bus, idxd work queues, and what DPDK can "
        "play in software; with what a topology calls each, or what to type before DPDK can use it. Changes nothing, "
        "and needs no rights.",
        epilog="Exit status 1 when the PMDs do not fit the DPDK that is loaded.",
    )
    parser.add_argument(
        "--json", type=json_target, metavar="PATH|-", help="write the list as JSON, to a file or to stdout"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    report = dma_devices.survey()
    if args.json:
        write_json(args.json, report.to_dict())
    if args.json != "-":
        print(report)
    return 1 if report.faults else 0
