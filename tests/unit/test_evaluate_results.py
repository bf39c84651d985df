# SPDX-License-Identifier: BSD-3-Clause
"""What an evaluation leaves: its folder, the report, comparisons and tables, on a fake measurer, without EAL."""

import csv
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fake_measurer import LATENCY_US, FakeMeasurer, cycles_of
from jsonschema import Draft202012Validator
from markupsafe import escape

from pydpdk_defer.cli import main
from pydpdk_defer.cli.evaluate import _model as model_of
from pydpdk_defer.errors import DeferError, UsageError
from pydpdk_defer.evaluate import store
from pydpdk_defer.evaluate._remote import Child
from pydpdk_defer.evaluate.axes import Axes, Engine, Point, parse_sizes
from pydpdk_defer.evaluate.evaluation import Evaluation, load
from pydpdk_defer.evaluate.histograms import encode, merge, percentiles_us
from pydpdk_defer.evaluate.recommend import recommended, recommended_toml
from pydpdk_defer.evaluate.records import Header, schema
from pydpdk_defer.evaluate.schedule import Schedule
from pydpdk_defer.evaluate.summary import details_of, engine_figures
from pydpdk_defer.evaluate.sweep import Sweep
from pydpdk_defer.evaluate.tables import export
from pydpdk_defer.topology import Topology, VhostPort

AXES = Axes(frames=(*parse_sizes("64:4096:x2"), "imix"))


def header(axes: Axes = AXES, identity: str = "e1") -> Header:
    return Header(
        id=identity,
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        command_line=("pydpdk-defer", "evaluate"),
        axes=axes,
        schedule=Schedule(),
        devices={
            "copier": {
                "origin": "software: dma_skeleton",
                "is_hardware": False,
                "modelled": False,
                "on_pci": False,
                "table": {"device": "dma_skeleton0,lcore=0", "ring_size": 4096},
            }
        },
        cores={"pmd": 1, "guest": 0, "dma": 0},
        shared_cores="guest and copies share CPU 0",
        virtio="queue_size=1024",
        data_room=2048,
        host={"cpu": {"model": "a <CPU> & more"}, "dpdk_loaded": "22.11", "kernel": None},
    )


def evaluated(
    folder: Path, *, factor: float = 1.0, axes: Axes = AXES, seed: int = 1, identity: str = "e1"
) -> Evaluation:
    measurer = FakeMeasurer(noise=0.02, seed=seed, cost=lambda engine, size: factor * cycles_of(engine, size))
    with store.Recorder(folder, header(axes, identity)) as recorder:
        Sweep(axes, Schedule(), measurer, recorder.keep, evaluation=identity).run()
    return load(folder)


# ---- the folder ----


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = evaluated(tmp_path / "e")
    assert (len(found.repetitions), found.damaged) == (len(AXES.frames) * 3 * 5 * (3 + 2), ())
    assert found.header.axes == AXES
    assert found.verdicts[0].kind == "from"


def test_damaged_lines_are_skipped_and_told(tmp_path: Path) -> None:
    whole = evaluated(tmp_path)
    path = tmp_path / store.RESULTS
    lines = path.read_text().splitlines()
    lines[3] = lines[3][:50]
    lines[5] = lines[5].replace('"engine":"', '"engine":"gp')
    lines[7] = lines[7].replace('"e1"', '"another"')
    path.write_text("\n".join(lines) + "\n" + '{"cut')
    found = load(tmp_path)
    assert len(found.repetitions) == len(whole.repetitions) - 3
    assert len(found.damaged) == 4
    assert f"{path}, line 4: " in found.damaged[0]
    assert "line 6: engine: " in found.damaged[1]
    assert "of another evaluation, 'another'" in found.damaged[2]
    assert any("4 damaged lines" in warning for warning in found.warnings)


