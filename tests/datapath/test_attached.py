# SPDX-License-Identifier: BSD-3-Clause
"""Looking into a running datapath from another process: all counters, the verbs, DPDK's own client, and bad times."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EEXIST, ENOENT
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import Any

import pytest
from processes import Guest, Run, topology, wait_until

from pydpdk_defer import DeferError
from pydpdk_defer.attach import Attached, attach, find
from pydpdk_defer.cli import main
from pydpdk_defer.host import runtime_dir

pytestmark = pytest.mark.timeout(120)

VERBS = ("pmd-perf-show", "pmd-rxq-show", "pmd-stats-clear")


@contextmanager
def running(folder: Path, name: str = "run", **tables: Any) -> Iterator[Run]:
    socket = folder / f"{name}.sock"
    with Run(folder, topology(socket, **tables), "--quiet", name=name) as run:
        run.wait_until_listening(socket)
        wait_until(lambda: run.file_prefix() is not None, f"{name} answers")
        yield run
        if run.popen.poll() is None:
            assert run.finish(SIGINT) == 0, run.stderr


def prefix_of(run: Run) -> str:
    prefix = run.file_prefix()
    assert prefix is not None
    return prefix


def verb(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pydpdk_defer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_what_is_attached_sees_what_the_end_tells(folder: Path) -> None:
    """With more queues than one answer holds."""
    queues = 16
    silent = {"kind": "vhost", "socket": str(folder / "silent.sock"), "queues": queues, "copy": "cpu"}
    with (
        running(folder, eal__memory_mb=512, port__vm0__queues=queues, port__silent=silent) as run,
        Guest(folder, folder / "run.sock", "--queues", "2", role="sink") as guest,
        attach(prefix_of(run)) as datapath,
    ):
        wait_until(lambda: datapath.snapshot().pmds[0].tx_packets > 1000, "packets pass")
        first, second = datapath.snapshot(), datapath.snapshot()
        times = datapath.in_flight_times()
        guest.report()
        third = datapath.snapshot()
        run.signal(SIGINT)
        final = run.result()
    assert [len(port.txqs) for port in second.ports.values()] == [1, queues, queues]
    assert second.seconds > first.seconds
    assert (third - first).pmds[0].iterations > 0
    assert first.faults() == second.faults() == third.faults() == []
    assert set(times) == {(port, qid) for port, qid, _ in second.txqs()}
    assert max(record["p50_ns"] for record in times.values()) > 0
    assert third.ports["vm0"].guest_disconnects == 1
    # All that counts, under the same names, and nothing that the end has not.
    told, at_the_end = third.to_dict(), final
    for name in ("pmds", "ports", "mempools", "dma", "eal"):
        _same_shape(told[name], at_the_end[name], name)
    for port, counters in final["ports"].items():
        for before, after in zip(told["ports"][port]["txqs"], counters["txqs"], strict=True):
            assert before["submitted"] <= after["submitted"]
            assert before["bytes_by_engine"]["dma"] <= after["bytes_by_engine"]["dma"]


def _same_shape(one: Any, other: Any, path: str) -> None:
    if isinstance(one, dict) and not path.endswith("vhost_counters"):
        assert one.keys() == other.keys(), path
        for key in one:
            _same_shape(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), path
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            _same_shape(a, b, f"{path}[{number}]")
    elif not isinstance(one, dict):
        assert type(one) is type(other), f"{path}: {one!r} {other!r}"


@pytest.mark.rights
def test_the_verbs(folder: Path) -> None:
    with running(folder, port__src__rate_pps=10_000) as run:
        which = ("--file-prefix", prefix_of(run))
        before = verb("pmd-perf-show", *which)
        assert before.returncode == 0, before.stderr
        assert "pmd thread numa_id 0 core_id 1:" in before.stdout
        received = int(before.stdout.partition("Rx packets:")[2].split()[0])
        at_clear = _rx_packets(run, more_than=received + 5_000)
        assert verb("pmd-stats-clear", *which).returncode == 0
        after = verb("pmd-perf-show", *which)
        counted = int(after.stdout.partition("Rx packets:")[2].split()[0])
        assert 0 <= counted <= _rx_packets(run) - at_clear
        rxqs = verb("pmd-rxq-show", *which)
        assert "port: src               queue-id:  0 (enabled)" in rxqs.stdout
        assert '"iterations"' in verb("pmd-perf-show", "--json", "-", *which).stdout
        run.signal(SIGINT)
        figures = run.result()
    assert figures["pmds"][0]["rx_packets"] > at_clear  # its own counters went on
    assert not list(folder.glob("*baseline*"))


def _rx_packets(run: Run, more_than: int = 0) -> int:
    return run.wait_for_counters(lambda counters: counters.pmds[0].rx_packets > more_than, "packets").pmds[0].rx_packets


def test_dpdks_own_client(folder: Path) -> None:
    client = shutil.which("dpdk-telemetry.py")
    if client is None:
        pytest.skip("dpdk-telemetry.py is not installed: Debian has it in the package dpdk")
    with running(folder) as run:
        questions = "".join(f"/pydpdk_defer/{name}\n" for name in ("pmd", "ports", "dma", "deferral", "mempools"))
        told = subprocess.run(
            [client, "-f", prefix_of(run)],
            input=questions + "/help,/pydpdk_defer/pmd\n/pydpdk_defer/pmd,nonsense\nquit\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    assert '"/pydpdk_defer/pmd": {"0": {"core": 1, "iterations": ' in told
    assert '"port": "vm0", "kind": "vhost"' in told
    assert '"device": "dma_skeleton0"' in told
    assert '"ring_size": 128' in told
    assert '"mempool": "mbufs"' in told
    assert "PMD threads" in told
    assert '{"/pydpdk_defer/pmd": null}' in told


def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(runtime_dir, "roots", list)  # another datapath may run on this host
    with pytest.raises(DeferError) as caught:
        attach()
    assert caught.value.errno == ENOENT
    assert "run TOPOLOGY.toml" in caught.value.hint
    for name in VERBS:
        assert main([name]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: no datapath is running\nhint: ")


@pytest.mark.full
def test_two_are_there(folder: Path) -> None:
    with running(folder, "one") as one, running(folder, "two", pmd=[{"core": 0, "rxqs": ["src:0"]}]) as two:
        with pytest.raises(DeferError) as caught:
            attach()
        assert caught.value.errno == EEXIST
        assert prefix_of(one) in str(caught.value)
        assert prefix_of(two) in str(caught.value)
        found = verb("pmd-perf-show", "--file-prefix", prefix_of(two))
        assert "core_id 0:" in found.stdout
        found = verb("pmd-perf-show", "--file-prefix", "three")
        assert found.returncode == 1
        assert "no datapath with the file prefix 'three' is running" in found.stderr


def test_it_dies_while_watched(folder: Path) -> None:
    with running(folder) as run, attach(prefix_of(run)) as datapath:
        pid = run.popen.pid
        assert run.finish(SIGKILL) == -SIGKILL
        with pytest.raises(DeferError, match=f"the datapath of process {pid} has ended"):
            datapath.snapshot()
    left = runtime_dir.of_prefix(f"pydpdk_defer_{pid}")
    with pytest.raises(DeferError, match="Connection refused"):
        Attached(left)
    assert pid not in [found.pid for found in find()]
    shutil.rmtree(left)


def test_another_users_is_not_to_be_looked_into(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with running(folder) as run:
        script = """if True:
            import os, sys
            from pydpdk_defer.cli import main
            os.setgid(65534)
            os.setuid(65534)
            raise SystemExit(main(["pmd-perf-show", "--file-prefix", sys.argv[1]]))
        """
        found = subprocess.run(
            [sys.executable, "-c", script, prefix_of(run)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
        )
    assert found.returncode == 1, found.stderr
    assert "Traceback" not in found.stderr
    assert found.stderr.startswith("error: ")
