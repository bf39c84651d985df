# SPDX-License-Identifier: BSD-3-Clause
"""Deferred work on the real path: other rules and another plan while packets pass, quarantine, and who is charged."""

import json
import statistics
import sys
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest
from delivery import LONG_RING
from processes import (
    SHARED_CORE,
    Guest,
    Process,
    Run,
    assert_books_balance,
    assert_intact,
    dropped,
    reached,
    topology,
    txq_sum,
)

pytestmark = pytest.mark.timeout(180)

STALL = {"stall_at_copy": 1000, "stall_ms": 100, "stall_repeat": True}


def script(folder: Path, text: str, tables: dict[str, Any]) -> Process:
    return Process(folder, "script", [sys.executable, "-c", text, json.dumps(tables)])


def reports_after(run: Process, *guests: Guest) -> list[dict[str, Any]]:
    """What the guests saw, once the script has run; then the datapath goes down too."""
    run.wait_for_text("ran")
    reports = [guest.report() for guest in guests]
    run.tell()
    assert run.finish() == 0, run.stderr
    return reports


def final_figures(run: Process) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return figures


HEAD = """
import json, sys, time
import pydpdk_defer as pd

topology = pd.Topology.from_dict(json.loads(sys.argv[1]))
"""
TAIL = """
final = dp.snapshot()
print(json.dumps({**final.to_dict(), "faults": final.faults(stopped=True)}))
"""
NEW_RULES = f"""{HEAD}
RULES = [
    dict(policy="per_queue"), dict(policy="per_queue", paced=True), dict(paced=True, iteration_delay=3),
    dict(deadline_us=1_000_000), dict(ring_size=2), dict(ring_size=4, policy="per_queue"), dict(),
]
with pd.Datapath(topology) as dp:
    dp.wait_for_guest("vm0", 60)
    dp.start_traffic()
    for _ in range(6):
        for rules in RULES:
            dp.set_deferral(pd.DeferralOptions(attempt_limit=2**31, max_stall_us=10**6, **rules))
            time.sleep(0.02)
    dp.stop_traffic()
    dp.run(seconds=0)
    print("ran", flush=True)
    sys.stdin.readline()
{TAIL}"""


