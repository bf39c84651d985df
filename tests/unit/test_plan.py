# SPDX-License-Identifier: BSD-3-Clause
"""Which thread owns which queue and channel; the order of frame sizes; CPUs for DPDK's own threads."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from pydpdk_defer._building import mbufs_needed
from pydpdk_defer._frame_sizes import schedule
from pydpdk_defer.eal import control_cpus
from pydpdk_defer.plan import CONTROL, Channel, Circumstances, Output, Plan, PmdPlan, make_plan
from pydpdk_defer.topology import Topology, VhostPort


def plan_of(channels: int = 1, circumstances: Mapping[str, Any] | None = None, **tables: Any) -> Plan:
    """The plan where every DMA device has so many channels, and the rest is as `circumstances` say."""
    topology = Topology.from_dict(tables)
    return make_plan(topology, Circumstances(channels=dict.fromkeys(topology.dma, channels), **(circumstances or {})))


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


def test_a_queue_has_the_device_that_it_names_and_no_other() -> None:
    tables = two_threads(["a", "b"], queues=2)
    tables["port"]["vm0"]["dma_by_queue"] = {"0": "b"}
    assert channels(plan_of(2, **tables), "vm0") == {0: (Channel("b", 0),), 1: (Channel("b", 1), Channel("a", 0))}
    tables["port"]["vm0"]["dma"] = []
    assert channels(plan_of(2, **tables), "vm0") == {0: (Channel("b", 0),), 1: ()}


def test_a_device_near_the_guests_memory_goes_before_others_and_a_far_one_is_told() -> None:
    tables = two_threads(["a", "b"], queues=2)
    nodes = {"dma_nodes": {"a": 0, "b": 1}, "port_nodes": {"vm0": 1}}
    plan = plan_of(2, nodes, **tables)
    assert {qid: first.dma for qid, (first, *_) in channels(plan, "vm0").items()} == {0: "b", 1: "b"}
    assert plan.notes == ()
    plan = plan_of(1, nodes, **tables)
    assert {qid: first.dma for qid, (first, *_) in channels(plan, "vm0").items()} == {0: "b", 1: "a"}
    assert plan.notes == (
        "port vm0: dma a is on NUMA node 0, the port's memory on node 1: every copy crosses the link between them",
    )


def pmds_of(plan: Plan) -> list[PmdPlan]:
    return list(plan.pmds.values())


def test_a_txq_that_two_threads_send_to_has_one_owner() -> None:
    plan = plan_of(
        port={"src": {"kind": "generator", "queues": 2}, "out": {"kind": "ethdev", "device": "net_null0"}},
        pmd=[{"core": 4, "rxqs": ["src:0"]}, {"core": 7, "rxqs": ["src:1"]}],
        forward={"wires": [["src", "out"]]},
    )
    owner, other = pmds_of(plan)
    assert owner.outputs == owner.handoffs == (Output("out", 0),)
    assert other.outputs == (Output("out", 0, sender=1),)
    assert other.handoffs == ()
    assert plan.handoffs == {("out", 0)}


def test_packets_leave_by_the_txqs_that_the_guest_has_on() -> None:
    tables = two_threads([], queues=4)
    owner, other = pmds_of(plan_of(0, {"usable_txqs": {"vm0": (1,)}}, **tables))
    assert [output.qid for _, _, output in owner.inputs if output] == [1, 1]
    assert [output.txq for _, _, output in other.inputs if output] == [("vm0", 1), ("vm0", 1)]
    assert owner.handoffs == owner.outputs


def txqs_by_threads(queues: int, *rxqs: list[str]) -> list[list[int]]:
    """Of a guest with so many queue pairs: for each thread the txqs that these rxqs of it lead to."""
    plan = plan_of(
        port={
            "src": {"kind": "generator", "queues": 8},
            "vm0": {"kind": "vhost", "socket": "vm0.sock", "queues": queues},
        },
        pmd=[{"core": core, "rxqs": of_thread} for core, of_thread in enumerate(rxqs)],
        forward={"wires": [["src", "vm0"]]},
    )
    return [[output.qid for _, _, output in pmd.inputs if output] for pmd in plan.pmds.values()]


def test_each_thread_has_txqs_of_its_own_where_there_are_enough() -> None:
    assert txqs_by_threads(4, ["src:0", "src:2"], ["src:3", "src:1"]) == [[0, 2], [3, 1]]
    assert txqs_by_threads(2, ["src:0", "src:1"], ["src:2", "src:3"]) == [[0, 0], [1, 1]]
    assert txqs_by_threads(2, ["src:0"], [], ["src:2"]) == [[0], [], [1]]
    assert txqs_by_threads(3, ["src:0", "src:1", "src:2"], ["src:3", "src:4"]) == [[0, 2, 0], [1, 1]]


def test_threads_share_txqs_where_there_are_too_few_and_none_is_idle() -> None:
    assert txqs_by_threads(2, ["src:0"], ["src:2"], ["src:4", "src:5"]) == [[0], [1], [0, 0]]


def l2(queues: int, **circumstances: Any) -> Plan:
    return plan_of(
        0,
        circumstances,
        port={
            "a": {"kind": "vhost", "socket": "a.sock", "queues": queues},
            "b": {"kind": "vhost", "socket": "b.sock", "queues": queues},
            "src": {"kind": "generator"},
        },
        pmd=[{"core": 1, "rxqs": ["a:0"]}, {"core": 2, "rxqs": ["b:0", "src:0"]}, {"core": 3, "rxqs": []}],
        forward={"kind": "l2"},
    )


def test_with_l2_each_thread_has_a_txq_of_every_port() -> None:
    first, second, idle = pmds_of(l2(queues=2))
    assert first.outputs == (Output("a", 0), Output("b", 0), Output("src", 0))
    assert second.outputs == (Output("a", 1), Output("b", 1), Output("src", 1))
    assert first.inputs == (("a", 0, None),)
    assert first.bridged
    assert idle.outputs == ()


def test_with_l2_threads_share_where_there_are_too_few() -> None:
    first, second, _ = pmds_of(l2(queues=1))
    assert second.outputs == (Output("a", 0, sender=1), Output("b", 0, sender=1), Output("src", 1))
    assert first.handoffs == (Output("a", 0), Output("b", 0))


def test_the_control_side_sends_by_a_txq_of_its_own_where_there_is_one() -> None:
    injected = frozenset({"a", "src", "gone"})
    assert dict(l2(queues=3, injected=injected).control) == {"a": Output("a", 2), "src": Output("src", 2)}
    shared = l2(queues=2, injected=injected)
    assert shared.control["a"] == Output("a", 0, sender=CONTROL)
    assert pmds_of(shared)[0].relays == (Output("a", 0),)
    assert shared.handoffs == frozenset()


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
