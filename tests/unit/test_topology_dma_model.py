# SPDX-License-Identifier: BSD-3-Clause
"""The table of a modelled DMA device: what it takes, what it refuses, and how its figures say what they are."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from test_stats import snapshot, txq

from pydpdk_defer import DmaModel
from pydpdk_defer._stats_text import live_line
from pydpdk_defer.errors import TopologyError
from pydpdk_defer.stats import Dma, Snapshot
from pydpdk_defer.topology import Topology

NEVER = "must be a whole number from 0 to 9007199254740992 (0: never)"


def tables(model: Any, **device: Any) -> dict[str, Any]:
    return {
        "dma": {"d": {"device": "dma_skeleton0", **device, "model": model}},
        "port": {"src": {"kind": "generator"}, "vm0": {"kind": "vhost", "socket": "/tmp/vm0.sock", "dma": ["d"]}},
        "pmd": [{"core": 1, "rxqs": ["src:0"]}],
        "forward": {"wires": [["src", "vm0"]]},
    }


@pytest.mark.parametrize(
    ("model", "lines"),
    [
        ({"latency_us": -1}, ["dma.d.model.latency_us = -1: must be from 0 to 1000000 (microseconds)"]),
        ({"latency_us": "2"}, ['dma.d.model.latency_us = "2": must be from 0 to 1000000 (microseconds)']),
        (
            {"bandwidth_gb_per_s": float("inf")},
            ["dma.d.model.bandwidth_gb_per_s = inf: must be from 0 to 1000000 (10^9 bytes per second; 0: no limit)"],
        ),
        (
            {"stall_ms": 60001, "stall_at_copy": 1},
            ["dma.d.model.stall_ms = 60001: must be from 0 to 60000 (milliseconds)"],
        ),
        ({"error_every": -1}, [f"dma.d.model.error_every = -1: {NEVER}"]),
        ({"hang_at_copy": 1.5}, [f"dma.d.model.hang_at_copy = 1.5: {NEVER}"]),
        ({"stall_repeat": 1}, ["dma.d.model.stall_repeat = 1: must be true or false"]),
        (
            {"latency": 2},
            ["dma.d.model.latency = 2: no such key in [dma.NAME.model]; did you mean 'latency_us'?"],
        ),
        (3, ["dma.d.model = 3: must be a table, written [dma.NAME.model]"]),
        (
            {"stall_at_copy": 5},
            ["dma.d.model.stall_ms = 0.0: must be more than 0 with stall_at_copy; without an end it is hang_at_copy"],
        ),
        ({"full_at_copy": 5}, ["dma.d.model.full_ms = 0.0: must be more than 0 with full_at_copy"]),
        (
            {"full_ms": 2.0, "stall_repeat": True},
            [
                "dma.d.model.stall_repeat = true: needs stall_at_copy, the copies from one to the next",
                "dma.d.model.full_ms = 2.0: needs full_at_copy, the copy at which it begins",
            ],
        ),
        (
            {"hang_at_copy": 10, "stall_at_copy": 10, "stall_ms": 1, "error_every": 11},
            [
                f"dma.d.model.{key} = {copy}: is not before hang_at_copy = 10, and would never be seen; "
                "leave one of them out"
                for key, copy in (("stall_at_copy", 10), ("error_every", 11))
            ],
        ),
    ],
)
def test_what_a_model_cannot_be(model: Any, lines: list[str]) -> None:
    with pytest.raises(TopologyError) as caught:
        Topology.from_dict(tables(model))
    assert caught.value.strerror.splitlines() == lines


def test_a_model_has_no_more_room_than_the_ring() -> None:
    assert Topology.from_dict(tables({"capacity": 255}, ring_size=256)).dma["d"].model == DmaModel(capacity=255)
    with pytest.raises(TopologyError) as caught:
        Topology.from_dict(tables({"capacity": 256}, ring_size=256))
    assert caught.value.strerror == (
        "dma.d.model.capacity = 256: must be less than the ring's 256 descriptors, of which one stays free"
    )


def test_a_model_made_in_python_says_what_would_do() -> None:
    with pytest.raises(ValidationError, match="must be from 0 to 1000000 \\(microseconds\\)"):
        DmaModel(latency_us=-1)
    with pytest.raises(ValidationError, match="stall_ms must be more than 0 with stall_at_copy"):
        DmaModel(stall_at_copy=1)


def test_a_topology_with_a_model_is_written_and_read_back() -> None:
    modelled = Topology.from_dict(tables({"latency_us": 2, "stall_at_copy": 7, "stall_ms": 20, "stall_repeat": True}))
    assert Topology.loads(modelled.to_toml()) == modelled
    empty = Topology.from_dict(tables({}))
    assert Topology.loads(empty.to_toml()).dma["d"].model == DmaModel()


@pytest.mark.parametrize(
    ("model", "summary"),
    [
        (DmaModel(), "neutral"),
        (DmaModel(latency_us=2, bandwidth_gb_per_s=30), "30 GB/s, 2 us"),
        (DmaModel(copy_cost_ns=150), "150 ns of the core a copy"),
        (DmaModel(lump_us=10, capacity=64), "lumps of 10 us, 64 copies at most"),
        (DmaModel(stall_at_copy=9, stall_ms=20, stall_repeat=True), "stalls 20 ms every 9 copies"),
        (DmaModel(full_at_copy=9, full_ms=0.5), "full for 0.5 ms at copy 9"),
        (DmaModel(hang_at_copy=9, error_every=3), "hangs at copy 9, an error every 3 copies"),
    ],
)
def test_a_model_in_few_words(model: DmaModel, summary: str) -> None:
    assert model.summary == summary


def modelled(**changes: Any) -> Snapshot:
    plain = Dma("dma_skeleton0", "dma_skeleton", False, False, 0, 0, 0)
    device = replace(plain, modelled=True, model="30 GB/s, 2 us", **changes)
    return replace(snapshot(queue=txq(bytes_by_engine={"dma": 9, "cpu": 0})), dma={"copier": device})


def test_every_text_says_that_a_device_is_modelled() -> None:
    text = str(modelled())
    assert "vm0: DMA (software: dma_skeleton, modelled: 30 GB/s, 2 us)" in text
    assert "    modelled: 30 GB/s, 2 us" in text
    assert "longer than the model" not in text
    assert live_line(modelled() - modelled(), 1.0).endswith("(modelled DMA)")
    assert "modelled" not in str(snapshot()) + live_line(snapshot() - snapshot(), 1.0)


def test_what_the_model_did_is_told_and_is_a_counter() -> None:
    later = modelled(model_changes=2, stalls_injected=3, fulls_injected=4, errors_injected=5, late_copies=6)
    text = str(later)
    assert "made by the model: 3 stalls, 4 times a full ring, 5 errors" in text
    assert "6 copies took the device longer than the model" in text
    assert "modelled: 30 GB/s, 2 us, changed 2 times" in text
    difference = (later - modelled(model_changes=1)).dma["copier"]
    assert (difference.model_changes, difference.late_copies, difference.model) == (1, 6, "30 GB/s, 2 us")
    assert difference.origin == "software: dma_skeleton, modelled: 30 GB/s, 2 us, changed once"
    assert later.to_dict()["dma"]["copier"]["modelled"] is True
