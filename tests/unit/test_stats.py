# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots: differences, what contradicts itself, and the texts."""

import dataclasses
import json
from dataclasses import replace
from typing import Any

import pytest

from pydpdk_defer._stats_text import live_line
from pydpdk_defer.stats import Dma, Eal, Mempool, Pmd, PortCounters, Rxq, Snapshot, Times, Txq


def txq(**changes: Any) -> Txq:
    values: dict[str, Any] = {
        **dict.fromkeys(
            ("submitted", "completed", "in_flight", "given_up", "quarantined", "late_completions", "wedges"), 0
        ),
        **dict.fromkeys(
            (
                "batches",
                "retries",
                "engine_changes",
                "dma_min_bytes",
                "submit_cycles",
                "complete_cycles",
                "wasted_cycles",
                "waiting",
            ),
            0,
        ),
        "bytes_by_engine": {"dma": 0, "cpu": 0},
        "drops": {"ring_full": 0},
        "in_flight_time": Times({}),
    }
    return Txq(**{**values, **changes})


def snapshot(
    seconds: float = 1.0, queue: Txq | None = None, available: int = 100, failures: int = 0, **pmd: int
) -> Snapshot:
    names = [f for f in Pmd.__dataclass_fields__ if f not in ("core", "recent_busy_cycles")]
    counters: dict[str, Any] = {name: pmd.get(name, 0) for name in names}
    return Snapshot(
        seconds=seconds,
        tsc_hz=10**9,
        pmds=(Pmd(core=1, recent_busy_cycles=(), **counters),),
        ports={"vm0": PortCounters("vhost", "dma", 1, 0, failures, (Rxq(0, 0, 0, 0, 0, 0, 0, ()),), (queue or txq(),))},
        mempools={"mbufs": Mempool(100, available)},
        dma={"copier": Dma("dma_skeleton0", "dma_skeleton", False, False, 0, 0, 0)},
        eal=Eal("22.11.11", "22.11.11", False),
    )


def test_a_difference_takes_counters_apart_and_keeps_levels() -> None:
    before = snapshot(1.0, txq(submitted=10, completed=7, in_flight=3, bytes_by_engine={"dma": 5, "cpu": 0}), 90)
    after = snapshot(3.5, txq(submitted=30, completed=28, in_flight=2, bytes_by_engine={"dma": 9, "cpu": 1}), 80)
    difference = after - before
    assert difference.seconds == 2.5
    queue = difference.ports["vm0"].txqs[0]
    assert (queue.submitted, queue.completed, queue.in_flight) == (20, 21, 2)
    assert queue.bytes_by_engine == {"dma": 4, "cpu": 1}
    assert difference.mempools["mbufs"].available == 80
    assert difference.pmds[0].core == 1
    assert difference.eal == after.eal


def test_fields_are_keys_and_json() -> None:
    one = snapshot(queue=txq(submitted=4, completed=4))
    assert one["ports"]["vm0"]["txqs"][0]["submitted"] == 4
    with pytest.raises(KeyError):
        one["levels"]
    assert json.loads(json.dumps(one.to_dict()))["pmds"][0]["core"] == 1


@pytest.mark.parametrize(
    ("queue", "available", "words"),
    [
        (txq(submitted=5, completed=3), 100, ["port vm0 txq 0", "submitted 5", "are 3"]),
        (txq(submitted=5, completed=3, in_flight=2), 100, ["2 packets are still in flight"]),
        (txq(), 98, ["mempool mbufs", "2 of 100 mbufs did not come back"]),
    ],
)
def test_what_does_not_add_up_is_a_fault(queue: Txq, available: int, words: list[str]) -> None:
    (fault,) = snapshot(queue=queue, available=available).faults(stopped=True)
    for word in words:
        assert word in fault


def test_books_that_balance_have_no_fault() -> None:
    running = snapshot(queue=txq(submitted=9, completed=4, in_flight=3, given_up=2), available=50)
    assert running.faults() == []


def test_a_stopped_dma_device_is_a_fault() -> None:
    stopped = replace(snapshot(), dma={"copier": Dma("dma_skeleton0", "dma_skeleton", False, True, 0, 0, 0)})
    assert "dma copier" in stopped.faults()[0]


def test_the_table_says_who_moved_the_bytes_and_why_packets_were_dropped() -> None:
    text = str(snapshot(queue=txq(bytes_by_engine={"dma": 9, "cpu": 0}, drops={"ring_full": 12}), rx_packets=5))
    assert "vm0: DMA (software: dma_skeleton)" in text
    assert "vm0:0  ring_full  12" in text
    assert "mbufs: 100 of 100 mbufs free" in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_port_whose_connections_fail_is_in_the_table() -> None:
    assert "  vm0: 2" in str(snapshot(failures=2)).splitlines()
    assert "no guests" not in str(snapshot())


def test_the_live_line_of_an_idle_second() -> None:
    line = live_line(snapshot() - snapshot(0.0), 1.0)
    assert "0 pps" in line
    assert "- cycles/packet" in line


def test_a_difference_knows_threads_by_their_cores_and_takes_new_ones_as_they_are() -> None:
    before, after = snapshot(iterations=100), snapshot(iterations=150)
    new = dataclasses.replace(after.pmds[0], core=5, iterations=7)
    grown = dataclasses.replace(after, pmds=(new, *after.pmds))
    assert {pmd.core: pmd.iterations for pmd in (grown - before).pmds} == {5: 7, 1: 50}
    shrunk = dataclasses.replace(after, pmds=())
    assert (shrunk - before).pmds == ()


def test_the_table_says_what_auto_chose_and_what_was_tried_again() -> None:
    queue = txq(engine_changes=3, dma_min_bytes=800, retries=7)
    text = str(snapshot(queue=queue))
    assert "vm0:0  7" in text
    assert "auto" not in text
    ports = {"vm0": replace(snapshot(queue=queue).ports["vm0"], copy="auto")}
    assert "vm0:0  3 changes of the engine, DMA from 800 bytes on" in str(replace(snapshot(), ports=ports))
