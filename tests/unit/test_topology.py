# SPDX-License-Identifier: BSD-3-Clause
"""A topology that is right: what is read, what its helpers answer, and how it is written back."""

import copy
import pickle
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pydpdk_defer.topology import EthdevPort, GeneratorPort, RxqRef, Topology, VhostPort

EVERYTHING = r"""
[eal]
memory_mb = 1024
hugepages = false
pci = true
extra_args = ["--log-level", "lib.vhost:8", "a \"quoted\" \\ word é"]
file_prefix = "defer-1.a_b"

[dma.copier]
device = "dma_skeleton0,lcore=0"
ring_size = 256
[dma.wq]
device = "wq0.0"

[port.src]
kind = "generator"
frame_size = [[64, 7], [594, 4], [1518, 1]]
rate_pps = 1500000.5
queues = 2
pattern = false
src_mac = "02:00:00:00:00:0a"
dst_mac = "ff:ff:ff:ff:ff:ff"
[port.vm0]
kind = "vhost"
socket = "vm0.sock"
mode = "client"
queues = 2
dma = ["copier", "wq"]
[port.eth-0]
kind = "ethdev"
device = "net_ring0"
queues = 3
rx_ring_size = 64
tx_ring_size = 32768
mtu = 9000
async = true
rate_pps = 10
promiscuous = false

[[pmd]]
core = 3
rxqs = ["src:0", "src:1", "vm0:1"]
[[pmd]]
core = 0
rxqs = ["eth-0:2"]

[deferral]
policy = "fifo"
ring_size = 65536
attempt_limit = 4294967295
iteration_delay = 255

[forward]
kind = "wire"
wires = [["src", "vm0"], ["eth-0", "eth-0"]]
"""


def tables(**changes: Any) -> dict[str, Any]:
    """A small topology as a dictionary, some of its tables replaced."""
    return {
        "port": {"src": {"kind": "generator"}, "vm0": {"kind": "vhost", "socket": "/tmp/vm0.sock"}},
        "pmd": [{"core": 1, "rxqs": ["src:0", "vm0:0"]}],
        "forward": {"wires": [["src", "vm0"]]},
        **changes,
    }


def test_every_key_arrives() -> None:
    topology = Topology.loads(EVERYTHING)
    assert topology.eal.memory_mb == 1024
    assert topology.eal.hugepages is False
    assert topology.eal.pci is True
    assert topology.eal.extra_args == ("--log-level", "lib.vhost:8", 'a "quoted" \\ word é')
    assert topology.eal.file_prefix == "defer-1.a_b"
    assert topology.dma["copier"].ring_size == 256
    source, guest, ethdev = topology.port["src"], topology.port["vm0"], topology.port["eth-0"]
    assert isinstance(source, GeneratorPort)
    assert source.frame_size == ((64, 7), (594, 4), (1518, 1))
    assert source.rate_pps == 1500000.5
    assert (source.pattern, source.src_mac, source.dst_mac) == (
        False,
        "02:00:00:00:00:0a",
        "ff:ff:ff:ff:ff:ff",
    )
    assert isinstance(guest, VhostPort)
    assert (guest.socket, guest.mode, guest.queues, guest.dma) == ("vm0.sock", "client", 2, ("copier", "wq"))
    assert isinstance(ethdev, EthdevPort)
    assert (ethdev.async_, ethdev.mtu, ethdev.promiscuous, ethdev.rate_pps) == (True, 9000, False, 10)
    assert (ethdev.rx_ring_size, ethdev.tx_ring_size) == (64, 32768)
    assert [pmd.core for pmd in topology.pmd] == [3, 0]
    assert topology.deferral.attempt_limit == 2**32 - 1