def test_other_rules_while_packets_pass_lose_none(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", port__src__rate_pps=20_000)
    with script(folder, NEW_RULES, tables) as run, Guest(folder, folder / "vm0.sock", *LONG_RING) as guest:
        [report] = reports_after(run, guest)
    figures = final_figures(run)
    assert_books_balance(figures)
    [pmd], [txq] = figures["pmds"], figures["ports"]["vm0"]["txqs"]
    assert pmd["work_deferred"] == pmd["work_done"] + pmd["work_dropped"] > 100
    assert txq["given_up"] == 0  # a second without the CPU for the copying thread makes some late, and loses none
    assert report["received"] == txq["completed"]
    assert report["lost"] <= dropped(figures, "vm0")
    assert [report[trouble] for trouble in ("corrupt", "reordered", "duplicates")] == [0, 0, 0]


# The thread is given a plan without the port while sends to it are in flight, and the port is closed at once.
PORT_LEAVES = f"""{HEAD}
from pydpdk_defer import _native

with pd.Datapath(topology) as dp:
    for port in ("vm0", "vm1"):
        dp.wait_for_guest(port, 60)
    parts = dp._parts
    [thread], [plan] = parts.pmds.values(), parts.plan.pmds.values()
    rules = topology.deferral.model_dump()
    both = parts.work_of(plan)
    staying = both | {{
        "inputs": [
            (port, qid, output if port.name == "src0" else -1, *rest) for port, qid, output, *rest in both["inputs"]
        ],
        "outputs": [output for output in both["outputs"] if output[0].name == "vm0"],
    }}
    assert [port.name for port, *_ in both["outputs"]] == ["vm0", "vm1"]
    dp.start_traffic()
    for _ in range(30):
        thread.reload(**both, **rules)
        time.sleep(0.01)
        thread.reload(**staying, **rules)
        # Nothing of what was deferred for vm1 is left: its engine is idle, or was given up on.
        assert parts.ports["vm1"].txq_stats(0)["in_flight"] == 0
    parts.ports["vm1"].close()
    time.sleep(0.1)
    dp.stop_traffic()
    dp.run(seconds=0)
    print("ran", flush=True)
    sys.stdin.readline()
{TAIL}"""


@pytest.mark.parametrize("policy", ["fifo", pytest.param("per_queue", marks=pytest.mark.full)])
def test_no_item_outlives_its_port(folder: Path, policy: str) -> None:
    first = topology(folder / "vm0.sock")
    second = {**first["port"]["vm0"], "socket": str(folder / "vm1.sock")}
    source = {"kind": "generator", "frame_size": 1500, "rate_pps": 20_000}
    tables = first | {
        "dma": {"copier": {**first["dma"]["copier"], "model": {"latency_us": 500}}},
        "port": {"src0": source, "src1": source, "vm0": first["port"]["vm0"], "vm1": second},
        "pmd": [{**first["pmd"][0], "rxqs": ["src0:0", "src1:0"]}],
        "forward": {"wires": [["src0", "vm0"], ["src1", "vm1"]]},
        "deferral": {"attempt_limit": 2**31, "policy": policy, "max_stall_us": 10**6},
    }
    with (
        script(folder, PORT_LEAVES, tables) as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING) as staying,
        Guest(folder, folder / "vm1.sock", *LONG_RING, name="leaving") as leaving,
    ):
        reports = reports_after(run, staying, leaving)
    figures = final_figures(run)
    assert_books_balance(figures)
    for port, report in zip(("vm0", "vm1"), reports, strict=True):
        assert report["received"] == reached(figures, port) > 0
        assert [report[trouble] for trouble in ("corrupt", "reordered", "duplicates")] == [0, 0, 0]


FORCED = f"""{HEAD}
with pd.Datapath(topology) as dp:
    dp.wait_for_guest("vm0", 60)
    dp.start_traffic()
    most = 0
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        now = dp.snapshot()
        txq = now.ports["vm0"].txqs[0]
        pool = now.mempools["mbufs"]
        # The two are not read at one moment.
        if pool.size - pool.available >= txq.quarantined:
            most = max(most, txq.quarantined)
        if txq.late_completions > 500 and most:
            break
    dp.stop_traffic()
    while dp.snapshot().ports["vm0"].txqs[0].quarantined and time.monotonic() < deadline:
        time.sleep(0.01)
    dp.run(seconds=0)
    print("ran", flush=True)
    sys.stdin.readline()
print(json.dumps(most))
{TAIL}"""


def forced(folder: Path) -> dict[str, Any]:
    """A topology whose sends are given up while the device stalls, and complete late."""
    return topology(
        folder / "vm0.sock",
        port__src__rate_pps=20_000,
        dma__copier__model=STALL,
        deferral={"attempt_limit": 50, "max_stall_us": 10**6},
    )


def test_run_reports_late_completions_once(folder: Path) -> None:
    tables = forced(folder)
    arguments = ("--packets", "10000", "--wait-guest", "60")
    with Run(folder, tables, *arguments) as run, Guest(folder, folder / "vm0.sock", *LONG_RING):
        figures = run.result()
    late = txq_sum(figures, "vm0", "late_completions")
    assert late > 0
    assert run.stderr.count(f"{late} packets were given up and reached the guest later") == 1
    assert "attempt_limit = 50" in run.stderr
    assert reached(figures, "vm0") == txq_sum(figures, "vm0", "submitted")


