# SPDX-License-Identifier: BSD-3-Clause
"""The command `pydpdk-defer`: one module a verb, none of them with logic that Python users would miss."""

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from pydpdk_defer import __version__, dpdk_compiled
from pydpdk_defer.cli._common import ignore_signals_after_the_verb
from pydpdk_defer.cli._log import print_error
from pydpdk_defer.errors import DeferError, TopologyError

__all__ = ["command", "main"]

_VERBS = (
    "run",
    "guest",
    "evaluate",
    "report",
    "compare",
    "doctor",
    "devices",
    "pmd-perf-show",
    "pmd-rxq-show",
    "pmd-stats-clear",
    "top",
)


def command() -> NoReturn:
    """The process `pydpdk-defer`: one verb, then the end, which no late Ctrl-C turns into something else."""
    ignore_signals_after_the_verb()
    status = main()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status: 0 fine, 1 the run failed or found a fault, 2 wrong use."""
    parser = argparse.ArgumentParser(
        prog="pydpdk-defer",
        description="A vhost-user datapath on DPDK whose copies a DMA engine makes.",
        epilog="Exit status: 0 fine, 1 the run failed or a check found a fault, 2 wrong use or bad topology.",
    )
    parser.add_argument(
        "--version", action="version", version=f"pydpdk-defer {__version__}, compiled against DPDK {dpdk_compiled()}"
    )
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    for verb in _verbs_to_import(sys.argv[1:] if arguments is None else arguments):
        importlib.import_module(f"pydpdk_defer.cli.{verb.replace('-', '_')}").add_parser(verbs)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except TopologyError as error:
        print_error(error)
        return 2
    except DeferError as error:
        print_error(error)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:  # a full disk, a closed terminal
        print_error(error)
        return 1
    except KeyboardInterrupt:
        return 130


def _verbs_to_import(arguments: Sequence[str]) -> Sequence[str]:
    """The verb that is called, or all of them: `evaluate` alone imports more than all others together."""
    verb = next((argument for argument in arguments if not argument.startswith("-")), None)
    return (verb,) if verb in _VERBS else _VERBS
