# SPDX-License-Identifier: BSD-3-Clause
"""A datapath that changes while packets pass: what it accepted is not lost, and an error changes nothing."""

import json
import sys
from pathlib import Path

import pytest
from delivery import LONG_RING
from processes import (
    PMD_CORE,
    SHARED_CORE,
    Guest,
    Process,
    assert_books_balance,
    assert_intact,
    dropped,
    reached,
    topology,
)

REMOVAL = """
import json, sys, time
import pydpdk_defer as pd

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    dp.wait_for_guest("vm0", 60)
    dp.start_traffic()
    while not dp.snapshot().ports["vm0"].txqs[0].completed:
        time.sleep(0.01)
    dp.set_dma_model("copier", pd.DmaModel(hang_at_copy=100))
    while dp.snapshot().ports["vm0"].txqs[0].in_flight < 100:
        time.sleep(0.01)
    dp.remove_port("vm0")
    print(list(dp.snapshot().ports))
final = dp.snapshot()
print(json.dumps(final.to_dict() | {"faults": final.faults(stopped=True)}))
"""
SLEEP_MAX_US = 200  # as in changing_datapath.py


def change(folder: Path, changes: int, seed: int) -> tuple[dict[str, int], list[float]]:
    """So many changes beside a paced stream, which arrives whole. What was changed, and the memory after each."""
    script = Path(__file__).with_name("changing_datapath.py")
    task = {
        "topology": topology(
            folder / "vm0.sock",
            port__src__rate_pps=800,  # what a handoff holds lasts for a second
            port__vm0__vhost_counters=True,
            pmd=[{"core": PMD_CORE, "rxqs": ["src:0"], "sleep_max_us": SLEEP_MAX_US}],
        ),
        "cores": [PMD_CORE, SHARED_CORE],
        "socket": str(folder / "vm1.sock"),
        "changes": changes,
        "seed": seed,
    }
    with (
        Process(folder, "script", [sys.executable, str(script), json.dumps(task)]) as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING) as guest,
    ):
        assert run.finish() == 0, run.stderr
        report = guest.report()
    figures = json.loads(run.stdout.splitlines()[-1])
    assert_books_balance(figures)
    assert_intact(report)
    assert report["lost"] == dropped(figures, "vm0") == 0, f"{report}\n{figures['ports']['vm0']}"
    assert report["received"] == reached(figures, "vm0")
    assert figures["ports"]["src"]["rxqs"][0]["packets"] == report["received"]
    assert figures["vhost_counters"]["txq 0"]["good_packets"] == report["received"]
    return figures["changes"], figures["resident_mb"]


@pytest.mark.timeout(180)
def test_changes_at_random_beside_a_paced_stream(folder: Path) -> None:
    done, _ = change(folder, 30, seed=3)
    assert len(done) >= 6


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_hundred_changes_and_flat_memory(folder: Path, seed: int) -> None:
    done, resident = change(folder, 100, seed)
    assert len(done) == 8
    # Ports that come and go take memory and give it back: what is compared are the peaks.
    assert max(resident[75:]) - max(resident[50:75]) < 1


def test_a_change_that_cannot_be_leaves_all_as_it_was(folder: Path) -> None:
    script = Path(__file__).with_name("refused_changes.py")
    tables = topology(folder / "vm0.sock", port__src__rate_pps=10_000)
    task = {"topology": tables, "core": PMD_CORE, "folder": str(folder)}
    with (
        Process(folder, "script", [sys.executable, str(script), json.dumps(task)]) as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING) as guest,
    ):
        assert run.finish() == 0, run.stderr
        report = guest.report()
    figures = json.loads(run.stdout.splitlines()[-1])
    assert_books_balance(figures)
    assert report["received"] == reached(figures, "vm0") == 2000


@pytest.mark.slow
@pytest.mark.full
def test_a_port_goes_within_a_bound_though_its_device_hangs(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", dma__copier__model={}, port__vm0__wedge_timeout_ms=60_000)
    with (
        Process(folder, "script", [sys.executable, "-c", REMOVAL, json.dumps(tables)]) as run,
        Guest(folder, folder / "vm0.sock", role="sink") as guest,
    ):
        assert run.finish() == 0, run.stderr
        guest.report()
    ports, final = run.stdout.splitlines()
    assert ports == "['src']"
    figures = json.loads(final)
    assert ["dma copier" in fault for fault in figures["faults"]] == [True]
    assert all(pool["available"] == pool["size"] for pool in figures["mempools"].values())


def test_several_threads_use_a_datapath(folder: Path) -> None:
    task = {
        "topology": topology(
            folder / "vm0.sock",
            port={"src": {"kind": "generator", "rate_pps": 5_000}, "null": {"kind": "ethdev", "device": "net_null0"}},
            dma={},
            forward={"wires": [["src", "null"]]},
            pmd=[{"core": PMD_CORE, "rxqs": ["src:0"], "sleep_max_us": SLEEP_MAX_US}],
        ),
        "socket": str(folder / "vm1.sock"),
        "core": SHARED_CORE,
        "changes": 15,
    }
    script = Path(__file__).with_name("threads_datapath.py")
    with Process(folder, "script", [sys.executable, str(script), json.dumps(task)]) as run:
        assert run.finish() == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert figures["errors"] == []
    assert figures["snapshots"] > 15
    assert_books_balance(figures)


AGAIN = r"""
import json, logging, sys
import pydpdk_defer as pd

logging.basicConfig(level=logging.INFO)
dp = pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1])))
dp.stop()  # harmless
dp.start()
print("up", flush=True)
sys.stdin.readline()
dp.set_copy("vm0", "cpu")
assert dp.topology.port["vm0"].copy_ == "cpu"
dp.set_dma_model("copier", pd.DmaModel(latency_us=7.0))
assert dp.topology.dma["copier"].model.latency_us == 7.0
dp.change(pd.Topology.loads(dp.topology.to_toml()))
tables = dp.topology.to_dict()
tables["port"]["vm0"]["copy"] = "dma"
dp.change(pd.Topology.from_dict(tables))
assert dp.snapshot().ports["vm0"].copy == "dma"
try:
    dp.topology = None
except AttributeError:
    print("read-only", flush=True)
dp.stop()
"""


def test_a_start_after_a_stop_is_watched_and_the_topology_is_what_is(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", dma__copier__model={"latency_us": 1.0})
    with Process(folder, "script", [sys.executable, "-c", AGAIN, json.dumps(tables)]) as run:
        run.wait_for_text("up")
        with Guest(folder, folder / "vm0.sock", role="sink"):
            run.wait_for_text("port vm0: guest connected")
            run.tell()
            assert run.finish() == 0, run.stderr
    assert "read-only" in run.stdout
