# SPDX-License-Identifier: BSD-3-Clause
"""What PMD threads do together and by themselves: one txq of two threads, sleep, batches that wait, recent load."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from delivery import LONG_RING
from processes import (
    EITHER_COPY,
    HUGEPAGES,
    PMD_CORE,
    SHARED_CORE,
    Guest,
    Process,
    Run,
    assert_intact,
    dropped,
    reached,
    topology,
    txq_sum,
)

FRAMES = 20_000
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@EITHER_COPY
def test_two_threads_send_to_one_txq_through_its_owner(folder: Path, copy: str) -> None:
    tables = topology(
        folder / "vm0.sock",
        port__src={"kind": "generator", "frame_size": "imix", "rate_pps": 20_000, "queues": 2},
        port__vm0__copy=copy,
        pmd=[
            {"core": PMD_CORE, "rxqs": ["src:0"], "sleep_max_us": 200},
            {"core": SHARED_CORE, "rxqs": ["src:1"], "sleep_max_us": 200},
        ],
    )
    with (
        Run(folder, tables, "--packets", str(FRAMES), "--wait-guest", "60") as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING) as guest,
    ):
        figures = run.result()
        report = guest.report()
    owner, other = figures["pmds"]
    assert_intact(report)  # each queue of the generator makes a stream of its own, which keeps its order
    assert report["received"] == reached(figures, "vm0") == FRAMES - dropped(figures, "vm0")
    assert other["handed_over"] == other["rx_packets"] - figures["ports"]["vm0"]["txqs"][0]["drops"]["handoff_full"]
    assert other["handed_over"] > 0
    assert owner["tx_packets"] == report["received"]
    assert owner["rx_packets"] + other["rx_packets"] == FRAMES


def two_ways(**pmd: Any) -> dict[str, Any]:
    return {
        "eal": {"memory_mb": 256, "hugepages": HUGEPAGES},
        "port": {"src": {"kind": "generator", "rate_pps": 20_000}, "out": {"kind": "ethdev", "device": "net_null0"}},
        "pmd": [{"core": PMD_CORE, "rxqs": ["src:0"], **pmd}],
        "forward": {"wires": [["src", "out"]]},
    }


def test_a_thread_with_little_to_do_sleeps(folder: Path) -> None:
    with Run(folder, two_ways(sleep_max_us=500), "--packets", "20000") as run:
        figures = run.result()
    [pmd] = figures["pmds"]
    assert txq_sum(figures, "out", "completed") == 20_000
    assert pmd["sleep_iterations"] > 100
    assert pmd["sleep_cycles"] > (pmd["busy_cycles"] + pmd["idle_cycles"]) / 4  # preempted turns count as busy


def test_a_thread_with_much_to_do_does_not_sleep(folder: Path) -> None:
    tables = two_ways(sleep_max_us=500)
    tables["port"]["src"]["rate_pps"] = 0
    with Run(folder, tables, "--packets", "2000000") as run:
        figures = run.result()
    [pmd] = figures["pmds"]
    assert txq_sum(figures, "out", "completed") == 2_000_000
    assert pmd["sleep_iterations"] < pmd["busy_iterations"] / 4  # before and after


def test_a_thread_does_not_sleep_with_work_in_flight(folder: Path) -> None:
    """A send to the ring is in progress until it is forced: nobody takes from it."""
    tables = two_ways(sleep_max_us=10_000)
    tables["port"]["out"] = {"kind": "ethdev", "device": "net_ring0", "async": True}
    tables["deferral"] = {"attempt_limit": 2**31, "max_stall_us": 10}
    tables["pmd"][0]["rxqs"] = ["src:0"]
    tables["port"]["src"] |= {"rate_pps": 10, "burst": 1}
    with Run(folder, tables, "--packets", "2", "--duration", "3") as run:
        figures = run.result()
    [pmd] = figures["pmds"]
    assert pmd["work_deferred"] == 2
    # Between the two packets are 100 ms, all of them with the first one in flight.
    cycles = pmd["idle_cycles"] + pmd["busy_cycles"] + pmd["sleep_cycles"]
    assert (cycles - pmd["sleep_cycles"]) / cycles * figures["seconds"] > 0.05


def test_packets_wait_for_others_to_fill_a_batch(folder: Path) -> None:
    def packets_a_batch(interval_us: int) -> float:
        with Run(folder, two_ways(tx_flush_interval_us=interval_us), "--packets", "10000") as run:
            figures = run.result()
        assert txq_sum(figures, "out", "completed") == 10_000
        return 10_000 / float(txq_sum(figures, "out", "batches"))

    assert packets_a_batch(0) < packets_a_batch(1000) <= 32


RECENT = """
import json, sys, time
import pydpdk_defer as pd

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    dp.start_traffic()
    deadline = time.monotonic() + 30
    while not any(dp.snapshot().ports["src"].rxqs[0].recent_cycles) and time.monotonic() < deadline:
        time.sleep(0.2)
    dp.stop_traffic()
    print(json.dumps(dp.snapshot().to_dict()["ports"]["src"]["rxqs"][0]))
