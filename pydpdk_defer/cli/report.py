# SPDX-License-Identifier: BSD-3-Clause
"""`pydpdk-defer report`: an evaluation as one HTML file, or as a table for other programs."""

import argparse
from pathlib import Path

from pydpdk_defer.cli._common import needs_extra
from pydpdk_defer.evaluate import load

__all__ = ["add_parser", "run"]


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "report",
        help="an evaluation as one HTML file",
        description="Write an evaluation as one HTML file that works offline, and print its summary.",
    )
    parser.add_argument("folder", metavar="DIR", help="the folder that evaluate wrote to")
    parser.add_argument("--html", metavar="FILE", help="default: DIR/report.html")
    parser.add_argument("--csv", metavar="FILE", help="all repetitions as CSV too")
    parser.add_argument("--parquet", metavar="FILE", help="all repetitions as Parquet too")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    found = load(args.folder)
    with needs_extra("report"):
        from pydpdk_defer.evaluate import report, tables
    path = Path(args.html) if args.html else found.folder / "report.html"
    report.write(found, path)
    if args.csv:
        tables.export(found, Path(args.csv), "csv")
    if args.parquet:
        tables.export(found, Path(args.parquet), "parquet")
    print(f"{found}\n\nreport: {path}")
    return 0
