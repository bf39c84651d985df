# SPDX-License-Identifier: BSD-3-Clause
"""The consumer of ring_sink.cpp, built with -DPYDPDK_DEFER_BENCH=ON."""

from collections.abc import Sequence

class Sink:
    """Guests whose memories are mapped at these addresses, each with its receive ring at the start."""

    def __init__(self, *, memories: Sequence[int], size: int, available_offset: int, used_offset: int) -> None: ...
    def serve(self, milliseconds: int) -> int:
        """Swallow frames for a while; return how many came."""
