# SPDX-License-Identifier: BSD-3-Clause
"""The deferral machinery without DMA device and guest, on net_ring and net_null; and several PMD threads."""

import json
import os
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pcap import read_pcap, write_pcap
from processes import HUGEPAGES, Process, Run, assert_books_balance, dropped, txq_sum


def tables(port: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "eal": {"memory_mb": 256, "hugepages": HUGEPAGES},
        "port": {"src": {"kind": "generator", "frame_size": "imix"}, "out": {"kind": "ethdev", **port}},
        "pmd": [{"core": 1, "rxqs": ["src:0"]}],
        "forward": {"wires": [["src", "out"]]},
        **more,
    }


@pytest.mark.parametrize("asynchronous", [False, True])
def test_net_null_finishes_at_once_and_defers_nothing(folder: Path, asynchronous: bool) -> None:
    with Run(folder, tables({"device": "net_null0", "async": asynchronous}), "--packets", "200000") as run:
        figures = run.result()
    assert txq_sum(figures, "out", "completed") == 200000
    assert figures["pmds"][0]["work_deferred"] == 0
    assert figures["pmds"][0]["tx_packets"] == 200000


def test_net_ring_is_in_progress_until_the_far_side_has_taken_the_batch(folder: Path) -> None:
    ring = {"device": "net_ring0", "async": True, "tx_ring_size": 1024}
    # The ring's far side is the same device's rxq, which the same thread polls: what is sent comes back.
    loop = tables(ring, pmd=[{"core": 1, "rxqs": ["src:0", "out:0"]}])
    with Run(folder, loop, "--packets", "300000") as run:
        figures = run.result()
    txq = figures["ports"]["out"]["txqs"][0]
    pmd = figures["pmds"][0]
    assert txq["submitted"] == txq["completed"] == 300000 - sum(txq["drops"].values()) > 0
    assert figures["ports"]["out"]["rxqs"][0]["packets"] == txq["completed"]
    assert txq_sum(figures, "src", "completed") == txq["completed"]
    assert pmd["work_deferred"] == pmd["work_done"] > 0
    assert pmd["work_dropped"] == 0
    assert txq["in_flight_time"]["count"] == txq["batches"]
    assert pmd["busy_cycles"] >= pmd["wasted_cycles"] >= pmd["wasted_send_cycles"] >= 0


def test_without_metrics_packets_and_loads_are_counted_all_the_same(folder: Path) -> None:
    ring = {"device": "net_ring0", "async": True, "tx_ring_size": 1024}
    changed = tables(ring, pmd=[{"core": 1, "rxqs": ["src:0", "out:0"], "perf_metrics": False}])
    with Run(folder, changed, "--packets", "300000") as run:
        figures = run.result()
    txq, pmd = figures["ports"]["out"]["txqs"][0], figures["pmds"][0]
    assert txq["submitted"] == txq["completed"] > 0
    assert figures["ports"]["src"]["rxqs"][0]["processing_cycles"] > 0
    assert pmd["busy_cycles"] > 0
    unmeasured = ("submit_cycles", "complete_cycles", "wasted_cycles")
    assert [txq[name] for name in unmeasured] == [0, 0, 0]
    assert txq["in_flight_time"]["count"] == pmd["wasted_cycles"] == pmd["wasted_send_cycles"] == 0


def test_net_ring_that_nobody_takes_from_is_forced_after_the_attempt_limit(folder: Path) -> None:
    ring = {"device": "net_ring0", "async": True}
    one_way = tables(ring, deferral={"attempt_limit": 50})
    with Run(folder, one_way, "--packets", "100000") as run:
        figures = run.result()
    txq = figures["ports"]["out"]["txqs"][0]
    pmd = figures["pmds"][0]
    assert txq["completed"] == 0
    assert txq["given_up"] == txq["submitted"] > 0
    assert txq["drops"]["ring_full"] == 100000 - txq["submitted"]
    assert pmd["work_dropped"] == pmd["work_deferred"] > 0
    # Each item answered "in progress" 51 times: 50 within the limit, and once more before it was forced.
    assert pmd["work_in_progress"] == 51 * pmd["work_dropped"]


