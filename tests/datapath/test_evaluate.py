# SPDX-License-Identifier: BSD-3-Clause
"""An evaluation with everything real: datapath and guest processes, librte_vhost, dma_skeleton. What it finds is not
asserted, but that it is whole, and what becomes of it when something dies."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from signal import SIGINT, SIGKILL, Signals
from typing import Any

import pytest
from processes import HUGEPAGES, Process, wait_until

from pydpdk_defer.evaluate import store
from pydpdk_defer.evaluate.axes import Point
from pydpdk_defer.evaluate.bench import Bench
from pydpdk_defer.evaluate.evaluation import load
from pydpdk_defer.evaluate.placement import device_tables, place
from pydpdk_defer.evaluate.setup import Setup
from pydpdk_defer.host import runtime_dir

pytestmark = pytest.mark.timeout(240)

SHORT = (
    "--quick",
    "--sizes",
    "64,1500",
    "--forks",
    "2",
    "--repeat",
    "3",
    "--memory-mb",
    "512",
    "--hugepages",
    "yes" if HUGEPAGES else "no",
)
SLICE_SECONDS = 1.0  # the machine may keep a thread off its CPU for a part of it
POINT = Point(1500, 32, 1, "fifo", "copier")


class Evaluate(Process):
    """`pydpdk-defer evaluate`."""

    def __init__(self, folder: Path, *arguments: str, name: str = "evaluate") -> None:
        self.out = folder / "out"
        command = [sys.executable, "-m", "pydpdk_defer", "evaluate", "--out", str(self.out), *arguments]
        super().__init__(folder, name, command, {"TMPDIR": str(folder)})  # a killed one leaves a folder there

    def finish(self, number: Signals | None = None, seconds: float = 200) -> int:
        """It measures for a quarter of a minute."""
        return super().finish(number, seconds)

    def children(self, module: str) -> list[int]:
        """Pids of its processes that run this module."""
        return [pid for pid in _pids() if _parent(pid) == self.popen.pid and module in _command(pid)]

    def written(self) -> bytes:
        """The repetitions that are written, a line each."""
        path = self.out / store.RESULTS
        return path.read_bytes() if path.exists() else b""

    def lines(self) -> int:
        """How many repetitions are written."""
        return self.written().count(b"\n")


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - they come and go


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    placement = place({"copier": "dma_skeleton0"}, os.sched_getaffinity(0), may_share=True)
    setup = Setup(
        devices=device_tables({"copier": "dma_skeleton0"}, placement, None),
        largest_frame=9000,
        core=placement.pmd,
        folder=str(folder),
        memory_mb=512,
        hugepages=HUGEPAGES,
        pci=False,
    )
    guest = {"virtio": "queue_size=1024", "memory_mb": 256, "hugepages": HUGEPAGES}
    with Bench(setup, placement.cores, guest, folder) as bench:
        bench.prepare(POINT)
        yield bench
    assert bench.faults == []


def _run_for_a_moment(folder: Path, topology: Path) -> None:
    text = topology.read_text().replace("/tmp/vm0.sock", str(folder / "vm0.sock"))
    topology.write_text(text)
    command = [sys.executable, "-m", "pydpdk_defer", "run", str(topology), "--duration", "0.5", "--quiet"]
    with Process(folder, "run", command) as run:
        assert run.finish() == 0, run.stderr


def test_an_evaluation_is_whole(folder: Path) -> None:
    # Slices that are long enough for a thread that loses its CPU: one without a packet at full load is a failure.
    longer = ("--repeat", "2", "--slice-ms", "200")
    with Evaluate(folder, *SHORT, *longer, "--json", str(folder / "json")) as run:
        assert run.finish() == 0, run.stderr
    assert "2 points in 2 forks, " in run.stderr
    found = load(run.out)
    assert len(found.repetitions) == 2 * 3 * 2 * (2 + 1)
    assert {r.fork for r in found.repetitions} == {0, 1}
    assert [r.failure for r in found.repetitions if r.failure] == []
    for repetition in found.repetitions:
        cycles = repetition.cycles
        assert cycles is not None
        assert cycles.busy == cycles.receive + cycles.submit + cycles.complete + cycles.wasted + cycles.rest
        assert 0 <= repetition.delivered <= repetition.sent
        assert repetition.delivered_seconds >= repetition.seconds > 0
        assert repetition.sent - repetition.delivered == sum(repetition.drops.values())
        assert bool(repetition.latency) == (repetition.delivered > 0)
        engine = repetition.engine
        mean = repetition.point.point().mean_bytes
        if engine != "auto":
            assert repetition.bytes_by_engine[engine] == repetition.delivered * mean
        assert (repetition.offered_pps > 0) == (repetition.phase == "paced")
    # A slice alone may be silent: the machine can keep a thread off its CPU for as long as one lasts.
    for kind in product(("cpu", "dma", "auto"), ("full", "paced"), (64, 1500)):
        slices = [r for r in found.repetitions if (r.engine, r.phase, r.point.frames) == kind]
        assert sum(r.delivered for r in slices) > 0, kind
        assert sum(r.cycles.busy for r in slices if r.cycles) > 0, kind
    assert f"results: {run.out}" in run.stdout
    assert (run.out / "report.html").exists()
    _run_for_a_moment(folder, run.out / "recommended.toml")
    data = json.loads((folder / "json").read_text())
    assert data["faults"] == []
    assert data["verdicts"][0]["headline"] in run.stdout
    assert "software that plays a DMA engine" in run.stdout


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("module", ["_guest", "_datapath"])
def test_a_process_that_dies_costs_a_repetition(folder: Path, module: str) -> None:
    with Evaluate(folder, *SHORT, "--slice-ms", "200") as run:
        # The first slices at the common rate: more of them follow in the same processes, and the next one fails.
        wait_until(lambda: b'"phase":"paced"' in run.written(), "a slice at the common rate")
        [victim] = run.children(f"evaluate.{module}")
        os.kill(victim, SIGKILL)
        assert run.finish() == 0, run.stderr
    found = load(run.out)
    failed = [repetition for repetition in found.repetitions if repetition.failure]
    assert len(failed) >= 1
    assert all(f"{module.strip('_')} process has ended" in repetition.failure for repetition in failed)
    assert {r.point.frames for r in found.repetitions if not r.failure} == {64, 1500}
    _remove_runtime_folder_of(victim)


def _remove_runtime_folder_of(pid: int) -> None:
    """A killed process cannot."""
    for root in runtime_dir.roots():
        for folder in root.glob(f"pydpdk_*_{pid}"):
            shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.full
def test_ctrl_c_keeps_what_was_measured_and_resume_goes_on(folder: Path) -> None:
    with Evaluate(folder, *SHORT) as run:
        wait_until(lambda: run.lines() >= 10, "ten repetitions")
        assert run.finish(SIGINT) == 0, run.stderr
    part = load(run.out)
    assert 10 <= len(part.repetitions) < 48
    with Evaluate(folder, *SHORT, "--resume", name="resumed") as run:
        assert run.finish() == 0, run.stderr
    whole = load(run.out)
    assert whole.header == part.header
    assert whole.repetitions[: len(part.repetitions)] == part.repetitions
    rounds = {(r.point.frames, r.phase, r.engine, r.round) for r in whole.repetitions}
    assert len(rounds) == 48
    with Evaluate(folder, *SHORT, "--resume", "--sizes", "64", name="other") as run:
        assert run.finish() == 2
    assert "was begun with other axes" in run.stderr


@pytest.mark.parametrize("next_step", ["renew", pytest.param("close", marks=pytest.mark.full)])
def test_a_datapath_that_dies_when_it_is_to_end_costs_nothing(folder: Path, bench: Bench, next_step: str) -> None:
    """All is measured by then: it is told, and no error."""
    assert bench.measure(POINT, "dma", 0, SLICE_SECONDS)["delivered"]
    victim = bench._running().pid
    os.kill(victim, SIGKILL)
    getattr(bench, next_step)()
    [death] = bench.deaths
    assert "datapath process has ended (status -9)" in death
    assert bench.faults == []
    if next_step == "renew":
        bench.prepare(POINT)
        assert bench.measure(POINT, "dma", 0, SLICE_SECONDS)["delivered"]
    _remove_runtime_folder_of(victim)


def test_payload_that_is_not_what_it_should_be_is_found(bench: Bench) -> None:
    """The verification itself: frames without the pattern are what a device that corrupts would leave."""
    assert bench.verify(POINT, "dma", 500) == ""
    assert bench.verify(POINT, "cpu", 500) == ""
    guest = bench._guest
    assert guest is not None
    guest.ask("check_payload", on=True)
    bench._slice(POINT, "cpu", 20_000, SLICE_SECONDS, pattern=False)
    taken: dict[str, Any] = guest.ask("take")
    assert taken["corrupt"] == taken["received"] > 0


def test_queues_policies_and_devices_change_in_one_process(bench: Bench) -> None:
    pid = bench._running().pid
    for point in (Point(64, 8, 2, "fifo", "copier"), Point(64, 32, 2, "per_queue+paced", "copier")):
        bench.prepare(point)
        measured = bench.measure(point, "dma", 50_000, SLICE_SECONDS)
        assert measured["delivered"] > 0
        assert measured["bytes_by_engine"]["dma"] == measured["delivered"] * 64
    assert bench._running().pid == pid


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--sizes", "30"), 2, "30 is not a frame size: it must be from 60 to 16128"),
        (("--sizes", ""), 2, "a frame size is missing"),
        (("--engines", "dma"), 2, "an evaluation compares at least two"),
        (("--resume",), 1, "holds no evaluation"),
        (("--dma", "a=dma_skeleton0", "--dma", "a=dma_skeleton1"), 2, "two DMA devices are called a"),
        (("--memory-mb", "900000"), 1, "eal.memory_mb"),
        (("--dma", "0000:ff:1f.7"), 1, "0000:ff:1f.7"),
        (("--model", "latency=2"), 2, "latency"),
    ],
)
def test_what_cannot_be_is_said(folder: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    with Evaluate(folder, "--quick", *arguments) as run:
        assert run.finish() == status, run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_cores_are_not_shared_unless_allowed(folder: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    for count, said in ((2, "go on with --allow-shared-cores"), (1, "an evaluation needs two CPUs")):
        command = ["taskset", "-c", ",".join(map(str, cpus[:count])), sys.executable, "-m", "pydpdk_defer", "evaluate"]
        with Process(folder, f"on{count}", [*command, "--sizes", "64", "--out", str(folder / "out")]) as run:
            assert run.finish() == 1
        assert said in run.stderr
    assert not (folder / "out").exists()


@pytest.mark.slow
def test_a_killed_evaluation_leaves_no_process_behind(folder: Path) -> None:
    with Evaluate(folder, *SHORT) as run:
        wait_until(lambda: run.lines() >= 3, "three repetitions")
        children = [*run.children("evaluate._guest"), *run.children("evaluate._datapath")]
        assert len(children) == 2
        run.signal(SIGKILL)
        run.popen.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "its processes end", 30)
    assert load(run.out).damaged == ()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_crossover_of_a_modelled_device_is_where_it_was_computed(folder: Path) -> None:
    task = {
        "sizes": "2048,4096,8000,12000,16000",
        "cost_ns": 100,
        "rounds": 12,
        "folder": str(folder),
        "hugepages": HUGEPAGES,
    }
    script = Path(__file__).with_name("modelled_crossover.py")
    with Process(folder, "script", [sys.executable, str(script), json.dumps(task)]) as run:
        assert run.popen.wait(500) == 0, run.stderr
    report = json.loads(run.stdout.splitlines()[-1])
    assert report["failures"] == report["faults"] == []
    assert report["found"] is not None, report
    assert report["found"][1] == pytest.approx(report["computed"], rel=0.1), report


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_an_engine_against_itself_makes_no_difference(folder: Path) -> None:
    winners: list[str] = []
    for engine in ("cpu", "dma"):
        task = {
            "engine": engine,
            "sizes": "64:9000:x2,imix",
            "rounds": 2,
            "folder": str(folder),
            "hugepages": HUGEPAGES,
        }
        script = Path(__file__).with_name("same_engine.py")
        with Process(folder, engine, [sys.executable, str(script), json.dumps(task)]) as run:
            assert run.popen.wait(400) == 0, run.stderr
        report = json.loads(run.stdout.splitlines()[-1])
        assert report["failures"] == report["faults"] == []
        winners += report["winners"].values()
    assert winners.count("no difference") / len(winners) >= 0.95, winners


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_evaluations_find_the_same_crossover(folder: Path) -> None:
    """In nine of ten pairs each one's crossover is within the other's interval."""
    arguments = ("--sizes", "1024,2048,4096,8000,12000,16000", "--data-room", "16384", "--engines", "cpu,dma")
    found = []
    for number in range(20):
        place = folder / str(number)
        place.mkdir()
        with Evaluate(place, "--quick", *arguments) as run:
            assert run.popen.wait(300) == 0, run.stderr
        [verdict] = load(run.out).verdicts
        found.append(verdict.crossover)
    pairs = list(zip(found[::2], found[1::2], strict=True))
    agreed = [one and other and one.holds(other.value) and other.holds(one.value) for one, other in pairs]
    assert sum(map(bool, agreed)) >= 9, found
