# SPDX-License-Identifier: BSD-3-Clause
"""Frames through a DMA device, or by CPU, into a guest in another process: all, in order, intact, in every set-up."""

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pcap import read_pcap, write_pcap
from processes import Guest, Process, Run, Testpmd, dropped, have_testpmd, topology, txq_sum

MIX = [[60, 4], [64, 4], [590, 3], [1514, 3], [4000, 1], [9000, 1]]
MIX_MEAN_BYTES = sum(size * weight for size, weight in MIX) / sum(weight for _, weight in MIX)
RATE_PPS = 60_000  # what a guest carries that shares its CPU with the copying thread


def assert_all_delivered(figures: dict[str, Any], report: dict[str, Any], frames: int) -> None:
    """Every frame, once, in order, unharmed; and both ends agree."""
    assert dropped(figures, "vm0") == 0, figures["ports"]["vm0"]
    assert txq_sum(figures, "vm0", "submitted") == txq_sum(figures, "vm0", "completed") == frames
    assert txq_sum(figures, "vm0", "given_up") == 0
    assert report["received"] == frames
    for trouble in ("lost", "corrupt", "reordered", "duplicates", "foreign", "missed_before_start"):
        assert report[trouble] == 0, report


@pytest.mark.parametrize("copy", ["dma", "cpu"])
@pytest.mark.parametrize("frames", [pytest.param(1_000_000, marks=pytest.mark.slow), 50_000])
def test_mixed_sizes_arrive_complete_in_order_and_intact(folder: Path, copy: str, frames: int) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__frame_size=MIX, port__src__rate_pps=RATE_PPS, port__vm0__copy=copy)
    with (
        Run(folder, tables, "--packets", str(frames), "--wait-guest", "60") as run,
        Guest(folder, socket) as guest,
    ):
        figures = run.result()
        report = guest.result()
    assert_all_delivered(figures, report, frames)
    moved = figures["ports"]["vm0"]["txqs"][0]["bytes_by_engine"]
    other = "cpu" if copy == "dma" else "dma"
    assert moved[copy] == figures["ports"]["src"]["rxqs"][0]["bytes"] > 0
    assert moved[other] == 0
    assert figures["dma"]["copier"]["is_hardware"] is False
    assert (figures["dma"]["copier"]["completed"] > 0) == (copy == "dma")
    assert (figures["pmds"][0]["work_deferred"] > 0) == (copy == "dma")
    assert figures["pmds"][0]["work_deferred"] == figures["pmds"][0]["work_done"]


