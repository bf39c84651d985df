# SPDX-License-Identifier: BSD-3-Clause
"""Draws what bench_policies.py measured, for docs/policies.md.

python tests/bench/picture.py held.json docs/pictures/held.svg
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

POLICIES = ("fifo", "per_queue")
STATES = {"p99_us_calm": ("no stalls", "#7a9cc6"), "p99_us_stalling": ("the first port's channel stalls", "#c66a4a")}


def draw(report: dict[str, Any], path: Path) -> None:
    """Bars for the 99th percentile of the other three ports, with quartiles, on a logarithmic axis."""
    held = report["held"]
    mpl.rcParams["svg.hashsalt"] = "held"  # the same figures give the same file
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for at, (key, (label, colour)) in enumerate(STATES.items()):
        spreads = [held[policy][key] for policy in POLICIES]
        medians = [spread["median"] for spread in spreads]
        below = [spread["median"] - spread["q1"] for spread in spreads]
        above = [spread["q3"] - spread["median"] for spread in spreads]
        places = [place + (at - 0.5) * 0.36 for place in range(len(POLICIES))]
        bars = axes.bar(places, medians, 0.34, yerr=[below, above], capsize=4, label=label, color=colour)
        axes.bar_label(bars, [f"{median:,.0f} us" for median in medians], padding=4)
    axes.set_yscale("log")
    axes.set_ylim(10, 200_000)
    axes.set_xticks(range(len(POLICIES)), [f'policy = "{policy}"' for policy in POLICIES])
    axes.set_ylabel("in flight, 99th percentile (us)")
    axes.set_title(
        f"Three ports beside one whose DMA channel stalls {held['stall_ms']} ms again and again\n"
        f"dma_skeleton, modelled: {held['latency_us']} us; DPDK {report['dpdk']}",
        fontsize=10,
    )
    axes.legend(frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