def test_a_cut_line_does_not_damage_the_next(tmp_path: Path) -> None:
    whole = evaluated(tmp_path)
    path = tmp_path / store.RESULTS
    path.write_bytes(path.read_bytes()[:-20])
    with store.Recorder(tmp_path, whole.header, resume=True) as recorder:
        recorder.keep(whole.repetitions[-1])
    found = load(tmp_path)
    assert len(found.repetitions) == len(whole.repetitions)
    assert len(found.damaged) == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "holds no evaluation"),
        ("{", "is damaged"),
        ('{"schema_version": 2}', "is of schema version 2; this pydpdk-defer reads version 1"),
        ('{"schema_version": 1}', "is damaged: id: Field required"),
    ],
)
def test_folders_that_cannot_be_read(tmp_path: Path, text: str | None, named: str) -> None:
    if text is not None:
        (tmp_path / store.HEADER).write_text(text)
    with pytest.raises(DeferError) as caught:
        load(tmp_path)
    assert named in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to write to")
def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    kept = evaluated(tmp_path / "a", axes=Axes(frames=(64,))).repetitions
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / store.RESULTS).symlink_to("/dev/full")
    with pytest.raises(DeferError, match="No space left on device") as caught:  # noqa: SIM117 - the error is of both
        with store.Recorder(tmp_path / "b", header()) as recorder:
            recorder.keep(kept[0])
    assert store.RESULTS in str(caught.value)
    assert "--resume" in caught.value.hint


def test_an_evaluation_is_not_written_over(tmp_path: Path) -> None:
    evaluated(tmp_path)
    with pytest.raises(DeferError, match="holds an evaluation already"):
        store.Recorder(tmp_path, header())


def test_a_validator_takes_what_is_written_by_the_published_schema(tmp_path: Path) -> None:
    evaluated(tmp_path, axes=Axes(frames=(64, "imix")))
    published = json.loads(files("pydpdk_defer.evaluate").joinpath("results.schema.json").read_text())
    Draft202012Validator.check_schema(published)
    whole = Draft202012Validator(published)
    whole.validate(json.loads((tmp_path / store.HEADER).read_text()))
    for line in (tmp_path / store.RESULTS).read_text().splitlines():
        whole.validate(json.loads(line))
        assert not whole.is_valid(json.loads(line) | {"engine": "a horse"})
    assert not whole.is_valid({"x": 1})


def test_the_published_schema_is_that_of_the_models() -> None:
    published = json.loads(files("pydpdk_defer.evaluate").joinpath("results.schema.json").read_text())
    anew = "import json, pydpdk_defer.evaluate.records as r; print(json.dumps(r.schema(), indent=2))"
    assert published == json.loads(json.dumps(schema())), f"write it anew: python -P -c '{anew}'"


# ---- figures ----


def test_histograms_add_up_and_keep_three_digits() -> None:
    one, other = encode([(1000, 10), (123_456, 1)]), encode([(1000, 5)])
    assert merge([one, other, ""]).get_total_count() == 16
    found = percentiles_us([one, other])
    assert found is not None
    assert found["p50"] == pytest.approx(1.0, rel=1e-3)
    assert found["max"] == pytest.approx(123.456, rel=1e-3)
    assert percentiles_us(["", ""]) is None
    assert encode([]) == ""


def test_figures_of_an_engine(tmp_path: Path) -> None:
    found = evaluated(tmp_path)
    of_1024 = next(f for f in found.figures if f.point.frames == 1024)
    figures = engine_figures(of_1024, "dma")
    assert figures["cycles_per_packet"]["value"] == pytest.approx(700, rel=0.05)
    assert figures["cycles_by_part"]["submit"] == pytest.approx(700, rel=0.05)
    assert figures["latency_us"]["p99"] == pytest.approx(LATENCY_US["dma"], rel=1e-2)
    assert 0 < figures["idle_share"] < 1
    assert figures["repetitions"] == {"full": 10, "paced": 15}


