# SPDX-License-Identifier: BSD-3-Clause
"""Every fault of a DMA device, alone and in pairs: books, frames, bounded stalls, and counters that tell it."""

import json
import sys
from itertools import combinations, cycle
from pathlib import Path
from typing import Any

import pytest
from delivery import LONG_RING, MIX
from faulty_datapath import RATE_PPS
from processes import Guest, Process, assert_books_balance, assert_intact, reached, topology

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

A_MOMENT, A_MINUTE = 0.7, 60.0  # of traffic with each model
MAX_STALL_US = 50_000
# A thread that waits looks at the clock between two checks; the rest of what is allowed is the time that the machine
# took the thread's CPU away.
LATE_US = 300_000
WEDGE_TIMEOUT_MS, NEVER_WEDGED_MS = 3_000, 10_000

PASSING: dict[str, dict[str, Any]] = {
    "latency": {"latency_us": 300},
    "bandwidth": {"bandwidth_gb_per_s": 0.05},
    "lumps": {"lump_us": 2000},
    "capacity": {"capacity": 200},
    "stalls": {"stall_at_copy": 2000, "stall_ms": 20, "stall_repeat": True},
    "full": {"full_at_copy": 1500, "full_ms": 10, "full_repeat": True},
}
FOR_GOOD: dict[str, dict[str, Any]] = {"hang": {"hang_at_copy": 6000}, "error": {"error_every": 5000}}
POLICIES: dict[str, dict[str, Any]] = {
    "fifo": {"policy": "fifo"},
    "paced": {"policy": "per_queue", "paced": True},
    "deadline": {"policy": "fifo", "paced": True, "deadline_us": 5000, "on_full": "drop"},
}


def task(folder: Path, models: list[dict[str, Any]], policy: str, seconds: float, wedge_timeout_ms: int) -> list[str]:
    tables = topology(
        folder / "vm0.sock",
        port__src__frame_size=MIX,
        port__src__rate_pps=RATE_PPS,
        port__vm0__wedge_timeout_ms=wedge_timeout_ms,
        dma__copier__model={},
        deferral={"attempt_limit": 2**31, "max_stall_us": MAX_STALL_US, **POLICIES[policy]},
    )
    script = Path(__file__).with_name("faulty_datapath.py")
    return [sys.executable, str(script), json.dumps({"topology": tables, "models": models, "seconds": seconds})]


def results(run: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def assert_told(model: dict[str, Any], figures: dict[str, Any]) -> None:
    """The counters say what the model did."""
    device, txq = figures["dma"]["copier"], figures["ports"]["vm0"]["txqs"][0]
    assert figures["faults"] == []
    assert txq["submitted"] == txq["completed"] > 0
    assert txq["given_up"] == 0
    assert device["errors_injected"] == 0
    if "latency_us" in model:
        assert txq["in_flight_time"]["p50_us"] >= model["latency_us"]
    if "stall_at_copy" in model:
        assert device["stalls_injected"] > 0
        assert txq["in_flight_time"]["max_us"] >= 1000 * model["stall_ms"]
    if "full_at_copy" in model and "capacity" not in model:
        assert device["fulls_injected"] > 0
        assert txq["drops"]["dma_ring_full"] > 0


def pass_faults(folder: Path, policy: str, seconds: float, models: list[dict[str, Any]]) -> None:
    """One datapath through faults that pass."""
    with (
        Process(folder, "script", task(folder, models, policy, seconds, NEVER_WEDGED_MS)) as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING) as guest,
    ):
        run.wait_for_text("all ran", (seconds + 10) * len(models), never="is wedged")
        report = guest.report()
        run.tell()
        assert run.finish() == 0, run.stderr
    *of_models, final = results(run)
    for model, figures in zip(models, of_models, strict=True):
        assert_told(model, figures)
    assert_books_balance(final)
    assert_intact(report)
    assert report["received"] == reached(final, "vm0")
    assert final["stall_us"] < MAX_STALL_US + LATE_US + final["taken_us"]


def survive_fault(folder: Path, fault: str, with_it: str | None, policy: str, seconds: float) -> None:
    """A device fails for good, perhaps with another fault before: the queue is wedged, a new guest is served by CPU."""
    model = FOR_GOOD[fault] | PASSING.get(with_it or "", {})
    with Process(folder, "script", task(folder, [model], policy, seconds, WEDGE_TIMEOUT_MS)) as run:
        with Guest(folder, folder / "vm0.sock", *LONG_RING) as guest:
            run.wait_for_text("is wedged", seconds + 45)
            first = guest.report()
        with Guest(folder, folder / "vm0.sock", *LONG_RING, name="second") as guest:
            guest.wait_ready()
            run.tell()
            run.wait_for_text("all ran", seconds + 45)
            second = guest.report()
            run.tell()
            assert run.finish() == 0, run.stderr
    figures, final = results(run)
    device, txq = figures["dma"]["copier"], figures["ports"]["vm0"]["txqs"][0]
    assert device["out_of_use"]
    assert device["errors_injected" if fault == "error" else "stalls_injected"] > 0
    assert txq["wedges"] == 1
    assert txq["given_up"] > 0
    assert txq["bytes_by_engine"]["dma"] > 0
    assert txq["bytes_by_engine"]["cpu"] > 0
    assert figures["ports"]["vm0"]["copy"] == "cpu"
    [told] = final.pop("faults")
    assert told.startswith("dma copier: dma_skeleton0 did not finish a copy in time")
    assert_books_balance(final | {"faults": []})
    for report in (first, second):
        assert_intact(report)
    assert final["stall_us"] < MAX_STALL_US + LATE_US + final["taken_us"]


ALONE = list(PASSING.values())
PAIRS = [one | other for one, other in combinations(ALONE, 2)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("policy", "models"),
    [
        pytest.param("paced", ALONE, id="paced-alone"),
        pytest.param("fifo", [*ALONE, *PAIRS], id="fifo-pairs", marks=pytest.mark.full),
        pytest.param("paced", PAIRS, id="paced-pairs", marks=pytest.mark.full),
    ],
)
def test_faults_that_pass(folder: Path, policy: str, models: list[dict[str, Any]]) -> None:
    pass_faults(folder, policy, A_MOMENT, models)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("policy", ["fifo", "deadline"])
def test_faults_that_pass_for_a_minute_each(folder: Path, policy: str) -> None:
    pass_faults(folder, policy, A_MINUTE, [*ALONE, *PAIRS])


@pytest.mark.parametrize(
    ("fault", "with_it", "policy"),
    [
        ("hang", None, "fifo"),
        ("error", None, "paced"),
        pytest.param("hang", "full", "paced", marks=pytest.mark.full),
        pytest.param("error", "stalls", "fifo", marks=pytest.mark.full),
    ],
)
def test_faults_for_good(folder: Path, fault: str, with_it: str | None, policy: str) -> None:
    survive_fault(folder, fault, with_it, policy, A_MOMENT)


PAIRS_FOR_GOOD = [(fault, with_it) for fault in FOR_GOOD for with_it in (None, *PASSING)]


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("fault", "with_it", "policy"),
    [(*pair, policy) for pair, policy in zip(PAIRS_FOR_GOOD, cycle(POLICIES), strict=False)],
)
def test_faults_for_good_with_a_minute_around(folder: Path, fault: str, with_it: str | None, policy: str) -> None:
    survive_fault(folder, fault, with_it, policy, A_MINUTE)
