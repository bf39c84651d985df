# SPDX-License-Identifier: BSD-3-Clause
"""Ends that nobody planned: guests killed in full flight, Ctrl-C in full flight, killed datapaths."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from processes import EITHER_COPY, Guest, Process, Run, reached, topology, txq_sum

from pydpdk_defer.host import runtime_dir

pytestmark = pytest.mark.timeout(120)


@EITHER_COPY
def test_a_killed_guest_costs_no_mbuf_and_another_may_come(folder: Path, copy: str) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=0, port__vm0__copy=copy)
    with Run(folder, tables, "--wait-guest", "60") as run:
        with Guest(folder, socket, role="sink", name="first") as first:
            run.wait_for_packets("vm0")
            first.signal(signal.SIGKILL)
            first.finish()
        with Guest(folder, socket, name="second") as second:
            second.wait_ready()
            run.wait_for_packets("vm0")
            run.signal(signal.SIGINT)
            figures = run.result()
            report = second.report()  # what the overload loses, if it does, verify says
    assert figures["ports"]["vm0"]["guest_connects"] == 2
    assert report["received"] > 0
    for trouble in ("corrupt", "reordered", "duplicates"):
        assert report[trouble] == 0, report


@EITHER_COPY
def test_the_datapath_ends_well_after_its_guest_was_killed(folder: Path, copy: str) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=0, port__vm0__copy=copy)
    with (
        Run(folder, tables, "--wait-guest", "60") as run,
        Guest(folder, socket, role="sink") as guest,
    ):
        run.wait_for_packets("vm0")
        guest.signal(signal.SIGKILL)
        guest.finish()
        run.signal(signal.SIGINT)
        figures = run.result()
    assert txq_sum(figures, "vm0", "submitted") > 0
    assert not socket.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_full_flight_is_a_clean_end_with_figures(folder: Path, number: signal.Signals) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=0)
    with (
        Run(folder, tables, "--wait-guest", "60") as run,
        Guest(folder, socket, role="sink") as guest,
    ):
        run.wait_for_packets("vm0")
        run.signal(number)
        run.signal(number)  # an impatient second one changes nothing
        figures = run.result()
        report = guest.result()
    assert report["received"] == reached(figures, "vm0")
    assert not socket.exists()


def test_a_signal_while_waiting_for_a_guest_ends_the_run(folder: Path) -> None:
    socket = folder / "vm0.sock"
    with Run(folder, topology(socket), "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        run.signal(signal.SIGINT)
        run.result()


@pytest.mark.rights
def test_the_socket_of_a_killed_datapath_is_no_obstacle(folder: Path) -> None:
    socket = folder / "vm0.sock"
    prefix = f"killed_{os.getpid()}"
    with Run(folder, topology(socket, eal__file_prefix=prefix), name="killed") as killed:
        killed.wait_until_listening(socket)
        killed.finish(signal.SIGKILL)
    shutil.rmtree(runtime_dir.of_prefix(prefix))  # nobody can clean up after a SIGKILL but who sent it
    assert socket.exists()
    with (
        Run(folder, topology(socket), "--packets", "1000", "--wait-guest", "60") as run,
        Guest(folder, socket) as guest,
    ):
        figures = run.result()
        assert guest.report()["received"] == reached(figures, "vm0") > 0


def test_a_second_datapath_on_a_live_socket_is_refused_and_harms_nothing(folder: Path) -> None:
    socket = folder / "vm0.sock"
    with Run(folder, topology(socket), "--packets", "20000", "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        with Process(
            folder, "second", [sys.executable, "-m", "pydpdk_defer", "run", str(folder / "run.toml")]
        ) as second:
            assert second.finish() == 1
            assert str(socket) in second.stderr
            assert "Traceback" not in second.stderr
        with Guest(folder, socket) as guest:
            figures = run.result()
            assert guest.report()["received"] == reached(figures, "vm0") > 0
