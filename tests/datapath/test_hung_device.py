# SPDX-License-Identifier: BSD-3-Clause
"""A DMA device that hands nothing back any more, and what happens around it meanwhile."""

import json
import sys
import time
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP
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
    topology,
    txq_sum,
    wait_until,
)
from vhost_frontend import Frontend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MAX_STALL_US = 400_000
# A thread that waits looks at the clock between two checks, which may take the device's lock; the rest of what is
# allowed is the time that the machine took the thread's CPU away.
LATE_US = 300_000
HANG_AT_COPY = 20_000
WEDGE_TIMEOUT_MS = 3_000
NEVER_MS = 60_000  # a watchdog that does not come first
STOPPED_MS = 3_000


def watched(folder: Path, **changes: Any) -> Process:
    """vm0 with a device that hangs, from a thread that sends to vm1 by CPU as well, both at full rate."""
    tables = topology(folder / "vm0.sock", dma__copier__model={"hang_at_copy": HANG_AT_COPY})
    queues = changes.pop("queues", 1)
    source = {"kind": "generator", "frame_size": 1500, "rate_pps": 0}
    vm0 = {**tables["port"]["vm0"], "wedge_timeout_ms": NEVER_MS, "queues": queues, **changes.pop("vm0", {})}
    vm1 = {"kind": "vhost", "socket": str(folder / "vm1.sock"), **changes.pop("vm1", {})}
    tables["port"] = {"src0": source | {"queues": queues}, "src1": source, "vm0": vm0, "vm1": vm1}
    tables["pmd"] = [{**tables["pmd"][0], "rxqs": [*(f"src0:{qid}" for qid in range(queues)), "src1:0"]}]
    tables["forward"] = {"wires": [["src0", "vm0"], ["src1", "vm1"]]}
    tables["deferral"] = {"attempt_limit": 2**31, "max_stall_us": MAX_STALL_US, **changes.pop("deferral", {})}
    tables["dma"] |= changes.pop("dma", {})
    assert not changes
    script = Path(__file__).with_name("watched_datapath.py")
    return Process(folder, "watched", [sys.executable, str(script), json.dumps(tables)])


def device(number: int, **model: Any) -> dict[str, Any]:
    """A DMA device, behind a model if there is something to model."""
    return {"device": f"dma_skeleton{number},lcore={SHARED_CORE}"} | ({"model": model} if model else {})


def wait_for_hang(run: Process, *devices: str) -> None:
    run.wait_for_counters(lambda counters: all(counters.dma[name].stalls_injected for name in devices), "devices hang")


def end(run: Process) -> dict[str, Any]:
    """Its figures; the thread was never away from its loop for longer than it may be."""
    run.tell("end")
    assert run.finish() == 0, run.stderr
    figures: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    assert_books_balance(figures | {"faults": []})
    assert figures["stall_us"] < MAX_STALL_US + LATE_US + figures["taken_us"]
    return figures


@pytest.mark.parametrize(
    ("queues", "policy"),
    [
        (2, "per_queue"),
        *(pytest.param(*cell, marks=pytest.mark.full) for cell in ((1, "fifo"), (1, "per_queue"), (2, "fifo"))),
    ],
)
def test_a_guest_that_leaves_before_the_device_is_found_hung(folder: Path, queues: int, policy: str) -> None:
    """With two queues the thread surely runs into the lock that vhost holds while it switches the first one off."""
    both = ("--queues", str(queues))
    with (
        watched(folder, queues=queues, deferral={"policy": policy}) as run,
        Guest(folder, folder / "vm0.sock", *both, role="sink") as leaving,
        Guest(folder, folder / "vm1.sock", role="sink", name="other") as other,
    ):
        wait_for_hang(run, "copier")
        leaving.report()
        with Guest(folder, folder / "vm0.sock", *both, role="sink", name="next") as following:
            following.wait_ready()
            run.wait_for_counters(
                lambda counters: all(txq.bytes_by_engine["cpu"] for txq in counters.ports["vm0"].txqs),
                "each queue of the next guest gets packets from the CPU",
            )
            figures = end(run)
            reports = [following.report(), other.report()]
    assert txq_sum(figures, "vm0", "wedges") == 1
    assert txq_sum(figures, "vm0", "given_up") > 0
    assert len(figures["faults"]) == 1
    assert [report["received"] > 0 for report in reports] == [True, True]


