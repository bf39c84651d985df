# SPDX-License-Identifier: BSD-3-Clause
"""`evaluate`, and what comes out of it."""

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydpdk_defer import eal
from pydpdk_defer.errors import UsageError
from pydpdk_defer.evaluate import store
from pydpdk_defer.evaluate.axes import Axes, parse_sizes
from pydpdk_defer.evaluate.bench import Bench
from pydpdk_defer.evaluate.comparison import INDEPENDENT_MIN, PointFigures, families, figures
from pydpdk_defer.evaluate.placement import Placement, device_tables, devices_of, needs_pci, node_of, place
from pydpdk_defer.evaluate.records import Header, Repetition
from pydpdk_defer.evaluate.schedule import Schedule
from pydpdk_defer.evaluate.setup import Setup
from pydpdk_defer.evaluate.sweep import Progress, Sweep
from pydpdk_defer.evaluate.verdict import Verdict, verdicts
from pydpdk_defer.host import hugepages as host_hugepages
from pydpdk_defer.host.cpus import cpu_places
from pydpdk_defer.host.fingerprint import fingerprint

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Evaluation", "Options", "evaluate", "load"]

_STEAL_WARNING, _FOREIGN_WARNING, _MHZ_WARNING = 0.02, 0.1, 0.05
_BEHIND = 0.95  # of the frames that were due
_FEW_PACKETS = 500
_GUEST_MB = 384
# What must not differ when an evaluation is resumed.
_SAME = ("axes", "schedule", "devices", "cores", "virtio", "data_room")
_SAME_HOST = ("cpu", "kernel", "dpdk_loaded")


@dataclass(frozen=True)
class Options:
    """How to measure. `dma`: devices as "NAME=DEVICE" or "DEVICE", none: what the host has, else `dma_skeleton`.

    `model`: keys of a `[dma.NAME.model]` table, laid over each device. `virtio`: arguments of the guest's driver.
    `data_room`: bytes that one of its buffers holds, 1024 to 16384; a longer frame is several copies.
    `allow_shared_cores`: go on where guest and software copies must share a CPU.
    """

    dma: tuple[str, ...] = ()
    model: Mapping[str, Any] | None = None
    virtio: str = "queue_size=1024"
    data_room: int = 2048
    memory_mb: int = 768
    hugepages: bool | Literal["auto"] = "auto"
    allow_shared_cores: bool = False


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, whole or in part: `print` it for the summary.

    `repetitions`: everything that was measured. `damaged`: lines of the folder that were skipped, with the reason.
    `faults`: what did not balance when a datapath ended, and `deaths`: which ended by dying; only of an evaluation
    that has just run.
    """

    folder: Path
    header: Header
    repetitions: tuple[Repetition, ...]
    damaged: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    deaths: tuple[str, ...] = ()

    @cached_property
    def figures(self) -> list[PointFigures]:
        """By point."""
        return figures(self.repetitions)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """One for each family of points that differ in frame size alone."""
        return verdicts(self.figures, self.header.devices)

    @cached_property
    def warnings(self) -> list[str]:
        """What makes the figures worth less, one sentence each."""
        return list(self._warnings())

    def _warnings(self) -> Iterator[str]:
        if self.header.shared_cores:
            yield self.header.shared_cores
        schedule, axes = self.header.schedule, self.header.axes
        measured = len({(r.point, r.phase, r.engine, r.round) for r in self.repetitions if r.phase != "no_loss"})
        wanted = len(axes.points()) * schedule.repetitions(len(axes.engines))
        if measured < wanted:
            yield f"only {measured} of {wanted} repetitions were measured; --resume measures the others"
        if schedule.forks < INDEPENDENT_MIN:
            yield (
                "one pair of processes measured all: another may differ by more than the intervals say"
                if schedule.forks == 1
                else f"{schedule.forks} forks are too few for intervals, which need {INDEPENDENT_MIN}"
            )
        failed = [repetition for repetition in self.repetitions if repetition.failure]
        if failed:
            yield f"{len(failed)} of {len(self.repetitions)} repetitions failed, the last one: {failed[-1].failure}"
        yield from self.deaths
        if self.damaged:
            yield f"{len(self.damaged)} damaged lines of {store.RESULTS} were skipped, the first one: {self.damaged[0]}"
        good = [repetition for repetition in self.repetitions if not repetition.failure]
        if silent := [repetition for repetition in good if not repetition.delivered]:
            yield f"in {len(silent)} repetitions nothing was delivered, the last one at {silent[-1].point.point()}"
        paced = [repetition for repetition in good if repetition.phase == "paced" and repetition.delivered]
        if few := [repetition for repetition in paced if repetition.sent < _FEW_PACKETS]:
            yield (
                f"{len(few)} repetitions at the same rate are of less than {_FEW_PACKETS} packets: longer slices "
                "(--slice-ms) tell more"
            )
        shares = [r.sent / due for r in paced if r.sent < _BEHIND * (due := r.offered_pps * r.seconds) - r.point.burst]
        if shares:
            yield (
                f"in {len(shares)} repetitions less was sent than the common rate asks for, down to "
                f"{100 * min(shares):.0f} % of it: the PMD thread was too slow, or kept from its CPU"
            )
        noises = [repetition.noise for repetition in self.repetitions if repetition.noise]
        if not noises:
            return
        if (steal := statistics.mean(noise.steal for noise in noises)) > _STEAL_WARNING:
            yield f"the hypervisor took {100 * steal:.0f} % of a CPU away (steal time)"
        if (load := statistics.mean(noise.foreign_load for noise in noises)) > _FOREIGN_WARNING:
            yield f"other processes took {100 * load:.0f} % of a CPU on those that are used"
        if throttled := sum(noise.throttled for noise in noises):
            yield f"CPUs were throttled {throttled} times, by heat or by a container's limit"
        mhz = [value for noise in noises if noise.mhz for value in noise.mhz]
        if mhz and max(mhz) > min(mhz) * (1 + _MHZ_WARNING):
            yield f"the CPUs' frequency changed between {min(mhz):.0f} and {max(mhz):.0f} MHz"

    def plots(self, family: int = 0) -> "dict[str, Figure]":
        """Plotly figures by title, of the points that `verdicts[family]` is about; needs the extra "report"."""
        from pydpdk_defer.evaluate.plots import CHARTS

        return {title: plot(families(self.figures)[family]) for title, plot in CHARTS.items()}

    def _repr_html_(self) -> str:
        """For notebooks: the verdicts and the table."""
        from pydpdk_defer.evaluate.summary import as_html

        return as_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Verdicts, warnings and every point's figures, for JSON."""
        from pydpdk_defer.evaluate.summary import as_dict

        return as_dict(self)

    def __str__(self) -> str:
        from pydpdk_defer.evaluate.summary import text

        return text(self)


