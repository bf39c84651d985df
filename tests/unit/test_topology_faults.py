# SPDX-License-Identifier: BSD-3-Clause
"""Unknown keys, names and tables of the wrong form, files that cannot be read: what is said about them."""

import errno
from pathlib import Path
from typing import Any

import pytest

from pydpdk_defer.errors import TopologyError
from pydpdk_defer.topology import Topology

GENERATOR: dict[str, Any] = {"kind": "generator"}
VHOST: dict[str, Any] = {"kind": "vhost", "socket": "/tmp/vm0.sock"}
ETHDEV: dict[str, Any] = {"kind": "ethdev", "device": "net_null0"}
SKELETON: dict[str, Any] = {"device": "dma_skeleton0,lcore=0"}
PMD: dict[str, Any] = {"core": 1, "rxqs": ["src:0"]}
WIRE: dict[str, Any] = {"wires": [["src", "vm0"]]}

NAME = "this name must be a letter and then at most 31 letters, digits, underscores or dashes, as in vm0"


def faults(tables: dict[str, Any]) -> list[str]:
    """The lines of the error that the small topology, with these tables replaced, gives."""
    ports = {"src": GENERATOR, "vm0": VHOST}
    small = {"port": ports, "pmd": [PMD], "forward": WIRE}
    with pytest.raises(TopologyError) as caught:
        Topology.from_dict({**small, **tables})
    assert caught.value.errno == errno.EINVAL
    return caught.value.strerror.splitlines()


def port(**keys: Any) -> dict[str, Any]:
    """The port table with further keys for `src` (generator), `vm0` (vhost) and `eth` (ethdev)."""
    ports = {"src": GENERATOR, "vm0": VHOST, "eth": ETHDEV}
    return {"port": {name: {**table, **keys.get(name, {})} for name, table in ports.items()}}


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        ({"ports": {}}, "ports: no such key; did you mean 'port'?"),
        ({"xyzzy": 3}, "xyzzy = 3: no such key; known: eal, dma, port, pmd, deferral, forward"),
        ({"eal": {"memroy_mb": 512}}, "eal.memroy_mb = 512: no such key in [eal]; did you mean 'memory_mb'?"),
        (
            {"eal": {"zzz": True}},
            "eal.zzz = true: no such key in [eal]; known: memory_mb, hugepages, pci, extra_args, file_prefix",
        ),
        (
            {"dma": {"d": {**SKELETON, "ringsize": 256}}},
            "dma.d.ringsize = 256: no such key in [dma.NAME]; did you mean 'ring_size'?",
        ),
        (
            port(vm0={"Copy": "dma"}),
            "port.vm0.Copy = \"dma\": no such key in a port of kind 'vhost'; did you mean 'copy'?",
        ),
        (
            port(src={"async": True}),
            "port.src.async = true: no such key in a port of kind 'generator'; "
            "known: kind, frame_size, rate_pps, burst, queues, pattern, src_mac, dst_mac",
        ),
        (
            port(eth={"async_": True}),
            "port.eth.async_ = true: no such key in a port of kind 'ethdev'; did you mean 'async'?",
        ),
        ({"pmd": [{**PMD, "cores": 1}]}, "pmd[0].cores = 1: no such key in [[pmd]]; did you mean 'core'?"),
        (
            {"deferral": {"attempts_limit": 3}},
            "deferral.attempts_limit = 3: no such key in [deferral]; did you mean 'attempt_limit'?",
        ),
        (
            {"forward": {**WIRE, "wire": [["a", "b"]]}},
            "forward.wire: no such key in [forward]; did you mean 'wires'?",
        ),
        (
            {"eal": {"a b": 1}},
            'eal."a b" = 1: no such key in [eal]; known: memory_mb, hugepages, pci, extra_args, file_prefix',
        ),
    ],
)
def test_a_key_that_is_not_known(tables: dict[str, Any], line: str) -> None:
    assert faults(tables) == [line]


def test_a_misspelt_key_that_has_to_be_there_is_one_fault() -> None:
    assert faults({"dma": {"d": {"devcie": "dma_skeleton0"}}}) == [
        "dma.d.devcie = \"dma_skeleton0\": no such key in [dma.NAME]; did you mean 'device'?"
    ]


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({}, 'port.a.kind: missing; it is "generator", "ethdev" or "vhost"'),
        (
            {"knid": "vhost"},
            'port.a.kind: missing; it is "generator", "ethdev" or "vhost", in place of knid',
        ),
        ({"kind": "virtio"}, 'port.a.kind = "virtio": must be "generator", "ethdev" or "vhost"'),
        ({"kind": 3}, 'port.a.kind = 3: must be "generator", "ethdev" or "vhost"'),
        (3, "port.a = 3: must be a table, written [port.NAME]"),
        ([GENERATOR], 'port.a = [{ kind = "generator" }]: must be a table, written [port.NAME]'),
        ({"kind": "ethdev"}, 'port.a.device: missing; add for example device = "net_null0"'),
        ({"kind": "vhost"}, 'port.a.socket: missing; add for example socket = "/tmp/vm0.sock"'),
    ],
)
def test_a_port_of_no_known_kind(table: Any, line: str) -> None:
    assert faults({"port": {"src": GENERATOR, "vm0": VHOST, "a": table}}) == [line]