@pytest.mark.full
@pytest.mark.parametrize("devices", [1, 2])
def test_the_waits_of_one_turn_add_up_to_no_more(folder: Path, devices: int) -> None:
    """A full work ring, and the locks of a guest that gives up its queues, each with a device that hangs."""
    dma = {
        name: {"device": f"dma_skeleton{at},lcore={SHARED_CORE}", "model": {"hang_at_copy": 3000}}
        for at, name in enumerate(("copier", "other")[:devices])
    }
    with (
        watched(folder, queues=4, dma=dma, vm0={"dma": list(dma)}, deferral={"ring_size": 4}) as run,
        Guest(folder, folder / "vm0.sock", "--queues", "4", role="sink") as leaving,
        Guest(folder, folder / "vm1.sock", role="sink", name="other"),
    ):
        wait_for_hang(run, *dma)
        leaving.report()
        figures = end(run)
    assert len(figures["faults"]) == devices


def test_a_guest_whose_memory_changes_while_the_device_hangs(folder: Path) -> None:
    with (
        watched(
            folder,
            queues=2,
            dma={"copier": device(0, hang_at_copy=200)},
        ) as run,
        Guest(folder, folder / "vm1.sock", role="sink", name="other") as other,
    ):
        wait_until((folder / "vm0.sock").exists, "the socket")
        with Frontend(folder / "vm0.sock", pairs=2) as guest:
            guest.start()
            wait_for_hang(run, "copier")
            guest.set_memory()
            run.wait_for_counters(
                lambda counters: any(txq.wedges for txq in counters.ports["vm0"].txqs), "the queue is given up"
            )
            figures = end(run)
        assert other.report()["received"] > 0
    assert txq_sum(figures, "vm0", "wedges") == 1
    assert txq_sum(figures, "vm0", "given_up") > 0


def test_a_device_that_works_survives_guests_that_leave(folder: Path) -> None:
    """However short the wait that a thread is allowed."""
    both = ("--queues", "4")
    with (
        watched(
            folder,
            queues=4,
            dma={"copier": device(0)},
            deferral={"max_stall_us": 100},
        ) as run,
        Guest(folder, folder / "vm1.sock", role="sink", name="other"),
        Guest(folder, folder / "vm0.sock", *both, role="sink") as first,
    ):
        run.wait_for_text("traffic flows")
        first.report()
        for number in range(3):
            with Guest(folder, folder / "vm0.sock", *both, role="sink", name=f"next{number}") as guest:
                guest.wait_ready()
                run.wait_for_packets("vm0")
                guest.report()
        figures = end(run)
    assert figures["faults"] == []
    assert txq_sum(figures, "vm0", "wedges") == 0


@pytest.mark.full
def test_guests_killed_while_the_device_hangs(folder: Path) -> None:
    with (
        watched(folder) as run,
        Guest(folder, folder / "vm1.sock", role="sink", name="other") as other,
        Guest(folder, folder / "vm0.sock", role="sink") as first,
    ):
        wait_for_hang(run, "copier")
        first.finish(SIGKILL)
        for number in range(3):
            with Guest(folder, folder / "vm0.sock", role="sink", name=f"next{number}") as guest:
                guest.wait_ready()
                guest.finish(SIGKILL)
        figures = end(run)
        assert other.report()["received"] > 0
    assert figures["ports"]["vm0"]["guest_connects"] == 4
    assert txq_sum(figures, "vm0", "wedges") == 1


@pytest.mark.full
def test_other_rules_while_the_device_hangs(folder: Path) -> None:
    with (
        watched(folder) as run,
        Guest(folder, folder / "vm0.sock", role="sink"),
        Guest(folder, folder / "vm1.sock", role="sink", name="other"),
    ):
        wait_for_hang(run, "copier")
        for policy in ("per_queue", "fifo"):
            rules = {"attempt_limit": 2**31, "max_stall_us": MAX_STALL_US, "policy": policy}
            run.tell(json.dumps(rules))
            run.wait_for_text(f"goes on with {policy}")
        figures = end(run)
    assert txq_sum(figures, "vm0", "given_up") > 0
    assert figures["pmds"][0]["work_dropped"] > 0


