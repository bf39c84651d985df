# SPDX-License-Identifier: BSD-3-Clause
"""Whether a host fits a topology: cores that are not there, sockets that cannot be where they should."""

import os
import socket
from pathlib import Path

import pytest

from pydpdk_defer.errors import TopologyError
from pydpdk_defer.topology import Topology


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # relative paths: the name of a temporary folder may be too long for a socket


def on_host(socket_path: str = "vm0.sock", mode: str = "server") -> Topology:
    port = {"kind": "vhost", "socket": socket_path, "mode": mode}
    return Topology.from_dict(
        {
            "port": {"src": {"kind": "generator"}, "vm0": port},
            "pmd": [{"core": 1, "rxqs": ["src:0"]}],
            "forward": {"wires": [["src", "vm0"]]},
        }
    )


def test_a_fitting_host_is_accepted() -> None:
    on_host().check_host(frozenset({0, 1}))


def test_a_stale_socket_is_not_in_the_way() -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("vm0.sock")
    on_host().check_host(frozenset({1}))


@pytest.mark.parametrize(
    ("cpus", "may_use"),
    [({0}, "0"), ({0, 2, 3, 4, 7}, "0,2-4,7"), ({8, 9}, "8-9"), (set(), "none")],
)
def test_a_core_that_is_not_there(cpus: set[int], may_use: str) -> None:
    with pytest.raises(TopologyError) as caught:
        on_host().check_host(cpus)
    assert str(caught.value) == (f"pmd[0].core = 1: no core that this process may use; it may use {may_use}")


@pytest.mark.parametrize("mode", ["server", "client"])
def test_a_socket_folder_that_is_not_there(mode: str) -> None:
    with pytest.raises(TopologyError) as caught:
        on_host("gone/vm0.sock", mode).check_host(frozenset({1}))
    text = str(caught.value)
    assert text.startswith('port.vm0.socket = "gone/vm0.sock": ')
    assert "gone does not exist; make it or choose another path" in text


@pytest.mark.parametrize("mode", ["server", "client"])
@pytest.mark.parametrize("name", ["file/vm0.sock", "file/deeper/vm0.sock"])
def test_a_socket_folder_that_is_a_file(mode: str, name: str) -> None:
    Path("file").touch()
    with pytest.raises(TopologyError, match=r"port\.vm0\.socket = .*(is not a folder|Not a directory)"):
        on_host(name, mode).check_host(frozenset({1}))


def test_a_socket_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, wanted: not wanted & os.W_OK)  # root may write anywhere
    with pytest.raises(TopologyError, match=r"port\.vm0\.socket = .* cannot write the folder"):
        on_host().check_host(frozenset({1}))
    on_host(mode="client").check_host(frozenset({1}))


def test_a_file_in_the_place_of_the_socket() -> None:
    Path("vm0.sock").touch()
    with pytest.raises(TopologyError, match="a file that is no socket is in the way; remove it or choose"):
        on_host().check_host(frozenset({1}))
    on_host(mode="client").check_host(frozenset({1}))


def test_a_folder_in_the_place_of_the_socket() -> None:
    Path("vm0.sock").mkdir()
    with pytest.raises(TopologyError, match="a folder is in the way; remove it or choose"):
        on_host().check_host(frozenset({1}))


def test_all_that_a_host_lacks_is_listed() -> None:
    with pytest.raises(TopologyError) as caught:
        on_host("gone/vm0.sock").check_host(frozenset())
    assert [line.split(" = ")[0] for line in caught.value.strerror.splitlines()] == [
        "pmd[0].core",
        "port.vm0.socket",
    ]
