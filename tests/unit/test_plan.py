# SPDX-License-Identifier: BSD-3-Clause
"""Which thread owns which queue and channel; the order of frame sizes; CPUs for DPDK's own threads."""

from collections import Counter
from typing import Any

import pytest

from pydpdk_defer._building import mbufs_needed
from pydpdk_defer._frame_sizes import schedule
from pydpdk_defer.eal import control_cpus
from pydpdk_defer.plan import Channel, Circumstances, Output, Plan, make_plan
from pydpdk_defer.topology import Topology, VhostPort


def plan_of(channels: int = 1, **tables: Any) -> Plan:
    """The plan where every DMA device has so many channels."""
    topology = Topology.from_dict(tables)
    return make_plan(topology, Circumstances(channels=dict.fromkeys(topology.dma, channels)))


def test_a_flow_keeps_its_queue() -> None:
    plan = plan_of(
        port={"src": {"kind": "generator", "queues": 3}, "out": {"kind": "ethdev", "device": "net_null0", "queues": 2}},
        pmd=[{"core": 1, "rxqs": ["src:0", "src:1", "src:2", "out:0"]}],
        forward={"wires": [["src", "out"]]},
    )
    (pmd,) = plan.pmds.values()
    first, second, sink = Output("out", 0), Output("out", 1), Output("src", 0)
    assert pmd.outputs == (first, second, sink)
    assert pmd.inputs == (("src", 0, first), ("src", 1, second), ("src", 2, first), ("out", 0, sink))


def test_each_thread_swallows_on_a_sink_of_its_own() -> None:
    plan = plan_of(
        port={"src": {"kind": "generator"}, "out": {"kind": "ethdev", "device": "net_null0", "queues": 2}},
        pmd=[{"core": 0, "rxqs": ["out:0"]}, {"core": 1, "rxqs": ["out:1"]}],
        forward={"wires": [["src", "out"]]},
    )
    assert [pmd.outputs for pmd in plan.pmds.values()] == [(Output("src", 0),), (Output("src", 1),)]
    assert plan.sinks == {"src": 2}


def channels(plan: Plan, port: str) -> dict[int, tuple[Channel, ...]]:
    return {output.qid: output.channels for pmd in plan.pmds.values() for output in pmd.outputs if output.port == port}


def two_threads(dma: list[str], queues: int, **tables: Any) -> dict[str, Any]:
    """Half of the queues of vm0 are sent to by each of two threads."""
    half = queues // 2
    return {
        "dma": {name: {"device": f"dma_skeleton{at}"} for at, name in enumerate(dma)},
        "port": {
            "src": {"kind": "generator", "queues": queues},
            "vm0": {"kind": "vhost", "socket": "vm0.sock", "queues": queues, "dma": dma},
        },
        "pmd": [
            {"core": 1, "rxqs": [f"src:{qid}" for qid in range(half)]},
            {"core": 2, "rxqs": [f"src:{qid}" for qid in range(half, queues)]},
        ],
        "forward": {"wires": [["src", "vm0"]]},
    } | tables


def test_a_channel_for_each_thread_that_uses_a_device() -> None:
    plan = plan_of(2, **two_threads(["a", "b"], queues=4))
    of_first, of_second = [[(Channel("a", at),), (Channel("b", at),)] for at in (0, 1)]
    assert channels(plan, "vm0") == dict(enumerate(of_first + of_second))
    assert plan.notes == ()


def test_a_thread_without_a_channel_copies_by_cpu_and_it_is_said() -> None:
    plan = plan_of(**two_threads(["a"], queues=2))
    assert channels(plan, "vm0") == {0: (Channel("a", 0),), 1: ()}
    assert plan.notes == (
        "port vm0: the CPU copies for txq 1, as dma a has no channel left for the PMD thread of core 2",
    )


def test_every_thread_has_a_channel_before_any_has_two() -> None:
    plan = plan_of(**two_threads(["a", "b"], queues=4))
    a, b = (Channel("a", 0),), (Channel("b", 0),)
    assert channels(plan, "vm0") == {0: a, 1: a, 2: b, 3: b}
    assert plan.notes == ()


def test_a_device_that_no_other_thread_uses_is_a_spare() -> None:
    plan = plan_of(**two_threads(["a", "b", "c"], queues=2))
    assert channels(plan, "vm0") == {0: (Channel("a", 0), Channel("c", 0)), 1: (Channel("b", 0),)}


def test_what_a_thread_does_by_two_plans() -> None:
    def tables(*wires: tuple[str, str]) -> dict[str, Any]:
        return {
            "port": {
                "src0": {"kind": "generator"},
                "src1": {"kind": "generator"},
                "out0": {"kind": "ethdev", "device": "net_null0"},
                "out1": {"kind": "ethdev", "device": "net_null1"},
            },
            "pmd": [{"core": 1, "rxqs": ["src0:0", "src1:0"]}],
            "forward": {"wires": wires},
        }

    (now,) = plan_of(**tables(("src0", "out0"), ("src1", "out1"))).pmds.values()
    (then,) = plan_of(**tables(("src0", "out1"), ("src1", "out0"))).pmds.values()
    assert now.common(now) == now
    assert now.common(then).inputs == ()


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
        return mbufs_needed(1, [VhostPort(kind="vhost", socket="vm0.sock", queues=queues)])

    assert needed(1) < needed(16)
    assert (needed(3) + 1).bit_count() == 1