"""


def test_the_load_of_an_rxq_is_told_in_steps(folder: Path) -> None:
    with Process(folder, "script", [sys.executable, "-c", RECENT, json.dumps(two_ways())]) as run:
        assert run.finish() == 0, run.stderr
    rxq = json.loads(run.stdout)
    assert len(rxq["recent_cycles"]) == 12
    assert 0 < sum(rxq["recent_cycles"]) <= rxq["processing_cycles"] + rxq["deferred_cycles"]
    assert rxq["recent_cycles"][-1] > 0


MISUSE = """
import json, sys, time
import pydpdk_defer as pd

def refused(call):
    try:
        call()
    except (ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return "not refused"

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    frame = bytes(60)
    first = dp.capture("out", "tx", buffer_frames=64)
    print(json.dumps([
        refused(lambda: dp.inject("uot", [frame])),
        refused(lambda: dp.inject("out", [frame, bytes(13)])),
        refused(lambda: dp.inject("out", ["text"])),
        refused(lambda: dp.capture("out", "up")),
        refused(lambda: dp.capture("out", snap_bytes=0)),
        refused(lambda: dp.capture("out", buffer_frames=100)),
        refused(lambda: dp.capture("out")),
    ]))
    # Nobody reads: the port goes on, and the capture says what it lost.
    dp.run(packets=1000)
    lost = first.lost
    first.close()
    kept = len(list(first))
    with dp.capture("out", "tx", seconds=20, count=100, snap_bytes=20) as capture:
        dp.start_traffic()
        counted = capture.write_pcap(sys.argv[2])
    dp.stop_traffic()
    left_open = dp.capture("src", "rx")
    dp.inject("src", [frame])
    dp.run(packets=10)
print(json.dumps([lost, kept, counted, len(list(left_open))]))
"""


def test_captures_that_nobody_reads_and_calls_that_cannot_be(folder: Path) -> None:
    written = folder / "cut.pcap"
    command = [sys.executable, "-c", MISUSE, json.dumps(two_ways()), str(written)]
    with Process(folder, "script", command) as run:
        assert run.finish() == 0, run.stderr
    refused, counts = map(json.loads, run.stdout.splitlines())
    assert refused == [
        "ValueError: no port 'uot'; did you mean 'out'?",
        "ValueError: frames[1] has 13 bytes; a frame has 14 to 65535, without FCS",
        "TypeError: frames[0] must be bytes-like, not str",
        "ValueError: direction is 'rx', 'tx' or 'both', not 'up'",
        "ValueError: snap_bytes must be from 1 to 65535, not 0",
        "ValueError: buffer_frames must be a power of two from 32 to 1048576, not 100",
        "ValueError: port out is being captured already; close that capture first",
    ]
    lost, kept, counted, after_the_end = counts
    assert (lost, kept) == (1000 - 64, 64)
    assert counted == 100
    assert written.stat().st_size == 24 + 100 * (16 + 20)
    assert after_the_end == 10
