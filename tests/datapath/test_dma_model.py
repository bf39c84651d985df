# SPDX-License-Identifier: BSD-3-Clause
"""A DMA device that is slower, smaller or faulty on request: what its users see, and that every byte still arrives."""

import json
import sys
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest
from delivery import LONG_RING, deliver
from processes import Guest, Process, Run, assert_books_balance, dropped, reached, topology

pytestmark = pytest.mark.timeout(120)

RING = 4096  # for a stall of 20 ms


@pytest.mark.parametrize(
    ("model", "words", "counter"),
    [
        pytest.param({"latency_us": 500, "bandwidth_gb_per_s": 1}, "1 GB/s, 500 us", None, id="latency and bandwidth"),
        pytest.param({"lump_us": 2000}, "lumps of 2000 us", None, id="lumps", marks=pytest.mark.full),
        pytest.param({"capacity": 700}, "700 copies at most", None, id="capacity", marks=pytest.mark.full),
        pytest.param(
            {"stall_at_copy": 2500, "stall_ms": 20, "stall_repeat": True},
            "stalls 20 ms every 2500 copies",
            "stalls_injected",
            id="stalls",
        ),
    ],
)
def test_every_frame_arrives_in_order_and_intact(
    folder: Path, model: dict[str, Any], words: str, counter: str | None
) -> None:
    figures, _ = deliver(
        folder,
        15_000,
        may_drop=["dma_ring_full"] if "capacity" in model else [],
        dma__copier__model=model,
        dma__copier__ring_size=RING,
    )
    device = figures["dma"]["copier"]
    assert device["modelled"] is True
    assert device["model"] == words
    assert device["errors_injected"] == device["model_changes"] == 0
    if counter:
        assert device[counter] > 1


def test_a_full_ring_drops_by_that_reason_and_nothing_else_goes_wrong(folder: Path) -> None:
    socket = folder / "vm0.sock"
    model = {"full_at_copy": 500, "full_ms": 20, "full_repeat": True}
    tables = topology(socket, port__src__rate_pps=25_000, dma__copier__model=model)
    with (
        Run(folder, tables, "--packets", "10000", "--wait-guest", "60") as run,
        Guest(folder, socket, *LONG_RING) as guest,
    ):
        figures = run.result()
        report = guest.report()
    assert figures["dma"]["copier"]["fulls_injected"] > 1
    assert figures["ports"]["vm0"]["txqs"][0]["drops"]["dma_ring_full"] > 0
    assert report["received"] == reached(figures, "vm0") == 10_000 - dropped(figures, "vm0") > 0
    assert [report[trouble] for trouble in ("corrupt", "reordered", "duplicates", "foreign")] == [0, 0, 0, 0]


def test_the_guest_sees_the_latency(folder: Path) -> None:
    latency_us = 20_000
    model = {"latency_us": latency_us}
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=5_000, dma__copier__model=model)
    with (
        Run(folder, tables, "--packets", "3000", "--wait-guest", "60") as run,
        Guest(folder, socket, *LONG_RING) as guest,
    ):
        run.result()
        report = guest.report()
    assert report["latency_us"]["count"] > 0
    assert report["latency_us"]["p50"] >= latency_us


def test_the_bandwidth_limits_what_passes_and_every_text_says_so(folder: Path) -> None:
    bytes_per_second = 20_000_000
    socket = folder / "vm0.sock"
    model = {"bandwidth_gb_per_s": bytes_per_second / 1e9}
    tables = topology(socket, port__src__rate_pps=0, dma__copier__model=model)
    with (
        Run(folder, tables, "--duration", "2", "--interval", "0.5", "--wait-guest", "60") as run,
        Guest(folder, socket, *LONG_RING, role="sink") as guest,
    ):
        figures = run.result()
        report = guest.report()
    passed = figures["ports"]["vm0"]["txqs"][0]["bytes_by_engine"]["dma"]
    assert 0 < passed < bytes_per_second * figures["seconds"]
    assert report["received"] == reached(figures, "vm0")
    assert "vm0: DMA (software: dma_skeleton, modelled: 0.02 GB/s)" in run.stdout
    assert "    modelled: 0.02 GB/s" in run.stdout
    live = [line for line in run.stderr.splitlines() if "cycles/packet" in line]
    assert live
    assert all(line.endswith("(modelled DMA)") for line in live)