def load(folder: str | Path) -> Evaluation:
    """An evaluation from its folder. Raises `DeferError` when it holds none, or one of another schema version."""
    stored = store.load(Path(folder))
    return Evaluation(stored.folder, stored.header, stored.repetitions, stored.damaged)


def evaluate(
    axes: Axes | str,
    *,
    schedule: Schedule | None = None,
    options: Options | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    until: Callable[[], bool] | None = None,
    command_line: Sequence[str] = (),
) -> Evaluation:
    """Measure CPU copy against DMA at all points, in processes of their own, and say from which frame size on DMA pays.

    `axes`: what to measure; text is frame sizes, as "64:9000:x2,imix". Needs two CPUs, three with a software
    device. `axes.devices` are set by `options.dma`. `out`: the folder for the results, by default a new one here,
    named by the time; `resume`: it holds a part of this evaluation, which goes on. Ends early when `until()`, asked
    at each slice, is true; the results hold what was measured. Raises `DeferError`: a host on which it cannot run,
    results that cannot be written, a device that corrupts (`CorruptionError`).
    """
    options, schedule = options or Options(), schedule or Schedule()
    axes = Axes(parse_sizes(axes)) if isinstance(axes, str) else axes
    devices = devices_of(options.dma)
    axes = replace(axes, devices=tuple(devices))
    cpus = eal.available_cpus()
    placement = place(
        devices, cpus, may_share=options.allow_shared_cores, places=cpu_places(cpus), node=node_of(devices)
    )
    tables = device_tables(devices, placement, options.model)
    folder = Path(out) if out is not None else Path(time.strftime("evaluation-%Y%m%d-%H%M%S"))
    before = store.load(folder) if resume else None
    if not resume:
        store.check_free(folder)
    use_hugepages = host_hugepages.choose(options.hugepages, options.memory_mb + _GUEST_MB)
    with tempfile.TemporaryDirectory(prefix="pd-") as sockets:
        store.make(folder)
        setup = Setup(
            devices=tables,
            largest_frame=axes.largest_frame,
            core=placement.pmd,
            folder=sockets,
            memory_mb=options.memory_mb,
            hugepages=use_hugepages,
            pci=needs_pci(devices),
        )
        guest = {
            "virtio": options.virtio,
            "data_room": options.data_room,
            "memory_mb": _GUEST_MB,
            "hugepages": use_hugepages,
        }
        with Bench(setup, placement.cores, guest, folder) as bench:
            bench.prepare(axes.points()[0])
            header = _header(axes, schedule, options, placement, tables, bench, command_line)
            if before is not None:
                _check_same(before.header, header)
                header = before.header
            with store.Recorder(folder, header, resume=resume) as recorder:
                Sweep(
                    axes,
                    schedule,
                    bench,
                    recorder.keep,
                    evaluation=header.id,
                    done=before.repetitions if before else (),
                    progress=progress,
                    until=until,
                ).run()
        return replace(load(folder), faults=tuple(bench.faults), deaths=tuple(bench.deaths))


def _header(
    axes: Axes,
    schedule: Schedule,
    options: Options,
    placement: Placement,
    tables: Mapping[str, Any],
    bench: Bench,
    command_line: Sequence[str],
) -> Header:
    return Header(
        id=secrets.token_hex(8),
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        command_line=tuple(command_line),
        axes=axes,
        schedule=schedule,
        devices={
            name: {**device, "table": tables[name], "on_pci": needs_pci({name: device["device"]})}
            for name, device in bench.devices().items()
        },
        cores=placement.cores,
        shared_cores=placement.shared,
        virtio=options.virtio,
        data_room=options.data_room,
        host=fingerprint(),
    )


def _check_same(then: Header, now: Header) -> None:
    pairs = {
        **{name: (getattr(then, name), getattr(now, name)) for name in _SAME},
        **{name: (then.host.get(name), now.host.get(name)) for name in _SAME_HOST},
    }
    for name, (before, after) in pairs.items():
        if before != after:
            told = _difference(before, after)
            raise UsageError(f"the evaluation to resume was begun with other {name}: {told}")


def _difference(before: Any, after: Any) -> str:
    """The fields that differ of two records of a kind; else both."""
    if not is_dataclass(before) or isinstance(before, type):
        return f"{before}, not {after}"
    return "; ".join(
        f"{f.name} {old}, not {new}"
        for f in fields(before)
        if (old := getattr(before, f.name)) != (new := getattr(after, f.name))
    )