def test_defaults() -> None:
    topology = Topology.from_dict(tables(dma={"copier": {"device": "dma_skeleton0"}}))
    assert topology.to_dict() == {
        "eal": {"memory_mb": 512, "hugepages": "auto", "pci": False, "extra_args": []},
        "dma": {"copier": {"device": "dma_skeleton0", "ring_size": 1024}},
        "port": {
            "src": {
                "kind": "generator",
                "frame_size": 64,
                "rate_pps": 0,
                "burst": 1,
                "queues": 1,
                "pattern": True,
                "src_mac": "02:00:00:00:00:01",
                "dst_mac": "02:00:00:00:00:02",
            },
            "vm0": {
                "kind": "vhost",
                "socket": "/tmp/vm0.sock",
                "mode": "server",
                "queues": 1,
                "copy": "cpu",
                "dma": [],
                "dma_by_queue": {},
                "wedge_timeout_ms": 3000,
                "tx_retries_max": 8,
                "vhost_counters": False,
                "dma_min_bytes": 0,
            },
        },
        "pmd": [
            {
                "core": 1,
                "rxqs": ["src:0", "vm0:0"],
                "tx_flush_interval_us": 0,
                "sleep_max_us": 0,
                "perf_metrics": True,
            }
        ],
        "deferral": {
            "policy": "fifo",
            "ring_size": 128,
            "attempt_limit": 1000,
            "iteration_delay": 0,
            "paced": False,
            "deadline_us": 0,
            "on_full": "wait",
            "max_stall_us": 100_000,
        },
        "forward": {"kind": "wire", "wires": [["src", "vm0"]], "mac_ageing_s": 300, "mac_table_size": 8192},
    }


@pytest.mark.parametrize(
    ("keys", "copy"),
    [({}, "cpu"), ({"dma": []}, "cpu"), ({"dma": ["d"]}, "dma"), ({"dma": ["d"], "copy": "cpu"}, "cpu")],
)
def test_copy_follows_dma_unless_given(keys: dict[str, Any], copy: str) -> None:
    ports = {"vm0": {"kind": "vhost", "socket": "s", **keys}, "src": {"kind": "generator"}}
    port = Topology.from_dict(tables(port=ports, dma={"d": {"device": "dma_skeleton0"}})).port["vm0"]
    assert isinstance(port, VhostPort)
    assert port.copy_ == copy


@pytest.mark.parametrize(
    "text",
    [EVERYTHING, EVERYTHING.replace("hugepages = false", 'hugepages = "auto"')]
    + [EVERYTHING.replace("[[64, 7], [594, 4], [1518, 1]]", size) for size in ('"imix"', "60", "16128")]
    + [EVERYTHING.replace("1500000.5", rate) for rate in ("0", "1e9", "0.25", "123456789")],
)
def test_written_back_it_reads_the_same(text: str) -> None:
    topology = Topology.loads(text)
    written = topology.to_toml()
    assert Topology.loads(written) == topology
    assert Topology.loads(written).to_toml() == written
    assert Topology.from_dict(topology.to_dict()) == topology
    assert tomllib.loads(written) == topology.to_dict()


def test_characters_that_toml_escapes_survive() -> None:
    awkward = tables()
    awkward["port"]["vm0"]["socket"] = '/tmp/a "b" \\c\' ü 漢.sock'
    topology = Topology.from_dict(awkward)
    assert Topology.loads(topology.to_toml()) == topology


def test_lists_may_be_tuples_and_tables_may_be_models() -> None:
    with_tuples = tables(pmd=({"core": 1, "rxqs": ("src:0",)},), forward={"wires": (("src", "vm0"),)})
    with_tuples["port"]["vm0"] = VhostPort(socket="/tmp/vm0.sock")
    assert Topology(**with_tuples).pmd[0].rxqs == ("src:0",)
    assert Topology(**with_tuples) == Topology.from_dict(tables(pmd=[{"core": 1, "rxqs": ["src:0"]}]))