def test_what_is_in_flight_is_seen_while_it_is(folder: Path) -> None:
    """A hundred packets are, at any time."""
    tables = topology(folder / "vm0.sock", port__src__rate_pps=5_000, dma__copier__model={"latency_us": 20_000})
    with Run(folder, tables, "--wait-guest", "60") as run, Guest(folder, folder / "vm0.sock", *LONG_RING, role="sink"):
        run.wait_for_counters(lambda counters: counters.ports["vm0"].txqs[0].in_flight > 10, "packets in flight")
        run.signal(SIGINT)
        figures = run.result()
    assert txq_sum(figures, "vm0", "in_flight") == 0


def test_what_is_given_up_stays_in_quarantine_until_the_engine_hands_it_back(folder: Path) -> None:
    tables = forced(folder)
    with script(folder, FORCED, tables) as run, Guest(folder, folder / "vm0.sock", *LONG_RING) as guest:
        [report] = reports_after(run, guest)
    figures = final_figures(run)
    assert_books_balance(figures)
    txq = figures["ports"]["vm0"]["txqs"][0]
    assert int(run.stdout.splitlines()[-2]) > 0
    assert txq["late_completions"] > 500
    assert txq["given_up"] == 0
    assert figures["pmds"][0]["work_dropped"] > 0
    # Late is not lost: the guest has them, in order and intact.
    assert report["received"] == txq["completed"]
    assert [report[trouble] for trouble in ("corrupt", "reordered", "duplicates")] == [0, 0, 0]


HUNG = f"""{HEAD}
from machine import Machine

with pd.Datapath(topology) as dp:
    machine = Machine(topology.pmd[0].core)
    dp.wait_for_guest("vm0", 60)
    dp.run(seconds=40, until=lambda: dp.snapshot().pmds[0].work_ring_full > 3)
    report = dict(stall_us=dp.snapshot().pmds[0].longest_stall_us, taken_us=machine.taken_us())
print(json.dumps(dp.snapshot().to_dict() | report))
"""


def test_a_hung_device_keeps_a_thread_only_as_long_as_it_may(folder: Path) -> None:
    bound_us = 20_000
    tables = topology(
        folder / "vm0.sock",
        port__src__rate_pps=20_000,
        dma__copier__model={"hang_at_copy": 2000},
        port__vm0__wedge_timeout_ms=3_000,
        deferral={"attempt_limit": 2**32 - 1, "max_stall_us": bound_us, "ring_size": 8},
    )
    with (
        script(folder, HUNG, tables) as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING, role="sink"),
    ):
        assert run.finish() == 0, run.stderr
    figures = final_figures(run)
    [pmd] = figures["pmds"]
    assert pmd["work_ring_full"] > 0
    # Between two looks at the clock the machine may take the CPU away.
    assert bound_us <= figures["stall_us"] < bound_us + 300_000 + figures["taken_us"]
    assert figures["mempools"]["mbufs"]["available"] == figures["mempools"]["mbufs"]["size"]


def stalled_and_other(folder: Path, policy: str) -> dict[str, Any]:
    """The channel of vm0 stalls half of the time, 100 ms each; vm1 has a channel of its own."""
    first = topology(folder / "vm0.sock")
    ports = {
        name: {**first["port"]["vm0"], "socket": str(folder / f"{name}.sock"), "dma": [device]}
        for name, device in (("vm0", "copier"), ("vm1", "other"))
    }
    # Fewer batches a stall than the ring of vm0 has slots: a full one would make the thread wait by any policy.
    source = {"kind": "generator", "frame_size": 1500, "rate_pps": 4_000, "burst": 8}
    copier = first["dma"]["copier"]
    return first | {
        "dma": {
            "copier": {**copier, "model": {**STALL, "stall_at_copy": 400}},
            "other": {**copier, "device": f"dma_skeleton1,lcore={SHARED_CORE}"},
        },
        "port": {"src0": source, "src1": source, **ports},
        "pmd": [{**first["pmd"][0], "rxqs": ["src0:0", "src1:0"]}],
        "forward": {"wires": [["src0", "vm0"], ["src1", "vm1"]]},
        "deferral": {"attempt_limit": 2**31, "policy": policy, "max_stall_us": 10**6},
    }


