# SPDX-License-Identifier: BSD-3-Clause
"""What a guest counted, as numbers, as JSON and as text."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pydpdk_defer.guest._device import feature_names

__all__ = ["GuestStats", "Latency", "Stream"]


@dataclass(frozen=True)
class Stream:
    """One stream of the generator: a sequence of numbered frames. `first` and `last` are numbers."""

    received: int
    first: int
    last: int
    lost: int
    reordered: int
    duplicates: int
    missed_before_start: int


@dataclass(frozen=True)
class Latency:
    """One-way latency in microseconds, from the frame's time stamp to its arrival; 0 at `count` 0."""

    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float
    count: int


@dataclass(frozen=True)
class GuestStats:
    """The counters of a guest; those of the verify role are 0 in the others.

    `foreign` frames are not the generator's. Of a `corrupt` frame nothing but that is counted, so its number is
    `lost` too. A frame that comes late is `reordered` and not lost. `missed_before_start` came before the first
    one seen in its stream. `connects` and `disconnects` count backends.
    """

    role: str
    socket: str
    queues: int
    duration_s: float
    hugepages: bool
    features: list[str] | None
    connects: int
    disconnects: int
    received: int
    bytes: int
    foreign: int
    corrupt: int
    lost: int
    reordered: int
    duplicates: int
    missed_before_start: int
    echoed: int
    echo_drops: int
    pcap_packets: int
    pcap_missed: int
    pcap_errno: int
    mbufs_missing: int
    streams: Mapping[int, Stream] = field(default_factory=dict)
    latency_us: Latency | None = None

    @classmethod
    def from_native(cls, raw: dict[str, Any], **settings: Any) -> Self:
        """From the native counters and a guest's settings."""
        latency = raw["latency_us"]
        values = raw | {
            "features": feature_names(raw["features"]),
            "streams": {number: Stream(**counters) for number, counters in raw["streams"].items()},
            "latency_us": None if latency is None else Latency(**latency),
        }
        return cls(**values, **settings)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it: streams under their numbers as text."""
        values = asdict(self)
        values["streams"] = {str(number): stream for number, stream in values["streams"].items()}
        return values

    def faults(self) -> list[str]:
        """What should not be, one sentence each; empty when all is well."""
        found = [
            f"{count} frames {what}"
            for count, what in (
                (self.corrupt, "are corrupt"),
                (self.lost, "are lost"),
                (self.reordered, "came out of order"),
                (self.duplicates, "came twice"),
            )
            if count and self.role == "verify"
        ]
        if self.pcap_errno:
            found.append(f"the pcap file misses {self.pcap_missed} frames: {os.strerror(self.pcap_errno)}")
        if self.mbufs_missing:
            found.append(f"{self.mbufs_missing} mbufs did not come back to the pool")
        return found

    def __str__(self) -> str:
        rate = self.received / self.duration_s if self.duration_s else 0
        lines = [
            f"guest ({self.role}) on {self.socket}: {self.received:,} packets, {self.bytes:,} bytes"
            f" in {self.duration_s:.2f} s ({rate:,.0f} packets/s)"
        ]
        if self.role == "echo":
            lines.append(f"  echoed {self.echoed:,}, not taken back {self.echo_drops:,}")
        if self.role == "verify":
            lines.append(
                f"  corrupt {self.corrupt:,}, lost {self.lost:,}, reordered {self.reordered:,},"
                f" duplicates {self.duplicates:,}, foreign {self.foreign:,},"
                f" missed before start {self.missed_before_start:,}, streams {len(self.streams):,}"
            )
        if self.latency_us is not None and self.latency_us.count:
            late = self.latency_us
            lines.append(
                f"  latency us: p50 {late.p50:.1f}, p90 {late.p90:.1f}, p99 {late.p99:.1f},"
                f" p99.9 {late.p99_9:.1f}, max {late.max:.1f}"
            )
        if self.pcap_packets or self.pcap_missed:
            lines.append(f"  pcap: {self.pcap_packets:,} written, {self.pcap_missed:,} missed")
        memory = "hugepages" if self.hugepages else "ordinary memory"
        features = ", ".join(self.features) if self.features is not None else "unknown"
        lines.append(f"  {self.queues} queue pair{'s' if self.queues > 1 else ''}, {memory}; features: {features}")
        if self.disconnects:
            lines.append(f"  backends: {self.connects} came, {self.disconnects} went away")
        return "\n".join(lines)
