# SPDX-License-Identifier: BSD-3-Clause
"""What the verbs share that look into a running datapath."""

import argparse

from pydpdk_defer.cli._arguments import json_target

__all__ = ["add_file_prefix", "add_json"]


def add_file_prefix(parser: argparse.ArgumentParser) -> None:
    """The option that chooses among several datapaths."""
    parser.add_argument(
        "--file-prefix", metavar="PREFIX", help="which datapath, where several run (eal.file_prefix of its topology)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option for programs."""
    parser.add_argument("--json", type=json_target, metavar="PATH|-", help="write it as JSON, to a file or to stdout")