CHANGED_WHILE_RUNNING = """
import json, sys, time
import pydpdk_defer as pd


def completed():
    return sum(txq.completed for _, _, txq in dp.snapshot().txqs())


def wait_until(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def passes(packets=300):
    before = completed()
    wait_until(lambda: completed() > before + packets, f"nothing passes with {dp.snapshot().dma['copier'].model}")


def refused(error, *arguments):
    try:
        dp.set_dma_model(*arguments)
    except error as caught:
        print("refused:", caught, file=sys.stderr)
    else:
        raise AssertionError(arguments)


FOR_GOOD = {"hang": pd.DmaModel(hang_at_copy=50), "full": pd.DmaModel(full_at_copy=50, full_ms=60_000)}

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    dp.wait_for_guest("vm0", 60)
    refused(ValueError, "copir", None)
    refused(TypeError, "copier", {"latency_us": 1})
    refused(ValueError, "copier", pd.DmaModel(capacity=1024))
    assert dp.snapshot().dma["copier"].model == "neutral"
    dp.start_traffic()
    for _ in range(3):
        passes()
        dp.set_dma_model("copier", pd.DmaModel(latency_us=300, bandwidth_gb_per_s=5))
        passes()
        dp.set_dma_model("copier", pd.DmaModel(lump_us=3000, capacity=800))
        passes()
        for fault, counter in (("hang", "stalls_injected"), ("full", "fulls_injected")):
            before = dp.snapshot()
            dp.set_dma_model("copier", FOR_GOOD[fault])
            wait_until(lambda: (dp.snapshot() - before).dma["copier"][counter] == 1, fault)
            dp.set_dma_model("copier", None)
            passes()
    dp.stop_traffic()
    dp.run(seconds=0)
    print("ran", flush=True)
    sys.stdin.readline()
final = dp.snapshot()
print(json.dumps({**final.to_dict(), "faults": final.faults(stopped=True)}))
"""


def test_models_come_and_go_while_packets_pass(folder: Path) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=20_000, dma__copier__model={}, dma__copier__ring_size=1024)
    with (
        Process(folder, "script", [sys.executable, "-c", CHANGED_WHILE_RUNNING, json.dumps(tables)]) as run,
        Guest(folder, socket, *LONG_RING) as guest,
    ):
        run.wait_for_text("ran")
        report = guest.report()
        run.tell()
        assert run.finish() == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert_books_balance(figures)
    device = figures["dma"]["copier"]
    assert (device["model"], device["model_changes"], device["stalls_injected"]) == ("neutral", 18, 3)
    assert report["received"] == reached(figures, "vm0") > 0
    assert [report[trouble] for trouble in ("corrupt", "reordered", "duplicates", "foreign")] == [0, 0, 0, 0]
    for words in (
        "no DMA device 'copir'; did you mean 'copier'?",
        "dma.copier.model.capacity = 1024: must be less than the ring's 1024 descriptors",
    ):
        assert words in run.stderr


WITHOUT_A_MODEL = """
import json, sys
import pydpdk_defer as pd

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    assert dp.snapshot().dma["copier"].modelled is False
    dp.set_dma_model("copier", pd.DmaModel(latency_us=2))
"""


def test_a_device_without_a_model_takes_none_while_it_runs(folder: Path) -> None:
    tables = topology(folder / "vm0.sock")
    with Process(folder, "script", [sys.executable, "-c", WITHOUT_A_MODEL, json.dumps(tables)]) as run:
        assert run.finish() == 1
        assert run.stderr.splitlines()[-1] == (
            "ValueError: dma.copier has no model, and a model cannot be added to a device in use; "
            "add the table [dma.copier.model] to the topology, it may be empty"
        )


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize(
    ("model", "counter"),
    [({"error_every": 1000}, "errors_injected"), ({"hang_at_copy": 1000}, "stalls_injected")],
    ids=["error", "hang"],
)
def test_a_device_that_fails_for_good_is_counted_and_the_run_still_ends(
    folder: Path, model: dict[str, Any], counter: str
) -> None:
    socket = folder / "vm0.sock"
    # Few checks: they are what ends a thread's wait for the device.
    checks = {"attempt_limit": 100_000}
    tables = topology(socket, port__src__rate_pps=20_000, dma__copier__model=model, deferral=checks)
    with (
        Run(folder, tables, "--wait-guest", "40") as run,
        Guest(folder, socket, *LONG_RING) as guest,
    ):
        run.wait_for_counters(lambda counters: counters.dma["copier"][counter] > 0, counter)
        assert run.finish(SIGINT) in (0, 1), run.stderr
        report = guest.report()
    figures = json.loads(run.json_path.read_text())
    assert figures["dma"]["copier"][counter] > 0
    assert report["received"] > 0
    assert [report[trouble] for trouble in ("corrupt", "reordered", "duplicates", "foreign")] == [0, 0, 0, 0]
    txq = figures["ports"]["vm0"]["txqs"][0]
    assert txq["submitted"] == txq["completed"] + txq["in_flight"] + txq["given_up"]
