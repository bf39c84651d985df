# SPDX-License-Identifier: BSD-3-Clause
"""Faults between the tables of a topology: names that lead nowhere, and things that two want to have."""

from pathlib import Path
from typing import Any

import pytest

from pydpdk_defer.errors import TopologyError
from pydpdk_defer.topology import Topology


def generator(**keys: Any) -> dict[str, Any]:
    return {"kind": "generator", **keys}


def ethdev(device: str = "net_null0", **keys: Any) -> dict[str, Any]:
    return {"kind": "ethdev", "device": device, **keys}


def vhost(socket: str = "/tmp/vm0.sock", **keys: Any) -> dict[str, Any]:
    return {"kind": "vhost", "socket": socket, **keys}


def pmd(core: int, *rxqs: str) -> dict[str, Any]:
    return {"core": core, "rxqs": list(rxqs)}


def wires(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"wires": [list(pair) for pair in pairs]}


def read(**tables: Any) -> Topology:
    """The small topology, some of its tables replaced."""
    small = {
        "port": {"src": generator(), "vm0": vhost()},
        "pmd": [pmd(1, "src:0", "vm0:0")],
        "forward": wires(("src", "vm0")),
    }
    return Topology.from_dict({**small, **tables})


def faults(**tables: Any) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        read(**tables)
    return caught.value.strerror.splitlines()


def test_there_has_to_be_a_port_and_a_thread() -> None:
    with pytest.raises(TopologyError) as caught:
        Topology.loads("")
    assert caught.value.strerror.splitlines() == [
        "port: missing; a topology needs at least one [port.NAME] table",
        "pmd: missing; a topology needs at least one [[pmd]] table",
    ]
    assert faults(pmd=[]) == ["pmd: missing; a topology needs at least one [[pmd]] table"]


@pytest.mark.parametrize(
    ("dma", "line"),
    [
        (["copyer"], "port.vm0.dma[0] = \"copyer\": no such [dma.NAME] table; did you mean 'copier'?"),
        (["copier", "xx"], 'port.vm0.dma[1] = "xx": no such [dma.NAME] table; known: copier, other'),
        (
            ["copier", "copier"],
            'port.vm0.dma[1] = "copier": is in this list already; name each DMA device once',
        ),
    ],
)
def test_a_dma_name(dma: list[str], line: str) -> None:
    devices = {"copier": {"device": "dma_skeleton0"}, "other": {"device": "wq0.0"}}
    assert faults(dma=devices, port={"src": generator(), "vm0": vhost(dma=dma)}) == [line]


@pytest.mark.parametrize("keys", [{"copy": "dma"}, {"copy": "dma", "dma": []}])
def test_copy_by_dma_needs_a_device(keys: dict[str, Any]) -> None:
    assert faults(port={"src": generator(), "vm0": vhost(**keys)}) == [
        'port.vm0.copy = "dma": needs dma = [...] with the name of a [dma.NAME] table; '
        'without one, copy = "cpu" would do'
    ]


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        (
            {"dma": {"a": {"device": "dma_skeleton0,lcore=0"}, "b": {"device": "dma_skeleton0,lcore=1"}}},
            "dma.b.device = \"dma_skeleton0,lcore=1\": dma.a has the device 'dma_skeleton0' already; "
            "give this one another device",
        ),
        (
            {
                "port": {
                    "src": generator(),
                    "vm0": vhost(),
                    "a": ethdev("net_ring0"),
                    "b": ethdev("net_ring0,x=1"),
                }
            },
            "port.b.device = \"net_ring0,x=1\": port.a has the device 'net_ring0' already; "
            "give this one another device",
        ),
        (
            {"port": {"src": generator(), "vm0": vhost("/tmp/a.sock"), "vm1": vhost("/tmp/x/../a.sock")}},
            'port.vm1.socket = "/tmp/x/../a.sock": port.vm0 has this socket already; give each vhost port its own path',
        ),
        (
            {"port": {"src": generator(), "vm0": vhost("a.sock"), "vm1": vhost(str(Path.cwd() / "a.sock"))}},
            f'port.vm1.socket = "{Path.cwd() / "a.sock"}": port.vm0 has this socket already; '
            "give each vhost port its own path",
        ),
        (
            {"pmd": [pmd(1, "src:0"), pmd(1, "vm0:0")]},
            "pmd[1].core = 1: pmd[0] is pinned to this core already; give each [[pmd]] its own core",
        ),
        ({"pmd": [pmd(1, "vm1:0")]}, "pmd[0].rxqs[0] = \"vm1:0\": no such port; did you mean 'vm0'?"),
        ({"pmd": [pmd(1, "xyz:0")]}, 'pmd[0].rxqs[0] = "xyz:0": no such port; ports: src, vm0'),
        (
            {"pmd": [pmd(1, "src:0", "src:1")]},
            'pmd[0].rxqs[1] = "src:1": port src has only queue 0; poll that or set port.src.queues higher',
        ),
        (
            {"port": {"src": generator(queues=4), "vm0": vhost()}, "pmd": [pmd(1, "src:0", "src:4")]},
            'pmd[0].rxqs[1] = "src:4": port src has queues 0 to 3; poll one of those or set port.src.queues higher',
        ),
        (
            {"pmd": [pmd(1, "src:0", "src:0")]},
            'pmd[0].rxqs[1] = "src:0": pmd[0].rxqs[0] polls it already; poll each receive queue once',
        ),
        (
            {"pmd": [pmd(1, "src:0"), pmd(2, "vm0:0", "src:0")]},
            'pmd[1].rxqs[1] = "src:0": pmd[0].rxqs[0] polls it already; poll each receive queue once',
        ),
        (
            {"forward": wires(("src", "vm0"), ("src", "src"))},
            'forward.wires[1] = ["src", "src"]: a generator has nothing to reflect; wire it to another port',
        ),
    ],
)
def test_what_leads_nowhere_or_is_claimed_twice(tables: dict[str, Any], line: str) -> None:
    assert line in faults(**tables)


