# SPDX-License-Identifier: BSD-3-Clause
"""The text views against files that hold what they printed when somebody looked at it and found it right."""

from pathlib import Path
from typing import Any

import pytest
from test_stats import snapshot

from pydpdk_defer.views.perf_show import deferral_block, perf_show
from pydpdk_defer.views.rxq_show import rxq_show

GOLDEN = Path(__file__).with_name("golden")
BUSY: dict[str, Any] = {
    "iterations": 1_000_000,
    "busy_iterations": 250_000,
    "idle_cycles": 1_500_000_000,
    "busy_cycles": 500_000_000,
    "sleep_iterations": 1_000,
    "sleep_cycles": 20_000_000,
    "rx_packets": 400_000,
    "tx_packets": 399_000,
    "tx_batches": 21_000,
    "work_deferred": 21_000,
    "work_in_progress": 30_000,
    "work_ring_full": 3,
    "work_done": 20_900,
    "work_dropped": 100,
}
RXQS: list[dict[str, Any]] = [
    {"port": "vm0", "qid": 0, "core": 1, "recent_cycles": [0] * 10 + [50_000_000, 150_000_000]},
    {"port": "src", "qid": 1, "core": 1, "recent_cycles": [0] * 12},
    {"port": "src", "qid": 0, "core": 3, "recent_cycles": [0] * 11 + [5_000_000_000]},
    {"port": "vm1", "qid": 0, "recent_cycles": [0] * 12},
]


@pytest.mark.parametrize("name", ["busy", "silent"])
def test_pmd_perf_show(name: str) -> None:
    counted = snapshot(2.0, **BUSY if name == "busy" else {})
    text = perf_show(counted, {1: 1}, "12:34:56.789")
    assert text == (GOLDEN / f"pmd-perf-show-{name}.txt").read_text()


def test_the_block_on_deferred_work_is_as_the_design_has_it() -> None:
    [pmd] = snapshot(2.0, **BUSY).pmds
    assert deferral_block(pmd) == [
        "  Work deferred:                          21000",
        "  - Deferred work done:                   20900",
        "  - Work completion checks:               50900  (2.44 checks/work item)",
        "  - Ring full when deferring work:            3",
        "  - Deferred work dropped:                  100",
    ]
    [silent] = snapshot(2.0).pmds
    assert deferral_block(silent) == ["  Work deferred:                0", ""]
    [none_done] = snapshot(2.0, work_deferred=1, work_in_progress=7).pmds
    assert deferral_block(none_done)[2].endswith("7  (0.00 checks/work item)")


@pytest.mark.parametrize(("seconds", "name"), [(11, "begun"), (3600, "hour"), (3, "new")])
def test_pmd_rxq_show(seconds: int, name: str) -> None:
    lists: dict[str, list[dict[str, Any]]] = {
        "datapath": [{"uptime_us": seconds * 10**6, "tsc_hz": 10**9}],
        "pmd": [
            {"core": 1, "recent_busy_cycles": [0] * 10 + [1_000_000_000, 1_000_000_000]},
            {"core": 3, "recent_busy_cycles": [0] * 11 + [5_000_000_000]},
        ],
        "rxqs": RXQS,
    }
    assert rxq_show(lists, {3: 1}) == (GOLDEN / f"pmd-rxq-show-{name}.txt").read_text()
