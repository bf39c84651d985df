# SPDX-License-Identifier: BSD-3-Clause
"""An evaluation as Plotly figures: for the report, and for notebooks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from pydpdk_defer.evaluate.axes import Engine
from pydpdk_defer.evaluate.comparison import PointFigures
from pydpdk_defer.evaluate.summary import PARTS, engine_figures

__all__ = ["CHARTS", "Family", "cycles", "latency", "parts", "throughput"]

Family = Sequence[PointFigures]

_COLOURS: Mapping[Engine, str] = {"cpu": "#b3541e", "dma": "#1f5fa8", "auto": "#3a7d44"}
_DASHES: Mapping[Engine, str] = {"cpu": "solid", "dma": "solid", "auto": "dash"}
_SYMBOLS: Mapping[Engine, str] = {"cpu": "circle", "dma": "square", "auto": "diamond"}
_PART_COLOURS = {
    "receive": "#4e79a7",
    "submit": "#f28e2b",
    "complete": "#59a14f",
    "wasted": "#e15759",
    "rest": "#9c9c9c",
}
_PERCENTILES = ("p50", "p99", "max")
_PERCENTILE_DASHES = {"p50": "solid", "p99": "dash", "max": "dot"}


def cycles(family: Family) -> go.Figure:
    """PMD cycles per packet at the same offered rate, against frame size, with 95 % intervals; no IMIX."""
    figure = go.Figure()
    for engine, points in _by_engine(family):
        intervals = [(size, interval) for size, f in points if (interval := f.interval("cycles", engine)) is not None]
        figure.add_scatter(
            x=[size for size, _ in intervals],
            y=[interval.value for _, interval in intervals],
            error_y={
                "array": [interval.high - interval.value for _, interval in intervals],
                "arrayminus": [interval.value - interval.low for _, interval in intervals],
            },
            **_style(engine),
        )
    return _laid_out(figure, "PMD cycles per packet", family)


def throughput(family: Family) -> go.Figure:
    """Packets/s that the guest counted at full load, against frame size, with 95 % intervals; no IMIX."""
    figure = go.Figure()
    for engine, points in _by_engine(family):
        intervals = [(size, interval) for size, f in points if (interval := f.interval("rate", engine)) is not None]
        figure.add_scatter(
            x=[size for size, _ in intervals],
            y=[interval.value / 1e6 for _, interval in intervals],
            error_y={
                "array": [(interval.high - interval.value) / 1e6 for _, interval in intervals],
                "arrayminus": [(interval.value - interval.low) / 1e6 for _, interval in intervals],
            },
            **_style(engine),
        )
    return _laid_out(figure, "delivered, million packets/s", family)


def latency(family: Family) -> go.Figure:
    """One-way latency at the same offered rate: median, 99th percentile and largest, against frame size; no IMIX."""
    figure = go.Figure()
    for engine, points in _by_engine(family):
        known = [(size, found) for size, f in points if (found := engine_figures(f, engine)["latency_us"])]
        for percentile in _PERCENTILES:
            figure.add_scatter(
                x=[size for size, _ in known],
                y=[found[percentile] for _, found in known],
                **{
                    **_style(engine),
                    "name": f"{engine} {percentile}",
                    "line": {"color": _COLOURS[engine], "dash": _PERCENTILE_DASHES[percentile]},
                },
            )
    figure.update_yaxes(type="log")
    return _laid_out(figure, "one-way latency, us", family)


def parts(family: Family) -> go.Figure:
    """Where the cycles go: receive, submit, complete, wasted checks and the rest, for each size and engine."""
    names, by_part = [], {part: [] for part in PARTS}  # type: tuple[list[str], dict[str, list[float | None]]]
    for figures in family:
        for engine in figures.engines:
            frames = "IMIX" if figures.point.frames == "imix" else f"{figures.point.frames}"
            names.append(f"{frames} {engine}")
            found = engine_figures(figures, engine)["cycles_by_part"]
            for part in PARTS:
                by_part[part].append(found[part])
    figure = go.Figure()
    for part in PARTS:
        figure.add_bar(x=names, y=by_part[part], name=part, marker_color=_PART_COLOURS[part])
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="frame size in bytes, copy engine", type="category")
    figure.update_yaxes(title="PMD cycles per packet")
    return _looks(figure).update_layout(legend={"orientation": "h", "y": 1.12}, margin={"t": 60})


def _by_engine(family: Family) -> list[tuple[Engine, list[tuple[float, PointFigures]]]]:
    engines: list[Engine] = [engine for engine in _COLOURS if any(engine in figures.engines for figures in family)]
    sized = sorted((f for f in family if f.point.frames != "imix"), key=lambda f: f.point.mean_bytes)
    return [(engine, [(f.point.mean_bytes, f) for f in sized if engine in f.engines]) for engine in engines]


def _style(engine: Engine) -> dict[str, Any]:
    return {
        "name": engine,
        "mode": "lines+markers",
        "line": {"color": _COLOURS[engine], "dash": _DASHES[engine]},
        "marker": {"symbol": _SYMBOLS[engine], "size": 8},
    }


def _laid_out(figure: go.Figure, what: str, family: Family) -> go.Figure:
    sizes = sorted({f.point.mean_bytes for f in family if f.point.frames != "imix"})
    figure.update_xaxes(
        title="frame size, bytes", type="log", tickvals=sizes, ticktext=[f"{size:,.0f}" for size in sizes]
    )
    figure.update_yaxes(title=what, rangemode="tozero")
    return _looks(figure)


def _looks(figure: go.Figure) -> go.Figure:
    return figure.update_layout(
        template="plotly_white",
        height=460,
        margin={"l": 70, "r": 20, "t": 20, "b": 110},
        legend={"orientation": "h", "y": -0.2},
        font={"family": "system-ui, sans-serif", "size": 14},
    )


CHARTS: Mapping[str, Callable[[Family], go.Figure]] = {
    "Cycles against frame size": cycles,
    "Throughput against frame size": throughput,
    "Latency": latency,
    "Where the cycles go": parts,
}
