# SPDX-License-Identifier: BSD-3-Clause
"""Peers that speak nonsense on a port's socket, while another port has a guest whose frames are all proven."""

import array
import contextlib
import os
import resource
import socket
import struct
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest
import sanitized
from nonsense import Nonsense
from processes import Guest, Run, assert_intact, dropped, reached, topology
from vhost_frontend import USER_ADDRESS, Frontend, Request

pytestmark = pytest.mark.timeout(180)

RATE_PPS = 20_000
VERSION, NEED_REPLY = 1, 8  # flags of a message


def two_ports(folder: Path) -> dict[str, Any]:
    """Both fed by one DMA device from one thread."""
    tables = topology(folder / "vm0.sock")
    source = {**tables["port"]["src"], "rate_pps": RATE_PPS}
    guest = tables["port"]["vm0"]
    other = {**guest, "socket": str(folder / "vm1.sock")}
    tables["port"] = {"src0": source, "src1": source, "vm0": guest, "vm1": other}
    tables["pmd"] = [{**tables["pmd"][0], "rxqs": ["src0:0", "src1:0", "vm0:0", "vm1:0"]}]
    tables["forward"] = {"wires": [["src0", "vm0"], ["src1", "vm1"]]}
    return tables


def survives(folder: Path, messages: int, seed: int) -> None:
    """The datapath, the other port's guest and a good guest that comes afterwards."""
    environment = sanitized.environment(folder)
    with Run(folder, two_ports(folder), "--interval", "0.5", environment=environment) as run:
        run.wait_until_listening(folder / "vm1.sock")
        with Guest(folder, folder / "vm1.sock", name="other") as other:
            other.wait_ready()
            if environment:
                assert environment["PYTHONPATH"] in Path(f"/proc/{run.popen.pid}/maps").read_text()
            # librte_vhost leaves descriptors open that came with messages which it refuses: some 80 in 1,000.
            _, most = resource.prlimit(run.popen.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(run.popen.pid, resource.RLIMIT_NOFILE, (most, most))
            nonsense = Nonsense(folder / "vm0.sock", seed)
            try:
                nonsense.send(messages)
            except OSError as error:
                pytest.fail(f"{error!r} after {nonsense.messages} messages\n{run.stderr}")
            with Guest(folder, folder / "vm0.sock", name="good") as good:
                good.wait_ready()
                run.wait_for_packets("vm0", RATE_PPS // 10)
                run.signal(SIGINT)
                figures = run.result()
                reports = {"vm0": good.report(), "vm1": other.report()}
    for report in reports.values():
        assert_intact(report)
    assert reports["vm1"]["received"] == reached(figures, "vm1")
    assert reports["vm1"]["lost"] <= dropped(figures, "vm1")
    assert "AddressSanitizer" not in run.stderr
    failures = {name: port["guest_failures"] for name, port in figures["ports"].items()}
    assert failures["vm0"] > 0
    assert failures["vm1"] == 0
    assert run.stderr.count("warning: port vm0: a peer ") == 1


@pytest.mark.slow
@pytest.mark.parametrize("messages", [500, pytest.param(1500, marks=pytest.mark.full)])
def test_nonsense_on_one_port(folder: Path, messages: int) -> None:
    survives(folder, messages, seed=1)


class Boaster(Frontend):
    """Says that its memory is longer than it is."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(path)
        self._flags = flags

    def set_memory(self) -> None:
        fd = os.memfd_create("boaster")
        self._fds.append(fd)
        os.ftruncate(fd, 4096)
        table = struct.pack("=IIQQQQ", 1, 0, 0, self.memory_bytes, USER_ADDRESS, 0)
        header = struct.pack("=III", Request.SET_MEM_TABLE, self._flags, len(table))
        self.socket.sendmsg([header + table], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])


@pytest.mark.parametrize("flags", [pytest.param(VERSION, marks=pytest.mark.full), VERSION | NEED_REPLY])
def test_memory_that_is_not_there_is_refused(folder: Path, flags: int) -> None:
    """vhost would map it, and die at the first look at a ring in it."""
    vm0 = folder / "vm0.sock"
    with Run(folder, topology(vm0, port__src__rate_pps=RATE_PPS)) as run:
        run.wait_until_listening(vm0)
        with Boaster(vm0, flags) as boaster:
            with contextlib.suppress(ConnectionError):
                boaster.start()
            with contextlib.suppress(ConnectionError):
                while boaster.socket.recv(4096):
                    pass
        with Guest(folder, vm0) as good:
            good.wait_ready()
            run.wait_for_packets("vm0")
            run.signal(SIGINT)
            figures = run.result()
            assert good.report()["received"] > 0
    assert figures["ports"]["vm0"]["guest_failures"] == 1


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [2, 3])
def test_ten_thousand_messages_of_nonsense_on_one_port(folder: Path, seed: int) -> None:
    survives(folder, 10_000, seed)