def test_a_topology_is_a_value() -> None:
    given = tables()
    topology = Topology.from_dict(given)
    given["port"]["late"] = {"kind": "generator"}
    given["pmd"][0]["rxqs"].append("late:0")
    assert topology == Topology.from_dict(tables())
    assert pickle.loads(pickle.dumps(topology)) == topology
    with pytest.raises(ValidationError, match="frozen"):
        topology.eal.memory_mb = 64


def test_load_reads_a_file_by_text_or_path(tmp_path: Path) -> None:
    path = tmp_path / "all.toml"
    path.write_bytes(EVERYTHING.replace("\n", "\r\n").encode())
    assert Topology.load(path) == Topology.load(str(path)) == Topology.loads(EVERYTHING)


def test_helpers_answer_for_ports_and_threads() -> None:
    topology = Topology.loads(EVERYTHING)
    assert topology.rxqs_of(topology.pmd[0]) == (("src", 0), ("src", 1), ("vm0", 1))
    assert [str(rxq) for rxq in topology.rxqs_of(topology.pmd[1])] == ["eth-0:2"]
    assert topology.peer_of("src") == "vm0"
    assert topology.peer_of("vm0") == "src"
    assert topology.peer_of("eth-0") == "eth-0"
    assert topology.needs_guest == ("vm0",)
    with pytest.raises(ValueError, match="did you mean 'vm0'"):
        topology.peer_of("vm9")


def test_a_port_without_a_wire_has_no_peer() -> None:
    spare = tables()
    spare["port"]["spare"] = {"kind": "ethdev", "device": "net_null0"}
    assert Topology.from_dict(spare).peer_of("spare") is None


@pytest.mark.parametrize(
    ("source", "largest"),
    [
        ({"kind": "generator"}, 1518),
        ({"kind": "generator", "frame_size": "imix"}, 1518),
        ({"kind": "generator", "frame_size": 9018}, 9018),
        ({"kind": "generator", "frame_size": [[64, 100], [4000, 1], [70, 2]]}, 4000),
        ({"kind": "ethdev", "device": "net_null0"}, 1518),
        ({"kind": "ethdev", "device": "net_null0", "mtu": 68}, 1518),
        ({"kind": "ethdev", "device": "net_null0", "mtu": 16110}, 16128),
    ],
)
def test_largest_frame(source: dict[str, Any], largest: int) -> None:
    ports = {"src": source, "vm0": {"kind": "vhost", "socket": "s"}}
    assert Topology.from_dict(tables(port=ports)).largest_frame == largest


def test_rxq_reference_round_trip() -> None:
    assert RxqRef.parse("vm0:15") == RxqRef("vm0", 15)
    assert str(RxqRef.parse("vm0:15")) == "vm0:15"
    with pytest.raises(ValueError, match="PORT:QID"):
        RxqRef.parse("vm0")


def test_several_threads_may_share_a_port_by_its_queues() -> None:
    ports = {
        "src": {"kind": "generator", "queues": 4},
        "vm0": {"kind": "vhost", "socket": "s", "queues": 2},
    }
    # Queues 0 and 2 leave by txq 0, queues 1 and 3 by txq 1; a generator at the other end takes from anyone.
    pmds = [
        {"core": 1, "rxqs": ["src:0", "src:2", "vm0:1"]},
        {"core": 2, "rxqs": ["src:1", "src:3", "vm0:0"]},
    ]
    assert len(Topology.from_dict(tables(port=ports, pmd=pmds)).pmd) == 2


def test_nothing_changes_once_it_is_read() -> None:
    topology = Topology.loads(EVERYTHING)
    with pytest.raises(TypeError, match="take to_dict"):
        topology.port["vm1"] = topology.port["vm0"]  # type: ignore[index]
    with pytest.raises(TypeError, match="take to_dict"):
        topology.dma.clear()  # type: ignore[attr-defined]
    assert topology == copy.deepcopy(topology) == pickle.loads(pickle.dumps(topology))
    assert hash(topology) == hash(Topology.from_dict(topology.to_dict()))