@pytest.mark.parametrize(
    ("pairs", "line"),
    [
        (
            [("src", "vmO")],
            "forward.wires[0][1] = \"vmO\": no such port; did you mean 'vm0'?",
        ),
        ([("src", "qqq")], 'forward.wires[0][1] = "qqq": no such port; ports: src, vm0'),
        (
            [("src", "vm0"), ("vm0", "vm0")],
            'forward.wires[1][0] = "vm0": forward.wires[0] has this port already; a port is in one wire only',
        ),
        (
            [("src", "vm0"), ("vm0", "src")],
            'forward.wires[1][1] = "src": forward.wires[0] has this port already; a port is in one wire only',
        ),
    ],
)
def test_a_wire(pairs: list[tuple[str, str]], line: str) -> None:
    assert line in faults(pmd=[pmd(1, "src:0")], forward=wires(*pairs))


@pytest.mark.parametrize("tables", [{"forward": {}}, {"forward": wires()}, {"forward": {"kind": "wire"}}])
def test_a_polled_port_has_to_be_in_a_wire(tables: dict[str, Any]) -> None:
    assert faults(**tables) == [
        'pmd[0].rxqs[0] = "src:0": port src is in no wire; add one to forward.wires, as in ["src", "OTHER"]',
        'pmd[0].rxqs[1] = "vm0:0": port vm0 is in no wire; add one to forward.wires, as in ["vm0", "OTHER"]',
    ]


@pytest.mark.parametrize("port", [ethdev(), vhost()])
def test_ethdevs_and_vhost_ports_may_reflect(port: dict[str, Any]) -> None:
    topology = read(port={"a": port}, pmd=[pmd(1, "a:0")], forward=wires(("a", "a")))
    assert topology.peer_of("a") == "a"


@pytest.mark.parametrize("destination", [vhost(), ethdev()])
def test_several_threads_may_send_to_one_txq(destination: dict[str, Any]) -> None:
    ports = {"src": generator(queues=2), "out": destination}
    assert read(port=ports, pmd=[pmd(4, "src:0"), pmd(7, "src:1")], forward=wires(("src", "out")))


def test_l2_joins_all_ports_and_has_no_wires() -> None:
    ports = {"a": vhost(), "b": ethdev()}
    assert read(port=ports, pmd=[pmd(1, "a:0", "b:0")], forward={"kind": "l2"}).peer_of("a") is None
    assert faults(port=ports, pmd=[pmd(1, "a:0")], forward={**wires(("a", "b")), "kind": "l2"}) == [
        'forward.wires: has no meaning with kind = "l2", which joins all ports; leave it out'
    ]


def test_a_queue_that_names_its_dma_device() -> None:
    port = vhost(queues=2, dma_by_queue={"1": "copier", "2": "copier", "0": "gone"})
    tables = {"dma": {"copier": {"device": "dma_skeleton0"}}, "pmd": [pmd(1, "a:0")], "forward": wires(("a", "a"))}
    assert faults(port={"a": port}, **tables) == [
        'port.a.dma_by_queue.2 = "copier": port a has queues 0 to 1; name one of those or set port.a.queues higher',
        'port.a.dma_by_queue.0 = "gone": no such [dma.NAME] table; known: copier',
    ]
    assert read(port={"a": vhost(dma_by_queue={"0": "copier"})}, **tables).to_dict()["port"]["a"]["copy"] == "dma"


def test_a_generator_takes_from_every_thread() -> None:
    ports = {"a": vhost(queues=2), "sink": generator()}
    assert read(port=ports, pmd=[pmd(1, "a:0"), pmd(2, "a:1")], forward=wires(("a", "sink")))


def test_a_fault_in_one_table_does_not_hide_those_between_others() -> None:
    lines = faults(
        eal={"memroy_mb": 3},
        dma={"bad": {"device": 3}, "good": {"device": "dma_skeleton0"}},
        port={
            "src": generator(frame_size=0),
            "vm0": vhost(dma=["bad", "gone"]),
            "eth": {"kind": "eth"},
            "a b": ethdev(),
        },
        pmd=[pmd(-1, "src:0"), pmd(2, "src:9", "vm0:1"), pmd(3, "vm9:0")],
        forward=wires(("src", "vm0"), ("eth", "nowhere")),
    )
    assert [line.split(":")[0].split(" = ")[0] for line in lines] == [
        "eal.memroy_mb",
        "dma.bad.device",
        "port.src.frame_size",
        "port.eth.kind",
        'port."a b"',
        "pmd[0].core",
        "port.vm0.dma[1]",
        "pmd[1].rxqs[1]",
        "pmd[2].rxqs[0]",
        "forward.wires[1][1]",
    ]


def test_a_bad_forward_table_gives_no_faults_that_follow_from_it() -> None:
    assert faults(forward={"wires": 3}) == [
        'forward.wires = 3: must be a list of pairs of port names, as in [["src", "vm0"]]'
    ]


def test_a_misspelt_table_gives_no_faults_that_follow_from_it() -> None:
    assert faults(port={}, prot={"src": generator()}) == ["prot: no such key; did you mean 'port'?"]