def test_a_spare_device_takes_over(folder: Path) -> None:
    with (
        watched(
            folder, dma={"spare": device(1)}, vm0={"dma": ["copier", "spare"], "wedge_timeout_ms": WEDGE_TIMEOUT_MS}
        ) as run,
        Guest(folder, folder / "vm1.sock", role="sink", name="other"),
    ):
        with Guest(folder, folder / "vm0.sock", role="sink") as guest:
            run.wait_for_counters(lambda counters: counters.dma["copier"].out_of_use, "the device is out of use")
            guest.report()
        with Guest(folder, folder / "vm0.sock", role="sink", name="next") as guest:
            guest.wait_ready()
            run.wait_for_counters(lambda counters: counters.dma["spare"].completed > 0, "the spare device copies")
            figures = end(run)
            assert guest.report()["received"] > 0
    txq = figures["ports"]["vm0"]["txqs"][0]
    assert figures["ports"]["vm0"]["copy"] == "dma"
    assert txq["bytes_by_engine"]["cpu"] == 0
    assert figures["dma"]["copier"]["out_of_use"]
    assert len(figures["faults"]) == 1


def test_the_end_of_a_run_whose_device_hangs(folder: Path) -> None:
    """However many queues the device has packets of."""
    tables = topology(folder / "vm0.sock", dma__copier__model={"hang_at_copy": HANG_AT_COPY})
    tables["port"]["src"] |= {"rate_pps": 0, "queues": 4}
    tables["port"]["vm0"] |= {"queues": 4}
    tables["pmd"][0]["rxqs"] = [f"src:{qid}" for qid in range(4)]
    with (
        Run(folder, tables, "--wait-guest", "60") as run,
        Guest(folder, folder / "vm0.sock", "--queues", "4", role="sink"),
    ):
        wait_for_hang(run, "copier")
        assert run.finish(SIGINT) == 1
    assert "error: dma copier: dma_skeleton0 did not finish a copy in time" in run.stderr
    figures = json.loads(run.json_path.read_text())
    assert len(figures["faults"]) == 1
    assert_books_balance(figures | {"faults": []})


@pytest.mark.full
def test_two_ports_on_a_device_that_hangs(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", dma__copier__model={"hang_at_copy": 10_000})
    source = {"kind": "generator", "frame_size": 1500, "rate_pps": 20_000}
    port = {**tables["port"]["vm0"], "wedge_timeout_ms": WEDGE_TIMEOUT_MS}
    tables["port"] = {"src0": source, "src1": source}
    tables["port"] |= {name: {**port, "socket": str(folder / f"{name}.sock")} for name in ("vm0", "vm1")}
    tables["pmd"] = [{**tables["pmd"][0], "rxqs": ["src0:0", "src1:0"]}]
    tables["forward"] = {"wires": [["src0", "vm0"], ["src1", "vm1"]]}
    tables["deferral"] = {"attempt_limit": 2**31, "max_stall_us": MAX_STALL_US}
    with (
        Run(folder, tables, "--duration", "8", "--wait-guest", "60") as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING) as one,
        Guest(folder, folder / "vm1.sock", *LONG_RING, name="other") as other,
    ):
        assert run.finish() == 1, run.stderr
        reports = [one.report(), other.report()]
    assert "warning: dma copier: dma_skeleton0 hands no copies back and is out of use" in run.stderr
    figures = json.loads(run.json_path.read_text())
    assert len(figures.pop("faults")) == 1
    assert_books_balance(figures | {"faults": []})
    for name, report in zip(("vm0", "vm1"), reports, strict=True):
        assert_intact(report)
        assert txq_sum(figures, name, "given_up") > 0
    assert 1 <= txq_sum(figures, "vm0", "wedges") + txq_sum(figures, "vm1", "wedges") <= 2


def test_a_process_that_was_stopped_for_a_while_takes_no_device_for_hung(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", port__src__rate_pps=20_000, port__vm0__wedge_timeout_ms=STOPPED_MS - 1000)
    with (
        Run(folder, tables, "--wait-guest", "60") as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING) as guest,
    ):
        run.wait_for_packets("vm0")
        run.signal(SIGSTOP)
        time.sleep(STOPPED_MS / 1000)
        run.signal(SIGCONT)
        run.wait_for_packets("vm0")
        run.signal(SIGINT)
        figures = run.result()
        assert_intact(guest.report())
    assert txq_sum(figures, "vm0", "wedges") == 0