def p99_us_of(folder: Path, policy: str) -> float:
    """Time in flight of vm1's batches."""
    with (
        Run(folder, stalled_and_other(folder, policy), "--duration", "2", "--wait-guest", "40") as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING, role="sink"),
        Guest(folder, folder / "vm1.sock", *LONG_RING, role="sink", name="other"),
    ):
        figures = run.result()
    assert figures["dma"]["copier"]["stalls_injected"] > 1
    return float(figures["ports"]["vm1"]["txqs"][0]["in_flight_time"]["p99_us"])


@pytest.mark.slow
def test_a_stalled_channel_holds_up_the_other_port_with_fifo_only(folder: Path) -> None:
    for _ in range(3):  # the machine may stall either of them for longer than the model does
        if p99_us_of(folder, "per_queue") < p99_us_of(folder, "fifo"):
            return
    pytest.fail("vm1 waits as long with per_queue as with fifo")


def test_a_full_ring_may_drop_instead_of_waiting(folder: Path) -> None:
    tables = topology(
        folder / "vm0.sock",
        port__src__rate_pps=20_000,
        dma__copier__model=STALL,
        deferral={"attempt_limit": 2**31, "policy": "per_queue", "ring_size": 8, "on_full": "drop"},
    )
    with (
        Run(folder, tables, "--duration", "2", "--wait-guest", "60") as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING) as guest,
    ):
        figures = run.result()
        report = guest.report()
    txq = figures["ports"]["vm0"]["txqs"][0]
    assert txq["drops"]["work_ring_full"] > 0
    assert figures["pmds"][0]["work_ring_full"] > 0
    assert report["received"] == txq["completed"]
    # What was dropped after the last frame that came is missed by nobody.
    assert 0 < report["lost"] <= dropped(figures, "vm0")


CHARGED = f"""{HEAD}
with pd.Datapath(topology) as dp:
    dp.wait_for_guest("vm0", 60)
    slices = []
    for _ in range(15):
        before = dp.snapshot()
        dp.run(packets=3000)
        slices.append((dp.snapshot() - before).to_dict())
    print("ran", flush=True)
    sys.stdin.readline()
print(json.dumps(slices))
"""


def test_checks_are_charged_to_the_rxqs_whose_packets_they_are_for(folder: Path) -> None:
    """Two rxqs lead to one txq, and their packets gather in its batches. Medians: a preempted check costs millions."""
    tables = topology(folder / "vm0.sock")
    source = {"kind": "generator", "frame_size": 1500, "burst": 8}
    tables["port"] = {"src": {**source, "queues": 2, "rate_pps": 20_000}, "vm0": tables["port"]["vm0"]}
    tables["pmd"] = [{**tables["pmd"][0], "rxqs": ["src:0", "src:1"]}]
    with script(folder, CHARGED, tables) as run, Guest(folder, folder / "vm0.sock", *LONG_RING) as guest:
        [report] = reports_after(run, guest)
    assert_intact(report)
    of_all, of_one = [], []
    for figures in json.loads(run.stdout.splitlines()[-1]):
        one, other = figures["ports"]["src"]["rxqs"]
        txq = figures["ports"]["vm0"]["txqs"][0]
        assert min(one["processing_cycles"], other["processing_cycles"]) > 0
        charged = one["deferred_cycles"] + other["deferred_cycles"]
        of_all.append(charged / (txq["complete_cycles"] + txq["wasted_cycles"]))
        of_one.append(one["deferred_cycles"] / charged)
    # What checks cost, and the little around them.
    assert 0.5 < statistics.median(of_all) < 1.5, of_all
    assert 0.25 < statistics.median(of_one) < 0.75, of_one
