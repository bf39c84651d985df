# SPDX-License-Identifier: BSD-3-Clause
"""An evaluation in words and in a table, as the terminal and JSON have it."""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from pydpdk_defer._stats_text import rate, rows
from pydpdk_defer.evaluate.axes import Engine
from pydpdk_defer.evaluate.comparison import PointFigures, families
from pydpdk_defer.evaluate.evaluation import Evaluation
from pydpdk_defer.evaluate.histograms import PERCENTILES, percentiles_us
from pydpdk_defer.evaluate.intervals import Interval
from pydpdk_defer.evaluate.records import Phase, Repetition

__all__ = ["PARTS", "as_dict", "as_html", "details_of", "engine_figures", "table_of", "text"]

_HEAD = (
    "",
    "copy",
    "cycles/packet",
    "idle",
    "p50",
    "p99",
    "full load",
    "no loss",
    "checks/item",
    "against cpu",
    "bytes moved by",
)
_PHASE_WORDS: Mapping[Phase, str] = {
    "full": "at full load",
    "paced": "at the same rate",
    "no_loss": "at the rate without loss",
}
PHASES: tuple[Phase, ...] = ("full", "paced", "no_loss")
_TIMES = 2  # from here on so many times the cycles, not so many percent more
PARTS = ("receive", "submit", "complete", "wasted", "rest")


def text(evaluation: Evaluation) -> str:
    """The verdicts, what they are worth, and a line for each engine at each point."""
    lines: list[str] = []
    for verdict in evaluation.verdicts:
        lines += [f"[{verdict.family}]"] if len(evaluation.verdicts) > 1 else []
        lines += [verdict.headline, verdict.at_full_load]
        lines += [line for line in (verdict.auto, verdict.worth) if line]
        lines += [""]
    lines += [f"warning: {warning}" for warning in evaluation.warnings]
    lines += [""] if evaluation.warnings else []
    lines += rows(table_of(evaluation))
    return "\n".join(lines)