def two_threads(near_core: int) -> dict[str, Any]:
    """A ring that one thread fills and another empties; the threads are stopped in the order of their cores."""
    return tables(
        {"device": "net_ring0", "async": True},
        pmd=[{"core": core, "rxqs": ["src:0" if core == near_core else "out:0"]} for core in (0, 1)],
        # Only an end that does not wait for the far side may give anything up.
        deferral={"attempt_limit": 2**32 - 1, "max_stall_us": 1_000_000},
    )


def assert_nothing_was_stranded(figures: dict[str, Any]) -> None:
    assert_books_balance(figures)
    txq = figures["ports"]["out"]["txqs"][0]
    assert txq["completed"] == txq["submitted"] == figures["ports"]["out"]["rxqs"][0]["packets"] > 0
    assert txq["given_up"] == 0
    assert [pmd["work_dropped"] for pmd in figures["pmds"]] == [0, 0]


@pytest.mark.parametrize("near_core", [0, 1])
def test_a_ring_is_emptied_by_its_far_side_when_traffic_stops(folder: Path, near_core: int) -> None:
    with Run(folder, two_threads(near_core), "--duration", "1") as run:
        figures = run.result()
    assert_nothing_was_stranded(figures)


SCRIPT = """
import json, sys, time
import pydpdk_defer as pd

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    dp.start_traffic()
    while dp.snapshot().ports["out"].rxqs[0].packets < 10_000:
        time.sleep(0.01)
final = dp.snapshot()
print(json.dumps({**final.to_dict(), "faults": final.faults(stopped=True)}))
"""


@pytest.mark.parametrize("near_core", [0, 1])
def test_leaving_in_full_traffic_strands_nothing(folder: Path, near_core: int) -> None:
    with Process(folder, "script", [sys.executable, "-c", SCRIPT, json.dumps(two_threads(near_core))]) as script:
        assert script.finish() == 0, script.stderr
    assert_nothing_was_stranded(json.loads(script.stdout))


@pytest.mark.slow
@pytest.mark.full
def test_without_an_attempt_limit_the_end_is_bounded_all_the_same(folder: Path) -> None:
    endless = tables({"device": "net_ring0", "async": True}, deferral={"attempt_limit": 2**32 - 1})
    with Run(folder, endless, "--packets", "100000") as run:
        figures = run.result()
    txq = figures["ports"]["out"]["txqs"][0]
    assert txq["given_up"] == txq["submitted"] > 0
    assert txq["completed"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="net_tap needs the right to make an interface")
def test_async_on_a_device_that_cannot_tell_is_refused(folder: Path) -> None:
    with Run(folder, tables({"device": "net_tap0", "async": True}), "--duration", "1") as run:
        assert run.finish() == 1
        assert "port.out.async" in run.stderr
        assert "net_tap" in run.stderr
        assert "async = false" in run.stderr


@pytest.mark.parametrize("queues", [2])
def test_several_pmd_threads_each_with_a_queue(folder: Path, queues: int) -> None:
    both = {
        "eal": {"memory_mb": 256, "hugepages": HUGEPAGES},
        "port": {
            "src": {"kind": "generator", "frame_size": 64, "rate_pps": 100_000, "queues": queues},
            "out": {"kind": "ethdev", "device": "net_null0", "queues": queues},
        },
        "pmd": [{"core": core, "rxqs": [f"src:{core}"]} for core in range(queues)],
        "forward": {"wires": [["src", "out"]]},
    }
    with Run(folder, both, "--packets", "100000") as run:
        figures = run.result()
    assert [pmd["core"] for pmd in figures["pmds"]] == [0, 1]
    assert [pmd["tx_packets"] for pmd in figures["pmds"]] == [50000, 50000]
    assert [txq["completed"] for txq in figures["ports"]["out"]["txqs"]] == [50000, 50000]
    assert dropped(figures, "out") == 0


def test_frames_without_a_guest_are_dropped_and_counted(folder: Path) -> None:
    alone = tables({})
    alone["port"]["out"] = {"kind": "vhost", "socket": str(folder / "nobody.sock")}
    with Run(folder, alone, "--packets", "10000") as run:
        figures = run.result()
    assert figures["ports"]["out"]["txqs"][0]["drops"]["no_guest"] == 10000
    assert figures["pmds"][0]["tx_packets"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="net_af_packet needs the right to open raw sockets")
