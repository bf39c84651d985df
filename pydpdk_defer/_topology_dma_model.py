# SPDX-License-Identifier: BSD-3-Clause
"""What a DMA device shall be like: the table `[dma.NAME.model]`, and what `Datapath.set_dma_model` takes."""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import model_validator

from pydpdk_defer._topology_base import Flag, Section
from pydpdk_defer._topology_fields import fault_at, number, whole

__all__ = ["DmaModel"]

_COPIES_MAX = 2**53
_SECOND_US, _MINUTE_MS = 1_000_000, 60_000

Micros = Annotated[float, number(0, "microseconds", _SECOND_US)]
Millis = Annotated[float, number(0, "milliseconds", _MINUTE_MS)]
CopyNumber = Annotated[int, whole(0, _COPIES_MAX, why="0: never")]


class DmaModel(Section):
    """`[dma.NAME.model]`: what a DMA device shall be like, from slower to faulty.

    Copies are counted on each channel by itself, from 1, anew with every model. `latency_us`: from submit to done,
    added to every copy. `copy_cost_ns`: what each copy takes of the core that asks for it, beside the device's own
    driver; that core is kept busy for so long. `bandwidth_gb_per_s`: 10^9 bytes per second of a channel, 0 for no
    limit. `lump_us`: completions appear only at multiples of it. `capacity`: copies outstanding on a channel, 0 for
    as many as the ring holds. `stall_at_copy`, `stall_ms`, `stall_repeat`: at that copy the channel stands still
    for so long; once, or again every so many copies. `full_at_copy`, `full_ms`, `full_repeat`: after that copy the
    ring takes no more for so long. `hang_at_copy`: from that copy on nothing completes, until the model is changed.
    `error_every`: every so many copies one fails, and its bytes do not arrive.
    """

    latency_us: Micros = 0.0
    copy_cost_ns: Annotated[float, number(0, "nanoseconds", 1_000_000)] = 0.0
    bandwidth_gb_per_s: Annotated[float, number(0, "10^9 bytes per second; 0: no limit", 1e6)] = 0.0
    lump_us: Micros = 0.0
    capacity: Annotated[int, whole(0, 32767, why="0: as many as the ring holds")] = 0
    stall_at_copy: CopyNumber = 0
    stall_ms: Millis = 0.0
    stall_repeat: Flag = False
    full_at_copy: CopyNumber = 0
    full_ms: Millis = 0.0
    full_repeat: Flag = False
    hang_at_copy: CopyNumber = 0
    error_every: CopyNumber = 0

    @model_validator(mode="after")
    def _faults_are_whole(self) -> Self:
        if parts := list(self._contradictions()):
            raise fault_at(parts)
        return self

    def _contradictions(self) -> Iterator[tuple[str, Any, str]]:
        without_end = "; without an end it is hang_at_copy"
        for what, at_copy, milliseconds, repeat, hint in (
            ("stall", self.stall_at_copy, self.stall_ms, self.stall_repeat, without_end),
            ("full", self.full_at_copy, self.full_ms, self.full_repeat, ""),
        ):
            if at_copy and not milliseconds:
                yield f".{what}_ms", milliseconds, f"must be more than 0 with {what}_at_copy{hint}"
            if milliseconds and not at_copy:
                yield f".{what}_ms", milliseconds, f"needs {what}_at_copy, the copy at which it begins"
            if repeat and not at_copy:
                yield f".{what}_repeat", repeat, f"needs {what}_at_copy, the copies from one to the next"
        if self.hang_at_copy:
            for key, copy in (("stall_at_copy", self.stall_at_copy), ("error_every", self.error_every)):
                if copy >= self.hang_at_copy:
                    text = f"is not before hang_at_copy = {self.hang_at_copy}, and would never be seen"
                    yield f".{key}", copy, f"{text}; leave one of them out"

    def capacity_fault(self, ring_size: int) -> str | None:
        """Why this model's capacity does not go with a device's ring, in words."""
        if self.capacity < ring_size:
            return None
        return f"must be less than the ring's {ring_size} descriptors, of which one stays free"

    @property
    def summary(self) -> str:
        """The model in few words: "30 GB/s, 2 us"; "neutral" when it changes nothing."""
        return ", ".join(self._words()) or "neutral"

    def _words(self) -> Iterator[str]:
        if self.bandwidth_gb_per_s:
            yield f"{self.bandwidth_gb_per_s:g} GB/s"
        if self.latency_us:
            yield f"{self.latency_us:g} us"
        if self.copy_cost_ns:
            yield f"{self.copy_cost_ns:g} ns of the core a copy"
        if self.lump_us:
            yield f"lumps of {self.lump_us:g} us"
        if self.capacity:
            yield f"{self.capacity} copies at most"
        if self.stall_at_copy:
            yield f"stalls {self.stall_ms:g} ms {_at(self.stall_at_copy, self.stall_repeat)}"
        if self.full_at_copy:
            yield f"full for {self.full_ms:g} ms {_at(self.full_at_copy, self.full_repeat)}"
        if self.hang_at_copy:
            yield f"hangs at copy {self.hang_at_copy}"
        if self.error_every:
            yield f"an error every {self.error_every} copies"


def _at(copy: int, repeat: bool) -> str:
    return f"every {copy} copies" if repeat else f"at copy {copy}"