def as_html(evaluation: Evaluation) -> str:
    """The verdicts, what they are worth and the table, as a piece of HTML."""
    head, *body = table_of(evaluation)
    lines = []
    for v in evaluation.verdicts:
        more = [escape(line) for line in (v.at_full_load, v.auto, v.worth) if line]
        lines.append("<br>".join([f"<p><b>{escape(v.headline)}</b>", *more]) + "</p>")
    lines += [f"<p>warning: {escape(warning)}</p>" for warning in evaluation.warnings]
    lines += ["<table><tr>", *(f"<th>{escape(cell)}</th>" for cell in head), "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return "".join([*lines, "</table>"])


def table_of(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """A head, and a row for each engine at each point."""
    one_family = len(families(evaluation.figures)) == 1
    table: list[tuple[str, ...]] = [_HEAD]
    for figures in evaluation.figures:
        name = str(figures.point).partition(",")[0] if one_family else str(figures.point)
        for engine in figures.engines:
            table.append((name if engine == figures.engines[0] else "", *_cells(figures, engine)))
    return table


def details_of(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """A head, and a row for each engine at each point: times in us at the same rate, and what was dropped by reason."""
    head = (
        "",
        "copy",
        *(f"{time} {name}" for time in ("latency", "in flight") for name in PERCENTILES),
        "changes",
        "drops",
    )
    table: list[tuple[str, ...]] = [head]
    for figures in evaluation.figures:
        for engine in figures.engines:
            known = engine_figures(figures, engine)
            times = [_micros(known[time], name) for time in ("latency_us", "in_flight_us") for name in PERCENTILES]
            drops = [
                f"{count:,} {reason} ({_PHASE_WORDS[phase]})"
                for phase, by_reason in known["drops"].items()
                for reason, count in by_reason.items()
            ]
            name = str(figures.point) if engine == figures.engines[0] else ""
            table.append((name, engine, *times, f"{known['engine_changes']:,}", ", ".join(drops) or "none"))
    return table


def _micros(percentiles: dict[str, float] | None, name: str) -> str:
    return f"{percentiles[name]:.1f}" if percentiles else "-"


def _cells(figures: PointFigures, engine: Engine) -> tuple[str, ...]:
    known = engine_figures(figures, engine)
    latency = known["latency_us"]
    return (
        engine,
        _spread(figures.interval("cycles", engine)),
        "-" if known["idle_share"] is None else f"{100 * known['idle_share']:.0f} %",
        *(f"{latency[name]:.0f} us" if latency else "-" for name in ("p50", "p99")),
        rate(known["full_load_pps"] or 0, 1),
        "-" if known["no_loss_pps"] is None else rate(known["no_loss_pps"], 1),
        "-" if known["checks_per_item"] is None else f"{known['checks_per_item']:.1f}",
        _won(figures, engine),
        known["moved_by"],
    )


def _spread(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.0f} ({interval.low:.0f} to {interval.high:.0f})"


def _won(figures: PointFigures, engine: Engine) -> str:
    if engine == "cpu" or (compared := figures.compare("cycles", engine, "cpu")) is None:
        return ""
    if compared.winner == "no difference":
        return compared.winner
    ratio = compared.ratio.value
    if ratio >= _TIMES:
        return f"{ratio:.1f} times"
    return f"{100 * abs(1 - ratio):.0f} % {'less' if ratio < 1 else 'more'}"


def engine_figures(figures: PointFigures, engine: Engine) -> dict[str, Any]:
    """What one engine did at a point: medians of its repetitions, percentiles of all of them together.

    Cycles, idle share, latency, checks and time in flight are those at the common rate; `None` for what was not seen.
    `cycles_per_packet` is what `PointFigures.interval` tells; `cycles_by_part` adds up to it, and goes by the parts of
    the cycles of all repetitions.
    """
    paced, full = figures.of("paced", engine), figures.of("full", engine)
    cycles = figures.interval("cycles", engine)
    return {
        "cycles_per_packet": _interval(cycles),
        "cycles_by_part": {part: _part(paced, part, cycles) for part in PARTS},
        "offered_pps": _median([r.offered_pps for r in paced]),
        "delivered_pps": _median([r.delivered_pps for r in paced]),
        "no_loss_pps": _median([r.offered_pps for r in figures.of("no_loss", engine)]),
        "full_load_pps": _median([r.delivered_pps for r in full]),
        "idle_share": _median([r.idle_share for r in paced if r.idle_share is not None]),
        "latency_us": percentiles_us(r.latency for r in paced),
        "in_flight_us": percentiles_us(r.in_flight for r in paced),
        "full_load_latency_us": percentiles_us(r.latency for r in full),
        "checks_per_item": _ratio(sum(r.checks for r in paced), sum(r.work_items for r in paced)),
        "engine_changes": sum(r.engine_changes for r in paced),
        "drops": {phase: _drops(figures, phase, engine) for phase in PHASES},
        "bytes_by_engine": {who: sum(r.bytes_by_engine.get(who, 0) for r in paced) for who in ("dma", "cpu")},
        "moved_by": _moved_by([*paced, *full]),
        "repetitions": {"full": len(full), "paced": len(paced)},
    }


def _drops(figures: PointFigures, phase: Phase, engine: Engine) -> dict[str, int]:
    drops: dict[str, int] = {}
    for repetition in figures.of(phase, engine):
        for reason, count in repetition.drops.items():
            drops[reason] = drops.get(reason, 0) + count
    return drops


def _part(repetitions: Sequence[Repetition], part: str, total: Interval | None) -> float | None:
    known = [r.cycles for r in repetitions if r.cycles and r.delivered]
    busy = sum(cycles.busy for cycles in known)
    return total.value * sum(getattr(cycles, part) for cycles in known) / busy if total and busy else None


def _moved_by(repetitions: Sequence[Repetition]) -> str:
    """In words; where it was not always the same, in how many slices each."""
    movers = Counter(r.moved_by for r in repetitions if r.delivered)
    if len(movers) == 1:
        return next(iter(movers))
    total = sum(movers.values())
    return "; ".join(f"{who} in {count} of {total} slices" for who, count in movers.most_common()) or "nobody"


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _interval(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else asdict(interval)


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """For JSON."""
    return {
        "folder": str(evaluation.folder),
        "header": evaluation.header.model_dump(mode="json"),
        "verdicts": [asdict(verdict) for verdict in evaluation.verdicts],
        "warnings": evaluation.warnings,
        "faults": list(evaluation.faults),
        "points": list(_points(evaluation)),
    }


def _points(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for figures in evaluation.figures:
        compared = {
            quantity: found
            for quantity in ("cycles", "rate")
            if (found := figures.compare(quantity, "dma", "cpu")) is not None
        }
        yield {
            **asdict(figures.point),
            "engines": {engine: engine_figures(figures, engine) for engine in figures.engines},
            "dma_to_cpu": {
                quantity: {"ratio": asdict(found.ratio), "winner": found.winner} for quantity, found in compared.items()
            },
            "failed": figures.failed,
        }
