# SPDX-License-Identifier: BSD-3-Clause
"""Which thread owns which queue and channel; the order of frame sizes; CPUs for DPDK's own threads."""

from collections import Counter
from typing import Any

import pytest

from pydpdk_defer._building import mbufs_needed
from pydpdk_defer._frame_sizes import schedule
from pydpdk_defer.eal import control_cpus
from pydpdk_defer.plan import Channel, make_plan
from pydpdk_defer.topology import Topology


def plan_of(**tables: Any) -> Any:
    return make_plan(Topology.from_dict(tables))


def test_a_flow_keeps_its_queue() -> None:
    plan = plan_of(
        port={"src": {"kind": "generator", "queues": 3}, "out": {"kind": "ethdev", "device": "net_null0", "queues": 2}},
        pmd=[{"core": 1, "rxqs": ["src:0", "src:1", "src:2", "out:0"]}],
        forward={"wires": [["src", "out"]]},
    )
    (pmd,) = plan.pmds
    assert pmd.outputs == (("out", 0), ("out", 1), ("src", 0))
    assert pmd.inputs == (("src", 0, 0), ("src", 1, 1), ("src", 2, 0), ("out", 0, 2))


def test_each_thread_swallows_on_a_sink_of_its_own() -> None:
    plan = plan_of(
        port={"src": {"kind": "generator"}, "out": {"kind": "ethdev", "device": "net_null0", "queues": 2}},
        pmd=[{"core": 0, "rxqs": ["out:0"]}, {"core": 1, "rxqs": ["out:1"]}],
        forward={"wires": [["src", "out"]]},
    )
    assert [pmd.outputs for pmd in plan.pmds] == [(("src", 0),), (("src", 1),)]
    assert plan.sinks == {"src": 2}


def test_a_channel_for_each_thread_that_uses_a_device() -> None:
    plan = plan_of(
        dma={"a": {"device": "dma_skeleton0"}, "b": {"device": "dma_skeleton1"}},
        port={
            "src": {"kind": "generator", "queues": 4},
            "vm0": {"kind": "vhost", "socket": "vm0.sock", "queues": 4, "dma": ["a", "b"]},
        },
        pmd=[{"core": 1, "rxqs": ["src:0", "src:1"]}, {"core": 2, "rxqs": ["src:2", "src:3"]}],
        forward={"wires": [["src", "vm0"]]},
    )
    assert plan.channels["vm0"] == ((Channel("a", 0),), (Channel("b", 0),), (Channel("a", 1),), (Channel("b", 1),))
    assert plan.dma_cores == {"a": (1, 2), "b": (1, 2)}


def test_a_device_that_no_other_thread_uses_is_a_spare() -> None:
    plan = plan_of(
        dma={"a": {"device": "dma_skeleton0"}, "b": {"device": "dma_skeleton1"}, "c": {"device": "dma_skeleton2"}},
        port={
            "src": {"kind": "generator", "queues": 2},
            "vm0": {"kind": "vhost", "socket": "vm0.sock", "queues": 2, "dma": ["a", "b", "c"]},
        },
        pmd=[{"core": 1, "rxqs": ["src:0"]}, {"core": 2, "rxqs": ["src:1"]}],
        forward={"wires": [["src", "vm0"]]},
    )
    assert plan.channels["vm0"] == ((Channel("a", 0), Channel("c", 0)), (Channel("b", 0),))
    assert plan.dma_cores == {"a": (1,), "b": (2,), "c": (1,)}


@pytest.mark.parametrize("mix", ["imix", [(60, 3), (1500, 5)], [(64, 1)]])
def test_a_mix_is_exact_in_every_round_and_spread_out(mix: Any) -> None:
    weights = {64: 7, 590: 4, 1514: 1} if mix == "imix" else dict(mix)
    order = schedule(mix)
    assert Counter(order) == weights
    longest = max(len(run) for run in "".join("x" if size == order[0] else " " for size in order).split())
    assert longest <= max(2, weights[order[0]] // 2)


def test_a_single_size_is_a_round_of_one() -> None:
    assert schedule(1500) == [1500]


def test_dpdks_own_threads_stay_off_the_pmd_cores_while_others_are_left() -> None:
    assert control_cpus({0, 1, 2, 3}, iter([1, 2])) == [0, 3]
    assert control_cpus({0, 1}, iter([0, 1])) == [0, 1]


def test_mbufs_grow_with_queues_and_suit_a_mempool() -> None:
    def needed(queues: int) -> int:
        vhost = {"kind": "vhost", "socket": "vm0.sock", "queues": queues}
        return mbufs_needed(
            Topology.from_dict(
                {
                    "port": {"vm0": vhost},
                    "pmd": [{"core": 1, "rxqs": ["vm0:0"]}],
                    "forward": {"wires": [["vm0", "vm0"]]},
                }
            )
        )

    assert needed(1) < needed(16)
    assert (needed(3) + 1).bit_count() == 1
