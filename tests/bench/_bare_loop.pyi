# SPDX-License-Identifier: BSD-3-Clause
"""The bare loop of bare_loop.cpp, built with -DPYDPDK_DEFER_BENCH=ON."""

def run(
    *, vids: list[int], dma_id: int, pool: str, frame_size: int, rate_pps: float, milliseconds: int, core: int
) -> dict[str, int]:
    """Send frames for a while, bursts to the guests in turn; `dma_id` -1 copies by CPU.

    Returns packets taken, cycles, and cycles of busy rounds.
    """