@pytest.mark.parametrize("name", ["", "9a", "a b", "a.b", "a:0", "é", "a" * 33])
@pytest.mark.parametrize("table", ["port", "dma"])
def test_a_name_that_will_not_do(table: str, name: str) -> None:
    entries = {"port": {"src": GENERATOR, "vm0": VHOST, name: ETHDEV}, "dma": {name: SKELETON}}
    shown = name if name in {"9a", "a" * 33} else f'"{name}"'
    assert faults({table: entries[table]}) == [f"{table}.{shown}: {NAME}"]


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        ({"eal": 3}, "eal = 3: must be a table, written [eal]"),
        ({"dma": ["copier"]}, 'dma = ["copier"]: must be a table, written [dma.NAME]'),
        ({"port": "src"}, 'port = "src": must be a table, written [port.NAME]'),
        ({"pmd": {"core": 1}}, "pmd = { core = 1 }: must be a list of tables, each written [[pmd]]"),
        ({"pmd": [3]}, "pmd[0] = 3: must be a table, written [[pmd]]"),
        ({"deferral": []}, "deferral = []: must be a table, written [deferral]"),
        ({"forward": "wire"}, 'forward = "wire": must be a table, written [forward]'),
    ],
)
def test_a_table_of_the_wrong_form(tables: dict[str, Any], line: str) -> None:
    assert faults(tables) == [line]


def test_a_long_value_is_cut_short() -> None:
    (line,) = faults({"eal": {"hugepages": "x" * 1000}})
    assert line == f'eal.hugepages = "{"x" * 116}...: must be "auto", true or false'


@pytest.mark.parametrize("value", [10**6000, {1: {2}}, object(), None], ids=type)
def test_values_that_toml_does_not_know_are_faults_too(value: object) -> None:
    (line,) = faults({"eal": {"memory_mb": value}})
    assert line.startswith("eal.memory_mb = ")


def test_keys_that_are_no_text_are_faults_too() -> None:
    with pytest.raises(TopologyError, match="3: a key must be text"):
        Topology.from_dict({3: 4})  # type: ignore[dict-item]
    assert "eal[3]" in faults({"eal": {3: 4}})[0]
    assert "port[3]" in faults({"port": {"src": GENERATOR, "vm0": VHOST, 3: ETHDEV}})[0]


def test_wrong_keywords_are_topology_errors() -> None:
    with pytest.raises(TopologyError, match="did you mean 'deferral'"):
        Topology(deferal={})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[eal\n", "line 1, column 5: not TOML: Expected ']' at the end of a table declaration"),
        ("[eal]\nmemory_mb = \n", "line 2, column 13: not TOML: Invalid value"),
        ("[eal]\npci = ", "line 2, column 7: not TOML: Invalid value"),
        ("[eal]\npci = true\npci = true\n", "line 3, column 11: not TOML: Cannot overwrite a value"),
    ],
)
def test_a_syntax_error_has_its_place(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(TopologyError) as caught:
        Topology.loads(text)
    assert str(caught.value) == fault
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(TopologyError) as caught:
        Topology.load(path)
    assert str(caught.value) == f"{path}: {fault}"
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = 1" + "0" * 5000])
def test_text_that_no_parser_takes(text: str) -> None:
    with pytest.raises(TopologyError, match="not TOML that can be read"):
        Topology.loads(text)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("gone.toml", "No such file or directory"), ("", "Is a directory"), ("nul\0", "embedded null byte")],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(TopologyError) as caught:
        Topology.load(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: cannot read the topology: {reason}"
    assert caught.value.errno == errno.EINVAL


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin1.toml"
    path.write_bytes(b"# gr\xfc\xdfe\n")
    with pytest.raises(TopologyError, match=r"latin1\.toml: not UTF-8 at byte 4"):
        Topology.load(path)


def test_every_line_of_a_file_with_faults_names_the_path(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[eal]\npci = 3\nmemory_mb = 3\n")
    with pytest.raises(TopologyError) as caught:
        Topology.load(path)
    lines = caught.value.strerror.splitlines()
    assert [line.split(" = ")[0].split(": ")[:2] for line in lines] == [
        [str(path), "eal.memory_mb"],
        [str(path), "eal.pci"],
        [str(path), "port"],
        [str(path), "pmd"],
    ]
