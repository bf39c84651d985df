# SPDX-License-Identifier: BSD-3-Clause
"""`python -m pydpdk_defer` is the command `pydpdk-defer`."""

from pydpdk_defer.cli import command

if __name__ == "__main__":
    command()
