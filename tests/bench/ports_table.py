# SPDX-License-Identifier: BSD-3-Clause
"""The figures of bench_ports.py as the tables of docs/performance.md."""

from typing import Any

__all__ = ["markdown"]

_LOADS = (
    ("in_turn_1", "1"),
    ("in_turn_4", "4, bursts in turn"),
    ("in_turn_16", "16, bursts in turn"),
    ("in_turn_64", "64, bursts in turn"),
    ("together_4", "4, bursts together"),
    ("together_16", "16, bursts together"),
    ("together_64", "64, bursts together"),
    ("beside_silent", "1 beside 63 silent"),
    ("beside_silent_guests", "1 beside 63 silent, without their generators"),
)


def markdown(report: dict[str, Any]) -> str:
    """Three tables: packets, beside the bare loop, and idle rounds."""
    lines = ["| bytes | copy | ports | cycles/packet | ratio to one port | packets a busy round | delivered |"]
    lines.append("|---|---|---|---|---|---|---|")
    for of_one in report["traffic"]:
        for key, label in _LOADS:
            figures = of_one[key]
            cells = [
                str(of_one["frame_size"]),
                of_one["engine"],
                label,
                f"{figures['cycles_per_packet']['median']:.0f}",
                _with_quartiles(figures["ratio"], ".2f") if key != "in_turn_1" else "",
                f"{figures['packets_per_busy_round']['median']:.0f}",
                f"{figures['delivered_share']['median']:.1%}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    columns = (
        "bytes",
        "copy",
        "ports, bursts in turn",
        "bare loop, cycles/packet",
        "ratio to one",
        "product / bare loop",
    )
    lines += ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for of_one in report["traffic"]:
        for key in (key for key in of_one if key.startswith("bare_")):
            figures = of_one[key]
            cells = [
                str(of_one["frame_size"]),
                of_one["engine"],
                key.removeprefix("bare_"),
                f"{figures['cycles_per_packet']['median']:.0f}",
                _with_quartiles(figures["ratio"], ".2f") if key != "bare_1" else "",
                _with_quartiles(figures["product_ratio"], ".2f"),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| ports polled | cycles of an idle round | of generators' rxqs alone |", "|---|---|---|"]
    for count, figures in report["idle"].items():
        cells = [_with_quartiles(figures[key], ".0f") for key in ("cycles", "generators_alone_cycles")]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _with_quartiles(spread: dict[str, float], style: str) -> str:
    median, low, high = (format(spread[name], style) for name in ("median", "q1", "q3"))
    return f"{median} ({low} to {high})"
