# SPDX-License-Identifier: BSD-3-Clause
"""The log of a run: as JSON an object a line whatever happens, with DPDK's own lines; as text ours alone."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGINT
from typing import Any

from processes import Guest, Process, Run, topology


def records(run: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.stderr.splitlines()]


def test_a_run_with_a_guest_that_comes_and_goes(folder: Path) -> None:
    socket = folder / "vm0.sock"
    began = datetime.now(UTC)
    with Run(folder, topology(socket), "--log-format", "json", "--metrics", "127.0.0.1:0") as run:
        run.wait_for_text("metrics: http")
        with Guest(folder, socket, role="sink") as guest:
            guest.wait_ready()
            run.wait_for_text("port vm0: guest connected")
            guest.report()
        run.signal(SIGINT)
        run.result()
    said = records(run)
    for record in said:
        assert record.keys() == {"time", "level", "logger", "message"}
        assert began - timedelta(seconds=1) <= datetime.fromisoformat(record["time"]) <= datetime.now(UTC)
    of_dpdk = [record for record in said if record["logger"] == "pydpdk_defer.dpdk"]
    assert any(record["message"].startswith("VHOST_CONFIG: ") and record["level"] == "info" for record in of_dpdk)
    our_own = [record["message"] for record in said if record["logger"] == "pydpdk_defer"]
    assert sum(message.startswith("port vm0: guest connected") for message in our_own) == 1
    assert not any("cycles/packet" in message for message in our_own)
    times = [record["time"] for record in of_dpdk]
    assert times == sorted(times)


def test_what_fails_is_an_object_with_its_hint(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", eal__extra_args=["--vdev=net_no_such0"])
    with Run(folder, tables, "--log-format", "json") as run:
        assert run.finish() == 1
    *before, last = records(run)
    assert last["level"] == "error"
    assert last["logger"] == "pydpdk_defer"
    assert last["message"]
    assert last["hint"]
    assert any(record["logger"] == "pydpdk_defer.dpdk" and "net_no_such0" in record["message"] for record in before)


def test_a_topology_that_is_wrong(folder: Path) -> None:
    path = folder / "wrong.toml"
    path.write_text("[port.vm0]\nkind = 'vhost'\nsocket = '/tmp/vm0.sock'\nqueues = 0\n")
    command = [sys.executable, "-m", "pydpdk_defer", "run", str(path), "--log-format", "json"]
    with Process(folder, "run", command) as run:
        assert run.finish() == 2
    [error] = records(run)
    assert error["level"] == "error"
    assert "port.vm0.queues" in error["message"]


def test_quiet_it_has_warnings_alone(folder: Path) -> None:
    with Run(folder, topology(folder / "vm0.sock"), "--log-format", "json", "--quiet", "--duration", "0.2") as run:
        assert run.finish() == 0
    assert {record["level"] for record in records(run)} <= {"warning", "error"}


def test_as_text_dpdks_lines_are_left_out(folder: Path) -> None:
    with Run(folder, topology(folder / "vm0.sock"), "--duration", "0.2") as run:
        assert run.finish() == 0
    assert "VHOST_CONFIG" not in run.stderr
    assert "EAL:" not in run.stderr
