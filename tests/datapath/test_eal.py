# SPDX-License-Identifier: BSD-3-Clause
"""EAL inside a Python process: affinity, one start, and an orderly end on every way out. Each script is a process."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from processes import topology

PRELUDE = """
import os, sys
from pathlib import Path
import pydpdk_defer as pd
from pydpdk_defer import _native
topology = pd.Topology.from_dict({tables!r})
"""


def script(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run a script with `topology` at hand; its runtime folder must be gone afterwards."""
    text = PRELUDE.format(tables=topology(folder / "vm0.sock")) + textwrap.dedent(body)
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=50, check=False)
    assert "Segmentation" not in result.stderr
    assert result.returncode >= 0, result
    assert not (folder / "vm0.sock").exists(), result
    return result


@pytest.mark.pages
@pytest.mark.rights
def test_the_callers_affinity_is_given_back(folder: Path) -> None:
    result = script(
        folder,
        """
        before = os.sched_getaffinity(0)
        with pd.Datapath(topology) as dp:
            assert os.sched_getaffinity(0) == before
            assert dp.snapshot().eal.hugepages == topology.eal.hugepages
            runtime = Path(_native.eal_runtime_dir())
            assert runtime.is_dir()
        assert os.sched_getaffinity(0) == before
        assert not runtime.exists()
        """,
    )
    assert result.returncode == 0, result.stderr


def test_dpdks_own_threads_stay_off_the_pmd_cores(folder: Path) -> None:
    result = script(
        folder,
        """
        with pd.Datapath(topology):
            on = {}
            for task in Path("/proc/self/task").iterdir():
                name = (task / "comm").read_text().strip()
                on[name] = os.sched_getaffinity(int(task.name))
        assert on["pmd-c1"] == {1}, on
        dpdk = {name: cpus for name, cpus in on.items() if name.startswith(("eal-", "rte_", "vhost", "dpdk-", "dma"))}
        assert dpdk and all(cpus == {0} for cpus in dpdk.values()), on
        """,
    )
    assert result.returncode == 0, result.stderr


def test_a_second_start_is_a_clear_error(folder: Path) -> None:
    result = script(
        folder,
        """
        with pd.Datapath(topology):
            try:
                pd.Datapath(topology).start()
            except pd.EalError as error:
                print(error)
        try:
            pd.Datapath(topology).start()
        except pd.EalError as error:
            print(error)
        """,
    )
    assert result.returncode == 0, result.stderr
    way_out = "(give each Datapath or Guest a process of its own)"
    assert result.stdout.splitlines() == [
        f"EAL is already running in this process, and starts once a process {way_out}",
        f"EAL has already run in this process, and starts once a process {way_out}",
    ]


def test_an_exception_inside_is_passed_on_and_all_is_taken_down(folder: Path) -> None:
    result = script(
        folder,
        """
        with pd.Datapath(topology) as dp:
            dp.start_traffic()
            runtime = _native.eal_runtime_dir()
            print(runtime, flush=True)
            raise RuntimeError("mine")
        """,
    )
    assert result.returncode == 1
    assert "RuntimeError: mine" in result.stderr
    assert not Path(result.stdout.strip()).exists()


@pytest.mark.rights
def test_leaving_without_stop_is_an_orderly_end(folder: Path) -> None:
    for way_out in ("", "sys.exit(0)", "raise SystemExit(0)"):
        result = script(
            folder,
            f"""
            dp = pd.Datapath(topology)
            dp.start()
            dp.start_traffic()
            print(_native.eal_runtime_dir(), flush=True)
            {way_out}
            """,
        )
        assert result.returncode == 0, result.stderr
        assert not Path(result.stdout.strip()).exists()


def test_snapshots_by_attribute_and_key_and_their_difference(folder: Path) -> None:
    result = script(
        folder,
        """
        with pd.Datapath(topology) as dp:
            before = dp.snapshot()
            dp.run(packets=10_000)
            after = dp.snapshot()
            difference = after - before
            assert difference["ports"]["vm0"]["txqs"][0]["drops"]["no_guest"] == difference.pmds[0].rx_packets > 0
            assert difference.mempools["mbufs"].size == after.mempools["mbufs"].size
            assert difference.seconds > 0.05
            assert "PMD threads" in str(difference)
        final = dp.snapshot()
        assert final.faults(stopped=True) == []
        try:
            dp.run(seconds=1)
        except pd.DeferError as error:
            print(error)
        """,
    )
    assert result.returncode == 0, result.stderr
    assert "not running" in result.stdout


def test_a_failed_start_says_what_is_there(folder: Path) -> None:
    result = script(
        folder,
        """
        bad = pd.Topology.from_dict({**topology.to_dict(), "eal": {"memory_mb": 1048576, "hugepages": False}})
        try:
            pd.Datapath(bad).start()
        except pd.EalError as error:
            print(error.errno, error)
        """,
    )
    assert result.returncode == 0, result.stderr
    assert "eal.memory_mb = 1048576" in result.stdout
    assert "MB are available" in result.stdout


@pytest.mark.parametrize("delay_ms", [0, 90, *(pytest.param(ms, marks=pytest.mark.full) for ms in (40, 200))])
def test_ctrl_c_at_any_time_is_an_orderly_end_from_python_too(folder: Path, delay_ms: int) -> None:
    result = script(
        folder,
        f"""
        import signal, threading, time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
        SIGNALS = 3

        def interrupt():
            time.sleep({delay_ms} / 1000)
            for _ in range(SIGNALS):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.001)

        def run():
            thread.start()
            with dp:
                dp.run(seconds=30)

        def go_on():
            while steps:
                steps.pop(0)()

        def guarded(levels):
            # Each signal ends what one level does; the next one goes on from there.
            try:
                if levels:
                    guarded(levels - 1)
                go_on()
            except KeyboardInterrupt:
                print("interrupted", flush=True)

        dp = pd.Datapath(topology)
        thread = threading.Thread(target=interrupt)
        steps = [run, thread.join, thread.join, dp.stop]
        guarded(SIGNALS)
        thread.join()
        dp.stop()
        print("orderly")
        """,
    )
    assert result.returncode == 0, result
    assert "interrupted" in result.stdout
    assert result.stdout.endswith("orderly\n")


def test_a_forked_child_leaves_the_parents_datapath_alone(folder: Path) -> None:
    result = script(
        folder,
        """
        import warnings
        warnings.simplefilter("ignore")
        with pd.Datapath(topology) as dp:
            child = os.fork()
            if child == 0:
                sys.exit(0)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            assert Path(_native.eal_runtime_dir()).is_dir()
            assert Path(topology.port["vm0"].socket).exists()
            dp.run(seconds=0.2)
        assert dp.snapshot().faults(stopped=True) == []
        """,
    )
    assert result.returncode == 0, result
