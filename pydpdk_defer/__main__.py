# SPDX-License-Identifier: BSD-3-Clause
"""`python -m pydpdk_defer` is the command `pydpdk-defer`."""

import sys

from pydpdk_defer.cli import main

if __name__ == "__main__":
    sys.exit(main())
