# SPDX-License-Identifier: BSD-3-Clause
"""Frames through a DMA device, or by CPU, into a guest in another process: all, in order, intact, in every set-up."""

import json
import sys
from pathlib import Path
from random import Random

import pytest
from delivery import LONG_RING, deliver
from pcap import read_pcap, write_pcap
from processes import EITHER_COPY, Guest, Process, Run, Testpmd, dropped, have_testpmd, reached, topology, txq_sum

pytestmark = pytest.mark.timeout(180)


@pytest.mark.pages
@pytest.mark.rights
@pytest.mark.parametrize("copy", ["dma", "cpu"])
@pytest.mark.parametrize("frames", [pytest.param(1_000_000, marks=pytest.mark.soak), 30_000])
def test_mixed_sizes_arrive_complete_in_order_and_intact(folder: Path, copy: str, frames: int) -> None:
    figures, _ = deliver(folder, frames, port__vm0__copy=copy)
    moved = figures["ports"]["vm0"]["txqs"][0]["bytes_by_engine"]
    other = "cpu" if copy == "dma" else "dma"
    assert moved[copy] == figures["ports"]["src"]["rxqs"][0]["bytes"] > 0
    assert moved[other] == 0
    assert figures["dma"]["copier"]["is_hardware"] is False
    assert (figures["dma"]["copier"]["completed"] > 0) == (copy == "dma")
    assert (figures["pmds"][0]["work_deferred"] > 0) == (copy == "dma")
    [pmd] = figures["pmds"]
    assert pmd["work_deferred"] == pmd["work_done"] + pmd["work_dropped"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "dma_min_bytes", [pytest.param(0, id="learned", marks=pytest.mark.full), pytest.param(1500, id="given")]
)
def test_whichever_engine_moves_them_they_arrive_in_order(folder: Path, dma_min_bytes: int) -> None:
    figures, _ = deliver(
        folder,
        60_000,
        port__vm0__copy="auto",
        port__vm0__dma_min_bytes=dma_min_bytes,
        port__src__burst=4,
    )
    txq = figures["ports"]["vm0"]["txqs"][0]
    assert sum(txq["bytes_by_engine"].values()) == figures["ports"]["src"]["rxqs"][0]["bytes"]
    assert all(moved > 0 for moved in txq["bytes_by_engine"].values())
    assert figures["ports"]["vm0"]["copy"] == "auto"
    assert txq["dma_min_bytes"] == dma_min_bytes or dma_min_bytes == 0


@EITHER_COPY
def test_two_queue_pairs(folder: Path, copy: str) -> None:
    figures, report = deliver(
        folder,
        20_000,
        ["--queues", "2"],
        port__src__queues=2,
        port__vm0__queues=2,
        port__vm0__copy=copy,
        pmd=[{"core": 1, "rxqs": ["src:0", "src:1", "vm0:0", "vm0:1"]}],
    )
    half = figures["ports"]["src"]["rxqs"][0]["packets"]
    assert [txq["submitted"] for txq in figures["ports"]["vm0"]["txqs"]] == [half] * 2
    assert sorted(stream["received"] for stream in report["streams"].values()) == [half] * 2


@EITHER_COPY
def test_client_mode_connects_to_a_guest_that_listens(folder: Path, copy: str) -> None:
    deliver(folder, 20_000, ["--server"], port__vm0__mode="client", port__vm0__copy=copy)


@pytest.mark.parametrize(
    ("copy", "mtu"),
    [
        pytest.param("dma", 1500, id="dma, chained mbufs"),
        pytest.param("cpu", 9000, id="cpu, whole mbufs"),
        pytest.param("dma", 9000, id="dma, whole mbufs", marks=pytest.mark.full),
        pytest.param("cpu", 1500, id="cpu, chained mbufs", marks=pytest.mark.full),
    ],
)
def test_the_guests_pcap_equals_the_pcap_sent(folder: Path, copy: str, mtu: int) -> None:
    socket = folder / "vm0.sock"
    random = Random(20)
    sent = [random.randbytes(random.randint(60, 9000)) for _ in range(1500)]  # as many as the rings hold
    sent[:4] = [random.randbytes(size) for size in (60, 9000, 1514, 1518)]
    write_pcap(folder / "sent.pcap", sent)
    tables = topology(
        socket,
        port__src={
            "kind": "ethdev",
            "device": f"net_pcap0,rx_pcap={folder / 'sent.pcap'}",
            "rate_pps": 1000,
            "mtu": mtu,
        },
        port__vm0__copy=copy,
        pmd=[{"core": 1, "rxqs": ["src:0"]}],
    )
    with (
        Run(folder, tables, "--packets", str(len(sent)), "--duration", "60", "--wait-guest", "60") as run,
        Guest(folder, socket, *LONG_RING, "--pcap", str(folder / "received.pcap"), role="sink") as guest,
    ):
        figures = run.result()
        report = guest.result()
    assert dropped(figures, "vm0") == 0
    assert report["received"] == report["pcap_packets"] == len(sent)
    assert list(read_pcap(folder / "received.pcap")) == sent


def test_echoed_frames_come_back(folder: Path) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__frame_size="imix", port__src__rate_pps=20_000)
    with (
        Run(folder, tables, "--packets", "20000", "--wait-guest", "60") as run,
        Guest(folder, socket, *LONG_RING, role="echo") as guest,
    ):
        figures = run.result()
        report = guest.result()
    assert report["received"] == reached(figures, "vm0") > 0
    assert report["echoed"] + report["echo_drops"] == report["received"]
    # What the guest echoed at the very end may still lie in its ring.
    assert 0 < figures["ports"]["vm0"]["rxqs"][0]["packets"] <= report["echoed"]
    assert txq_sum(figures, "src", "completed") == figures["ports"]["vm0"]["rxqs"][0]["packets"]


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
@pytest.mark.parametrize(
    ("copy", "rate_pps"),
    [
        pytest.param("dma", 100_000, id="dma, paced"),
        pytest.param("cpu", 0, id="cpu, overload"),
        pytest.param("dma", 0, id="dma, overload", marks=pytest.mark.full),
        pytest.param("cpu", 100_000, id="cpu, paced", marks=pytest.mark.full),
    ],
)
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
            [txq] = run.wait_for_counters(lambda _: True, "counters").ports["vm0"].txqs
            received = testpmd.received(txq.completed)
            run.tell()
            assert run.finish() == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert received == reached(figures, "vm0") > 0