@pytest.mark.parametrize("copy", ["dma", "cpu"])
def test_two_queue_pairs(folder: Path, copy: str) -> None:
    socket = folder / "vm0.sock"
    frames = 60_000
    tables = topology(
        socket,
        port__src={"kind": "generator", "frame_size": MIX, "rate_pps": RATE_PPS, "queues": 2},
        port__vm0={"kind": "vhost", "socket": str(socket), "queues": 2, "copy": copy, "dma": ["copier"]},
        pmd=[{"core": 1, "rxqs": ["src:0", "src:1", "vm0:0", "vm0:1"]}],
    )
    with (
        Run(folder, tables, "--packets", str(frames), "--wait-guest", "60") as run,
        Guest(folder, socket, "--queues", "2") as guest,
    ):
        figures = run.result()
        report = guest.result()
    assert_all_delivered(figures, report, frames)
    assert [txq["completed"] for txq in figures["ports"]["vm0"]["txqs"]] == [frames // 2] * 2
    assert sorted(stream["received"] for stream in report["streams"].values()) == [frames // 2] * 2


@pytest.mark.parametrize("copy", ["dma", "cpu"])
def test_client_mode_connects_to_a_guest_that_listens(folder: Path, copy: str) -> None:
    socket = folder / "vm0.sock"
    frames = 60_000
    tables = topology(
        socket,
        port__src__frame_size=MIX,
        port__src__rate_pps=RATE_PPS,
        port__vm0={"kind": "vhost", "socket": str(socket), "mode": "client", "copy": copy, "dma": ["copier"]},
    )
    with (
        Run(folder, tables, "--packets", str(frames), "--wait-guest", "60") as run,
        Guest(folder, socket, "--server") as guest,
    ):
        figures = run.result()
        report = guest.result()
    assert_all_delivered(figures, report, frames)


@pytest.mark.parametrize("copy", ["dma", "cpu"])
@pytest.mark.parametrize("mtu", [1500, 9000], ids=["chained mbufs", "whole mbufs"])
def test_the_guests_pcap_equals_the_pcap_sent(folder: Path, copy: str, mtu: int) -> None:
    socket = folder / "vm0.sock"
    random = Random(20)
    sent = [random.randbytes(random.randint(60, 9000)) for _ in range(4000)]
    sent[:4] = [random.randbytes(size) for size in (60, 9000, 1514, 1518)]
    write_pcap(folder / "sent.pcap", sent)
    tables = topology(
        socket,
        port__src={
            "kind": "ethdev",
            "device": f"net_pcap0,rx_pcap={folder / 'sent.pcap'}",
            "rate_pps": 10_000,
            "mtu": mtu,
        },
        port__vm0__copy=copy,
        pmd=[{"core": 1, "rxqs": ["src:0"]}],
    )
    with (
        Run(folder, tables, "--packets", str(len(sent)), "--duration", "60", "--wait-guest", "60") as run,
        Guest(folder, socket, "--pcap", str(folder / "received.pcap"), role="sink") as guest,
    ):
        figures = run.result()
        report = guest.result()
    assert dropped(figures, "vm0") == 0
    assert report["received"] == report["pcap_packets"] == len(sent)
    assert list(read_pcap(folder / "received.pcap")) == sent


def test_echoed_frames_come_back(folder: Path) -> None:
    socket = folder / "vm0.sock"
    frames = 30_000
    tables = topology(socket, port__src__frame_size="imix", port__src__rate_pps=20_000)
    with (
        Run(folder, tables, "--packets", str(frames), "--wait-guest", "60") as run,
        Guest(folder, socket, role="echo") as guest,
    ):
        figures = run.result()
        report = guest.result()
    assert report["echoed"] + report["echo_drops"] == frames
    assert figures["ports"]["vm0"]["rxqs"][0]["packets"] == report["echoed"]
    assert txq_sum(figures, "src", "completed") == report["echoed"]


RUN_WHEN_TOLD = """
import json, sys
import pydpdk_defer as pd

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    print("up", flush=True)
    dp.wait_for_guest("vm0", 60)
    sys.stdin.readline()
    dp.run(seconds=2)
    print("ran", flush=True)
    sys.stdin.readline()
print(json.dumps(dp.snapshot().to_dict()))
"""


@pytest.mark.skipif(not have_testpmd(), reason="dpdk-testpmd is not installed (Debian: dpdk-dev)")
@pytest.mark.parametrize("copy", ["dma", "cpu"])
@pytest.mark.parametrize("rate_pps", [100_000, 0], ids=["paced", "overload"])
def test_testpmd_sees_exactly_what_is_counted_as_completed(folder: Path, copy: str, rate_pps: int) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=rate_pps, port__vm0__copy=copy)
    with Process(folder, "script", [sys.executable, "-c", RUN_WHEN_TOLD, json.dumps(tables)]) as run:
        run.wait_for_text("up")
        with Testpmd(folder, socket) as testpmd:
            # Its driver throws away what arrives while it starts.
            testpmd.wait_for_text("forwards packets on 1 streams")
            run.tell()
            run.wait_for_text("ran")
            received = testpmd.received()
            run.tell()
            assert run.finish() == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert received == txq_sum(figures, "vm0", "completed") > 0