def test_net_af_packet_on_the_loopback_interface(folder: Path) -> None:
    with Run(folder, tables({"device": "net_af_packet0,iface=lo"}), "--packets", "2000") as run:
        figures = run.result()
    assert txq_sum(figures, "out", "completed") > 0


def _frame(size: int, ether_type: int = 0x0800) -> bytes:
    return bytes(range(12)) + ether_type.to_bytes(2, "big") + Random(size).randbytes(size - 14)


def test_frames_longer_than_the_mtu_are_dropped_and_hold_up_no_others(folder: Path) -> None:
    vlan, qinq = 0x8100, 0x88A8
    fit = [_frame(60), _frame(1514), _frame(1518, vlan), _frame(1518, qinq), _frame(61)]
    too_long = [_frame(1515), _frame(1518), _frame(1519, vlan), _frame(9000), _frame(1600)]
    write_pcap(folder / "in.pcap", [frame for pair in zip(fit, too_long, strict=True) for frame in pair] * 100)
    through = tables({"device": f"net_pcap1,tx_pcap={folder / 'out.pcap'}"})
    through["port"]["src"] = {"kind": "ethdev", "device": f"net_pcap0,rx_pcap={folder / 'in.pcap'}"}
    with Run(folder, through, "--packets", "1000", "--duration", "60") as run:
        figures = run.result()
    assert list(read_pcap(folder / "out.pcap")) == fit * 100
    (txq,) = figures["ports"]["out"]["txqs"]
    assert {reason: count for reason, count in txq["drops"].items() if count} == {"too_long": 500}
    assert txq["submitted"] == txq["completed"] == 500


@pytest.mark.skipif(os.geteuid() != 0, reason="net_tap needs the right to make an interface")
def test_a_device_that_stops_at_a_long_frame_gets_the_others(folder: Path) -> None:
    mixed = tables({"device": "net_tap0"})
    mixed["port"]["src"] = {"kind": "generator", "frame_size": [[60, 15], [1600, 1]]}
    with Run(folder, mixed, "--packets", "16000") as run:
        figures = run.result()
    (txq,) = figures["ports"]["out"]["txqs"]
    assert (txq["completed"], txq["drops"]["too_long"], txq["drops"]["ring_full"]) == (15000, 1000, 0)


def test_a_ring_passes_on_what_fits_when_its_sends_are_in_progress(folder: Path) -> None:
    ring = tables({"device": "net_ring0", "async": True, "mtu": 576}, pmd=[{"core": 1, "rxqs": ["src:0", "out:0"]}])
    ring["port"]["src"] = {"kind": "generator", "frame_size": [[590, 1], [591, 1]]}
    with Run(folder, ring, "--packets", "2000") as run:
        figures = run.result()
    (txq,) = figures["ports"]["out"]["txqs"]
    assert txq["drops"]["too_long"] == 1000
    assert txq["completed"] == figures["ports"]["out"]["rxqs"][0]["packets"] == 1000 - txq["drops"]["ring_full"] > 0


def test_a_thread_for_which_no_channel_is_left_copies_by_cpu_and_it_is_said_once(folder: Path) -> None:
    vhost = {"kind": "vhost", "socket": str(folder / "vm0.sock"), "queues": 2, "dma": ["copier"]}
    alone = tables({"device": "net_null0"}) | {
        "dma": {"copier": {"device": "dma_skeleton0"}},
        "port": {"src": {"kind": "generator", "queues": 2, "rate_pps": 1000}, "out": vhost},
        "pmd": [{"core": 0, "rxqs": ["src:0"]}, {"core": 1, "rxqs": ["src:1"]}],
    }
    with Run(folder, alone, "--duration", "0.5") as run:
        figures = run.result()
    said = "port out: the CPU copies for txq 1, as dma copier has no channel left for the PMD thread of core 1"
    assert run.stderr.count(said) == 1
    assert txq_sum(figures, "out", "submitted") == 0
