# SPDX-License-Identifier: BSD-3-Clause
"""From figures to an answer: from which frame size on DMA pays, what it saves, what it costs, what that is worth."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydpdk_defer.evaluate.axes import Engine, Policy
from pydpdk_defer.evaluate.comparison import INDEPENDENT_MIN, Comparison, PointFigures, Quantity, families, tells
from pydpdk_defer.evaluate.histograms import percentiles_us
from pydpdk_defer.evaluate.intervals import Interval, Sample, crossing_interval, independent
from pydpdk_defer.evaluate.records import Phase
from pydpdk_defer.evaluate.sweep import CORRUPTION

__all__ = ["Kind", "Verdict", "verdicts"]

Kind = Literal["from", "always", "between", "never", "cannot tell"]

_FALLBACK_SHARE = 0.01  # of a DMA slice's bytes, moved by the CPU
_NEARLY = 0.97  # who may need so little of the other's cycles may be the better one


@dataclass(frozen=True)
class Verdict:
    """The answer for points that differ in their frame size alone.

    `crossover`: bytes from which on DMA needs fewer cycles per packet at the same rate, with its 95 % interval.
    `at_full_load`: who delivers more. `auto`: what choosing costs. `worth`: who moved the bytes, and what figures of
    such a device are worth.
    """

    burst: int
    queues: int
    policy: Policy
    device: str
    kind: Kind
    crossover: Interval | None
    headline: str
    at_full_load: str
    auto: str
    worth: str

    @property
    def family(self) -> str:
        """The other axes, in words."""
        return f"burst {self.burst}, {self.queues} queue{'s' if self.queues > 1 else ''}, {self.policy}, {self.device}"


def verdicts(figures: Iterable[PointFigures], devices: Mapping[str, Mapping[str, Any]]) -> list[Verdict]:
    """One for each family of points. `devices`: what each is, as the header of an evaluation has them."""
    return [_verdict(points, devices.get(points[0].point.device, {})) for points in families(figures)]


def _verdict(points: Sequence[PointFigures], device: Mapping[str, Any]) -> Verdict:
    by_size = {figures.point.mean_bytes: figures for figures in points if figures.point.frames != "imix"}
    kind, crossover, headline = _by_cycles(by_size)
    point = points[0].point
    return Verdict(
        point.burst,
        point.queues,
        point.policy,
        point.device,
        kind,
        crossover,
        headline,
        at_full_load=_at_full_load(by_size),
        auto=_auto(points),
        worth=_worth(device),
    )


# ---- at the same rate ----


def _by_cycles(by_size: Mapping[float, PointFigures]) -> tuple[Kind, Interval | None, str]:
    compared = _compared(by_size, "cycles")
    if reason := _why_not(by_size, compared):
        return "cannot tell", None, f"cannot tell: {reason}"
    compared = {size: found for size, found in compared.items() if tells(found.ratios)}
    sizes = sorted(compared)
    won = [size for size in sizes if compared[size].winner == "dma"]
    largest = compared[sizes[-1]]
    if sizes[-1] in won:
        cost = f"saves {_percent(1 - largest.ratio.value)} of the PMD's cycles at {_bytes(sizes[-1])}"
        cost += _latency_cost(by_size[sizes[-1]])
        crossover = crossing_interval({size: compared[size].ratios for size in sizes})
        if crossover is None or crossover.value <= sizes[0]:
            return "always", None, f"DMA pays at every size measured, from {_bytes(won[0])} up: {cost}"
        return "from", crossover, f"DMA pays from {_range(crossover)}: {cost}; below, CPU copy wins"
    if won:
        listed = ", ".join(f"{size:,.0f}" for size in won)
        return "between", None, f"DMA pays at {listed} bytes, but not surely at the largest size, {_bytes(sizes[-1])}"
    if largest.winner == "no difference" and largest.ratio.low < _NEARLY:
        known = (
            f"at {_bytes(sizes[-1])} DMA needs {largest.ratio.low:.2f} to {largest.ratio.high:.2f} of the CPU's cycles"
        )
        return "cannot tell", None, f"cannot tell: {known}, and the intervals of both overlap; more rounds may tell"
    return "never", None, f"never on this host: up to {_bytes(sizes[-1])} {_no_gain(largest)}"


def _no_gain(largest: Comparison) -> str:
    ratio = largest.ratio
    if largest.winner == "cpu":
        return f"DMA pays nowhere; there it costs {_percent(ratio.value - 1)} more of the PMD's cycles than CPU copy"
    return (
        "DMA pays nowhere; there it needs as many of the PMD's cycles as CPU copy "
        f"({ratio.low:.2f} to {ratio.high:.2f} of them)"
    )


def _compared(by_size: Mapping[float, PointFigures], quantity: Quantity) -> dict[float, Comparison]:
    found = {size: figures.compare(quantity, "dma", "cpu") for size, figures in by_size.items()}
    return {size: comparison for size, comparison in found.items() if comparison is not None}


def _why_not(by_size: Mapping[float, PointFigures], compared: Mapping[float, Comparison]) -> str:
    if not by_size:
        return "no single frame size was measured, and a crossover lies between sizes"
    if corrupt := [text for figures in by_size.values() for text in figures.failures if text.startswith(CORRUPTION)]:
        return corrupt[0]
    if not compared:
        failed = sum(figures.failed for figures in by_size.values())
        return "no round of both CPU and DMA copy succeeded" + (f" ({failed} repetitions failed)" if failed else "")
    if not any(tells(comparison.ratios) for comparison in compared.values()):
        forks = max(len(comparison.ratios) for comparison in compared.values())
        most = max(independent(comparison.ratios) for comparison in compared.values())
        return f"{most} {'forks' if forks > 1 else 'rounds'} are too few for an interval, which needs {INDEPENDENT_MIN}"
    return _cpu_moved(by_size.values(), "paced")


def _cpu_moved(points: Iterable[PointFigures], phase: Phase) -> str:
    """What is to be said when at one of the points DMA was not who copied, or ""."""
    shares = [0.0]
    for figures in points:
        dma, cpu = (sum(r.bytes_by_engine.get(who, 0) for r in figures.of(phase, "dma")) for who in ("dma", "cpu"))
        shares.append(cpu / (dma + cpu) if dma + cpu else 0.0)
    worst = max(shares)
    return f"in the slices of DMA the CPU moved {_percent(worst)} of the bytes" if worst > _FALLBACK_SHARE else ""


def _latency_cost(figures: PointFigures) -> str:
    p99 = {engine: _p99(figures, engine) for engine in ("dma", "cpu")}
    if p99["dma"] is None or p99["cpu"] is None:
        return ""
    cost = p99["dma"] - p99["cpu"]
    return f", costs {_micros(cost)} at p99" if cost >= 0 else f", and {_micros(-cost)} less at p99"


def _p99(figures: PointFigures, engine: Engine) -> float | None:
    found = percentiles_us(repetition.latency for repetition in figures.of("paced", engine))
    return found["p99"] if found else None


# ---- at full load, by choice ----


def _at_full_load(by_size: Mapping[float, PointFigures]) -> str:
    compared = _compared(by_size, "rate")
    if silent := [_silent(figures) for figures in by_size.values() if _silent(figures)]:
        return f"At full load: cannot tell: {silent[0]}"
    if not compared:
        return "At full load: not measured"
    if moved := _cpu_moved(by_size.values(), "full"):
        return f"At full load: cannot tell: {moved}"
    compared = {size: found for size, found in compared.items() if tells(found.ratios)}
    if not compared:
        return f"At full load: cannot tell: an interval needs {INDEPENDENT_MIN} forks"
    sizes = sorted(compared)
    won = [size for size in sizes if compared[size].winner == "dma"]
    largest = compared[sizes[-1]]
    factor = f"{largest.ratio.value:.2f} times what CPU copy delivers at {_bytes(sizes[-1])}"
    if won == sizes:
        return f"At full load DMA delivers more at every size, {factor}"
    if sizes[-1] in won:
        crossover = crossing_interval({size: _inverse(compared[size].ratios) for size in sizes})
        where = _range(crossover) if crossover else f"{_bytes(won[0])} up"
        return f"At full load DMA delivers more from {where}, {factor}"
    if not won:
        lost = [size for size in sizes if compared[size].winner == "cpu"]
        if not lost:
            return "At full load no difference in what is delivered"
        return f"At full load DMA delivers more at no size: {factor}"
    return f"At full load DMA delivers more at {', '.join(f'{size:,.0f}' for size in won)} bytes only, {factor}"


def _silent(figures: PointFigures) -> str:
    for engine in figures.engines:
        if silent := figures.silent("rate", engine):
            of = len(figures.of("full", engine))
            name = "CPU copy" if engine == "cpu" else engine.upper() if engine == "dma" else engine
            return f"at {_bytes(figures.point.mean_bytes)} {name} delivered nothing in {silent} of {of} slices"
    return ""


def _inverse(ratios: Sample) -> Sample:
    return {fork: [1 / ratio for ratio in of_fork] for fork, of_fork in ratios.items()}


def _auto(points: Sequence[PointFigures]) -> str:
    worst = max(_auto_against_better(points), default=None)
    if worst is None:
        return ""
    ratio, name = worst
    if _percent(ratio - 1) == "0 %" or ratio < 1:
        return "auto needs no more cycles than the better of the two at any point"
    return f"auto needs at most {_percent(ratio - 1)} more cycles than the better of the two (at {name})"


def _auto_against_better(points: Sequence[PointFigures]) -> Iterator[tuple[float, str]]:
    """Round by round against the one that is cheaper round by round."""
    for figures in points:
        dma_to_cpu = figures.compare("cycles", "dma", "cpu")
        if dma_to_cpu is None:
            continue
        better: Engine = "dma" if dma_to_cpu.ratio.value < 1 else "cpu"
        if (auto := figures.compare("cycles", "auto", better)) is not None:
            frames = figures.point.frames
            yield auto.ratio.value, "IMIX" if frames == "imix" else f"{frames:,} bytes"


def _worth(device: Mapping[str, Any]) -> str:
    origin = device.get("origin", "an unknown device")
    if device.get("modelled"):
        kind = "a model laid over a device"
    elif not device.get("is_hardware"):
        kind = "software that plays a DMA engine"
    else:
        return f"Bytes were moved by {origin}"
    return (
        f"Bytes were moved by {origin}: {kind}. What DMA costs the PMD's core is real, its throughput and its latency "
        "are not; a verdict on hardware needs the hardware"
    )


# ---- words ----


def _range(interval: Interval) -> str:
    return f"{_bytes(interval.value)} up ({interval.low:,.0f} to {interval.high:,.0f})"


def _bytes(size: float) -> str:
    return f"{size:,.0f} bytes"


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"


def _micros(us: float) -> str:
    return f"{us:.0f} us" if us >= 10 else f"{us:.1f} us"
