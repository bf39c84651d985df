# SPDX-License-Identifier: BSD-3-Clause
"""What counting costs: cycles per packet with `perf_metrics` and without, in turn in one process against one guest.

    python tests/bench/bench_metrics.py [--sizes 64,1500] [--rounds 600] [--hugepages] [--json PATH|-]

Busy cycles are counted in both.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from two_ways import Bench, Switch, compare_in_turns

from pydpdk_defer.topology import Topology


@contextmanager
def metrics(bench: Bench) -> Iterator[Switch]:
    """An evaluation's datapath, with and without metrics."""
    tables = bench.datapath.topology.to_dict()
    topologies = {}
    for is_on in (True, False):
        tables["pmd"][0]["perf_metrics"] = is_on
        topologies[is_on] = Topology.from_dict(tables)
    yield lambda is_on: bench.datapath.change(topologies[is_on])


if __name__ == "__main__":
    sys.exit(compare_in_turns(__doc__ or "", metrics, slice_seconds=0.02, rounds=600))
