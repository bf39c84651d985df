# SPDX-License-Identifier: BSD-3-Clause
"""The command `pydpdk-defer`: one module a verb, none of them with logic that Python users would miss."""

import argparse
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status: 0 fine, 1 the run failed or found a fault, 2 wrong use."""
    try:
        from pydpdk_defer import __version__, dpdk_compiled
        from pydpdk_defer.cli import devices, guest, run
        from pydpdk_defer.cli._common import print_error
        from pydpdk_defer.errors import DeferError, TopologyError
    except OSError as error:  # the native part does not fit the installed DPDK
        print(f"error: {error}", file=sys.stderr)
        return 1

    parser = argparse.ArgumentParser(
        prog="pydpdk-defer",
        description="A vhost-user datapath on DPDK whose copies a DMA engine makes.",
        epilog="Exit status: 0 fine, 1 the run failed or a check found a fault, 2 wrong use or bad topology.",
    )
    parser.add_argument(
        "--version", action="version", version=f"pydpdk-defer {__version__}, compiled against DPDK {dpdk_compiled()}"
    )
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    for module in (run, guest, devices):
        module.add_parser(verbs)
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
    except KeyboardInterrupt:
        return 130