def test_all_figures_of_cycles_are_the_same(tmp_path: Path) -> None:
    """Table, charts and JSON: forks that differ and parts that vary must not part them."""
    measurer = FakeMeasurer(noise=0.2, fork_noise=0.5)
    with store.Recorder(tmp_path, header()) as recorder:
        Sweep(AXES, Schedule(), measurer, recorder.keep, evaluation="e1").run()
    odd = iter(range(10**6))

    def split(line: dict[str, Any]) -> dict[str, Any]:
        cycles = line["cycles"]
        waste = cycles["busy"] * (next(odd) % 5) // 10
        return line | {"cycles": cycles | {"wasted": waste, "submit": cycles["busy"] - waste}}

    rewritten(tmp_path, split)
    for of_point in load(tmp_path).figures:
        for engine in of_point.engines:
            known = engine_figures(of_point, engine)
            total = known["cycles_per_packet"]["value"]
            assert sum(known["cycles_by_part"].values()) == pytest.approx(total)
            assert known["cycles_by_part"]["wasted"] > 0


def test_who_moved_the_bytes_is_of_all_slices(tmp_path: Path) -> None:
    evaluated(tmp_path)

    def fallen_back(line: dict[str, Any]) -> dict[str, Any]:
        by_cpu = line["engine"] == "dma" and line["round"] < 8
        return line | {"moved_by": "CPU" if by_cpu else "DMA"}

    rewritten(tmp_path, fallen_back)
    told = engine_figures(load(tmp_path).figures[0], "dma")["moved_by"]
    slices = Schedule().forks * (Schedule().rounds + Schedule().full_rounds)
    assert sorted(told.split("; ")) == [f"CPU in 16 of {slices} slices", f"DMA in {slices - 16} of {slices} slices"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"delivered": 0}, "at 64 bytes DMA delivered nothing in 10 of 10 slices"),
        ({"bytes_by_engine": {"dma": 0, "cpu": 1000}}, "in the slices of DMA the CPU moved 100 % of the bytes"),
    ],
)
def test_full_load_that_tells_nothing_of_dma(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    evaluated(tmp_path)
    rewritten(tmp_path, lambda line: line | change if (line["engine"], line["phase"]) == ("dma", "full") else line)
    assert load(tmp_path).verdicts[0].at_full_load == f"At full load: cannot tell: {named}"


def test_few_packets_and_silent_slices_are_told(tmp_path: Path) -> None:
    evaluated(tmp_path)
    rewritten(tmp_path, lambda line: line | {"sent": 100, "delivered": 100} if line["phase"] == "paced" else line)
    said = " ".join(load(tmp_path).warnings)
    assert "are of less than 500 packets" in said
    assert "less was sent than the common rate asks for" in said
    rewritten(tmp_path, silent)
    assert "nothing was delivered, the last one at IMIX" in " ".join(load(tmp_path).warnings)


def test_the_summary_and_its_json_say_the_same(tmp_path: Path) -> None:
    found = evaluated(tmp_path)
    text, data = str(found), found.to_dict()
    assert data["verdicts"][0]["headline"] in text
    assert "warning: guest and copies share CPU 0" in text
    assert len(data["points"]) == len(AXES.frames)
    assert json.loads(json.dumps(data)) == data


def test_notebooks_get_a_table_and_plots(tmp_path: Path) -> None:
    found = evaluated(tmp_path)
    html = found._repr_html_()
    assert html.count("<tr>") == 1 + 3 * len(AXES.frames)
    assert "DMA pays from" in html
    plots = found.plots()
    assert list(plots) == [
        "Cycles against frame size",
        "Throughput against frame size",
        "Latency",
        "Where the cycles go",
    ]
    assert [trace.name for trace in plots["Cycles against frame size"].data] == ["cpu", "dma", "auto"]


def test_the_package_can_be_called() -> None:
    import pydpdk_defer as pd

    with pytest.raises(ValueError, match="30 is not a frame size"):
        pd.evaluate("30")


# ---- what to make of it ----


def test_a_topology_is_recommended(tmp_path: Path) -> None:
    found = evaluated(tmp_path)
    topology = Topology.loads(recommended_toml(found))
    vhost = topology.port["vm0"]
    assert isinstance(vhost, VhostPort)
    crossover = found.verdicts[0].crossover
    assert crossover is not None
    assert (vhost.copy_, vhost.dma_min_bytes, vhost.dma) == ("auto", round(crossover.value), ("copier",))
    assert topology.dma["copier"].device == "dma_skeleton0,lcore=0"
    assert topology.pmd[0].core == 1
    assert recommended_toml(found).startswith("# Recommended by an evaluation of ")
    assert f"# {found.verdicts[0].headline}" in recommended_toml(found)


def test_a_model_is_for_the_evaluation_alone(tmp_path: Path) -> None:
    modelled = header()
    device = {**modelled.devices["copier"], "table": {"device": "dma_skeleton0", "model": {"latency_us": 2}}}
    with store.Recorder(tmp_path, modelled.model_copy(update={"devices": {"copier": device}})) as recorder:
        Sweep(AXES, Schedule(), FakeMeasurer(noise=0.02), recorder.keep, evaluation="e1").run()
    topology, reasons = recommended(load(tmp_path))
    assert topology.dma["copier"].model is None
    assert "the model that was laid over the device is left out" in reasons


def test_what_was_ended_before_its_end_says_so(tmp_path: Path) -> None:
    measurer = FakeMeasurer(noise=0.02)
    with store.Recorder(tmp_path, header()) as recorder:
        sweep = Sweep(AXES, Schedule(), measurer, recorder.keep, evaluation="e1", until=lambda: measurer.slices >= 500)
        assert not sweep.run()
    found = load(tmp_path)
    wanted = len(AXES.frames) * 75
    assert f"only {len(found.repetitions)} of {wanted} repetitions were measured" in " ".join(found.warnings)
    assert "--resume measures the others" in " ".join(found.warnings)
    assert "forks are too few" in found.verdicts[0].headline
    assert found.verdicts[0].at_full_load == "At full load: cannot tell: an interval needs 5 forks"


def test_times_and_drops_of_each_engine(tmp_path: Path) -> None:
    found = evaluated(tmp_path)
    head, *rows = details_of(found)
    assert len(rows) == 3 * len(AXES.frames)
    assert [name for name in head if name.startswith("latency")] == [
        f"latency {name}" for name in ("p50", "p90", "p99", "p99.9", "max")
    ]
    first = dict(zip(head, rows[0], strict=True))
    assert (first["copy"], first["latency p99"], first["in flight p99"], first["drops"]) == ("cpu", "5.0", "-", "none")


def test_large_batches_are_gathered_where_dma_needs_them(tmp_path: Path) -> None:
    axes = Axes(frames=(256, 1024, 4096), bursts=(1, 32), policies=("fifo", "fifo+paced"), engines=("cpu", "dma"))

    class ByBatch(FakeMeasurer):
        """DMA is dear in small batches, and paced checks make it cheaper."""

        def measure(self, point: Point, engine: Engine, rate_pps: float, seconds: float) -> Mapping[str, Any]:
            dear = 3.0 if point.burst == 1 else 1.0
            paced = 0.8 if point.policy == "fifo+paced" else 1.0
            self._cost = lambda e, size: cycles_of(e, size) * (dear * paced if e == "dma" else 1.0)
            return super().measure(point, engine, rate_pps, seconds)

    with store.Recorder(tmp_path, header(axes)) as recorder:
        Sweep(axes, Schedule(), ByBatch(noise=0.01), recorder.keep, evaluation="e1").run()
    topology, reasons = recommended(load(tmp_path))
    assert (topology.deferral.policy, topology.deferral.paced) == ("fifo", True)
    assert topology.pmd[0].tx_flush_interval_us == 50
    assert any("of 4 combinations the cheapest for the PMD thread: burst 32" in reason for reason in reasons)


def test_where_dma_never_pays_the_cpu_is_recommended(tmp_path: Path) -> None:
    with store.Recorder(tmp_path, header()) as recorder:
        measurer = FakeMeasurer(cost=lambda engine, size: 300 if engine == "cpu" else 600, noise=0.01)
        Sweep(AXES, Schedule(), measurer, recorder.keep, evaluation="e1").run()
    topology, _ = recommended(load(tmp_path))
    vhost = topology.port["vm0"]
    assert isinstance(vhost, VhostPort)
    assert (vhost.copy_, vhost.dma, topology.dma) == ("cpu", (), {})


# ---- report ----


def test_the_report_is_one_file_that_needs_no_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluated(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    html = (tmp_path / "report.html").read_text()
    assert str(escape(found.verdicts[0].headline)) in html
    assert "a &lt;CPU&gt; &amp; more" in html
    assert html.count('class="plotly-graph-div"') == 4
    assert "<script src=" not in html
    assert '<link rel="stylesheet"' not in html
    assert f"report: {tmp_path / 'report.html'}" in capsys.readouterr().out


@pytest.mark.full
@pytest.mark.timeout(240)
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to look at the report with")
def test_a_browser_draws_the_report(tmp_path: Path) -> None:
    evaluated(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    command = [
        "chromium",
        "--headless",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-sandbox",
        "--virtual-time-budget=10000",
    ]
    command += [f"--user-data-dir={tmp_path}/profile", "--enable-logging=stderr", "--v=0"]
    page = f"file://{tmp_path}/report.html"
    drawn = subprocess.run([*command, "--dump-dom", page], capture_output=True, text=True, timeout=120, check=True)
    assert "Uncaught" not in drawn.stderr
    assert drawn.stdout.count('class="main-svg"') >= 4  # Plotly's script made them
    assert drawn.stdout.count('class="bars"') + drawn.stdout.count("barlayer") > 0
    picture = tmp_path / "report.png"
    subprocess.run(
        [*command, "--window-size=1100,3000", f"--screenshot={picture}", page],
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert picture.stat().st_size > 50_000  # an empty page has a tenth of that


def test_a_report_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with store.Recorder(tmp_path, header()):
        pass
    assert main(["report", str(tmp_path)]) == 1
    assert "holds no good repetition" in capsys.readouterr().err


def test_exports(tmp_path: Path) -> None:
    found = evaluated(tmp_path)
    targets = {"--csv": tmp_path / "it's.csv", "--parquet": tmp_path / "all.parquet"}
    assert main(["report", str(tmp_path), *(str(part) for pair in targets.items() for part in pair)]) == 0
    with targets["--csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.repetitions)
    assert float(rows[0]["delivered_pps"]) == pytest.approx(found.repetitions[0].delivered_pps)
    with duckdb.connect() as connection:
        counted = connection.execute(f"SELECT count(*) FROM '{targets['--parquet']}'").fetchall()
    assert counted == [(len(found.repetitions),)]
    assert {row["evaluation"] for row in rows} == {"e1"}
    assert int(rows[0]["busy_cycles"]) == found.repetitions[0].cycles.busy  # type: ignore[union-attr]
    assert rows[0]["latency_histogram"] == found.repetitions[0].latency
    with pytest.raises(DeferError, match="cannot write"):
        export(found, tmp_path / "nowhere" / "all.csv", "csv")


# ---- compare ----


def compared(tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: float, *arguments: str) -> tuple[int, Any]:
    evaluated(tmp_path / "a", seed=1)
    evaluated(tmp_path / "b", seed=2, factor=factor)
    status = main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json", "-", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_a_regression_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = compared(tmp_path, capsys, 1.3, "--absolute")
    assert status == 1
    cycles = [change for change in found["changes"] if change["measure"] == "cycles/packet"]
    assert len(cycles) == len(AXES.frames) * 3
    assert all(change["outcome"] == "slower" for change in cycles)
    ratios = [change for change in found["changes"] if change["measure"] == "dma/cpu cycles"]
    assert [change["outcome"] for change in ratios].count("cannot be told") >= len(AXES.frames) - 1


def test_what_stays_within_the_tolerance_does_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(tmp_path, capsys, 1.3, "--absolute", "--tolerance", "40")[0] == 0


def test_another_speed_of_the_whole_process_is_no_regression(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, capsys, 1.3)[0] == 0


def test_what_got_faster_does_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = compared(tmp_path, capsys, 0.8)
    assert status == 0
    assert {change["outcome"] for change in found["changes"] if change["measure"] == "cycles/packet"} == {"faster"}


def rewritten(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """The folder's repetitions as `change` makes them of what they are; without those that it makes nothing of."""
    lines = [json.loads(line) for line in (folder / store.RESULTS).read_text().splitlines()]
    kept = [line for line in map(change, lines) if line is not None]
    (folder / store.RESULTS).write_text("".join(json.dumps(line) + "\n" for line in kept))


def failed(line: dict[str, Any]) -> dict[str, Any]:
    return line | {"failure": "the device is gone"} if line["engine"] == "dma" else line


def silent(line: dict[str, Any]) -> dict[str, Any]:
    return line | {"delivered": 0} if line["engine"] == "dma" else line


def without_2048(line: dict[str, Any]) -> dict[str, Any] | None:
    return None if line["point"]["frames"] == 2048 else line


@pytest.mark.parametrize("change", [failed, silent, without_2048])
def test_what_was_lost_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> None:
    evaluated(tmp_path / "a", seed=1)
    evaluated(tmp_path / "b", seed=2)
    rewritten(tmp_path / "b", change)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    said = capsys.readouterr().out
    assert " lost" in said
    assert "regressions" in said.splitlines()[-1]
    assert "note: after: " in said  # why
    assert main(["compare", str(tmp_path / "b"), str(tmp_path / "a")]) == 0  # what came anew is none


def test_fewer_points_asked_for_are_no_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(tmp_path / "a", axes=Axes(frames=(64, 1500)))
    evaluated(tmp_path / "b", axes=Axes(frames=(64,)), seed=2)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "only before has 1 of the points, the first one 1500 bytes" in capsys.readouterr().out


def test_a_row_says_which_point_it_is_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(tmp_path / "a", axes=Axes(frames=(64,), bursts=(4, 32)))
    main(["compare", str(tmp_path / "a"), str(tmp_path / "a")])
    assert "64 bytes, burst 4, 1 queue, fifo, copier" in capsys.readouterr().out


def test_absolute_figures_that_are_not_judged_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(tmp_path / "a", seed=1)
    evaluated(tmp_path / "b", seed=2, factor=1.5)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "no regression of dma/cpu cycles past 10 %; --absolute judges the others too" in capsys.readouterr().out


def test_nothing_in_common(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(tmp_path / "a", axes=Axes(frames=(64,)))
    evaluated(tmp_path / "b", axes=Axes(frames=(128,)))
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "have no point in common" in capsys.readouterr().err


def test_an_evaluation_that_measured_nothing_recommends_nothing(tmp_path: Path) -> None:
    with store.Recorder(tmp_path / "e", header()):
        pass
    with pytest.raises(UsageError, match="no measurement to recommend a topology by"):
        recommended(load(tmp_path / "e"))


def test_an_error_of_our_own_is_no_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated(tmp_path / "e")

    def broken(*_: object, **__: object) -> None:
        raise ValueError("zip() argument 2 is longer than argument 1")

    monkeypatch.setattr("pydpdk_defer.evaluate.compare.compare", broken)
    with pytest.raises(ValueError, match="zip"):
        main(["compare", str(tmp_path / "e"), str(tmp_path / "e")])
    monkeypatch.setattr("pydpdk_defer.cli.evaluate.evaluate", broken)
    with pytest.raises(ValueError, match="zip"):
        main(["evaluate", "--quick", "--out", str(tmp_path / "other")])


def test_a_child_tells_wrong_use_from_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with Child("refusing_child", {}, tmp_path / "log") as child:
        with pytest.raises(UsageError, match=r"^such a thing cannot be$"):
            child.ask("use", wrong=True)
        with pytest.raises(RuntimeError, match=r"ValueError in the evaluation's refusing_child process: zip\("):
            child.ask("use", wrong=False)
    assert "Traceback" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("latency_us=1e3", {"latency_us": 1000.0}),
        ("latency_us=.5", {"latency_us": 0.5}),
        ("stall_at_copy=10,stall_ms=2,stall_repeat=true", {"stall_at_copy": 10, "stall_ms": 2, "stall_repeat": True}),
    ],
)
def test_values_of_a_model_are_numbers_or_booleans(text: str, values: dict[str, Any]) -> None:
    assert model_of(text) == values
    with pytest.raises(UsageError, match="'latency_us=fast' is not KEY=VALUE"):
        model_of("latency_us=fast")
