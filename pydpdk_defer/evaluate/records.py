# SPDX-License-Identifier: BSD-3-Clause
"""What is written down: one `Repetition` a measured slice, and the `Evaluation` that they belong to.

Both are frozen pydantic models. Their JSON schema is `results.schema.json` in this package, and `schema()`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, field_validator
from pydantic.json_schema import models_json_schema

from pydpdk_defer.evaluate import histograms
from pydpdk_defer.evaluate.axes import Axes, Engine, Point, Policy
from pydpdk_defer.evaluate.schedule import Schedule

__all__ = ["SCHEMA_VERSION", "Cycles", "Header", "Noise", "PointRecord", "Repetition", "schema"]

SCHEMA_VERSION = 1

Phase = Literal["full", "paced", "no_loss"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PointRecord(_Model):
    """A `Point`, as it is written down."""

    frames: Annotated[int, Field(ge=60, le=16128)] | Literal["imix"]
    burst: Annotated[int, Field(ge=1, le=32)]
    queues: Annotated[int, Field(ge=1, le=16)]
    policy: Policy
    device: str

    @classmethod
    def of(cls, point: Point) -> "PointRecord":
        """From the point itself."""
        return cls(**vars(point))

    def point(self) -> Point:
        """The point itself."""
        return Point(self.frames, self.burst, self.queues, self.policy, self.device)


class Cycles(_Model):
    """TSC cycles of the PMD thread in a slice: where the busy ones went, and those that passed.

    `receive`: polls that brought packets; `submit`: sends that the guest's ring took something of; `complete`: checks
    that brought completions back; `wasted`: sends and checks that moved nothing, but for checks of turns that had
    nothing else to do, which are idle; `rest`: all other busy cycles. `busy`: the sum of these five. `passed`: while
    traffic ran.
    """

    receive: NonNegativeInt
    submit: NonNegativeInt
    complete: NonNegativeInt
    wasted: NonNegativeInt
    rest: NonNegativeInt
    busy: NonNegativeInt
    passed: PositiveInt


class Noise(_Model):
    """What disturbed the CPUs that are used in a slice; parts are of one CPU's time, in steps of the kernel's 10 ms.

    `steal`: taken by the hypervisor. `foreign_load`: taken by other processes, and by interrupts. `mhz`: lowest and
    highest frequency that the kernel tells, or `None`. `throttled`: times that heat or a container's limit held one
    back.
    """

    steal: NonNegativeFloat
    foreign_load: NonNegativeFloat
    mhz: tuple[float, float] | None
    throttled: NonNegativeInt


class Repetition(_Model):
    """One slice: one engine at one point for some 100 ms. Rates in packets/s, times in seconds, sizes in bytes.

    `phase`: "full" sends as fast as it goes, "paced" at `offered_pps`, the same for all engines of the round,
    "no_loss" at the highest rate that loses no more than it may. `round`: engines of one round belong together.
    `fork`: in which pair of processes, of those that measured one after the other; others take the place of one that
    dies, and of those before a resume.
    `seconds`: while traffic was sent, `delivered_seconds`: until the last packet arrived. `delivered` packets are
    what the guest counted. `moved_by`: who copied, in words. `bytes_by_engine`: of those, how many. `latency` and
    `in_flight`: HdrHistograms in V2 form (base64), in ns; one-way latency of each frame, and for each batch from
    submit to the check that brought its last packet back. `failure`: why the slice gave no figures, else "".
    """

    schema_version: Literal[1] = 1
    evaluation: str
    point: PointRecord
    phase: Phase
    engine: Engine
    round: NonNegativeInt
    fork: NonNegativeInt = 0
    failure: str = ""
    offered_pps: NonNegativeFloat = 0.0
    seconds: NonNegativeFloat = 0.0
    delivered_seconds: NonNegativeFloat = 0.0
    sent: NonNegativeInt = 0
    delivered: NonNegativeInt = 0
    cycles: Cycles | None = None
    checks: NonNegativeInt = 0
    work_items: NonNegativeInt = 0
    engine_changes: NonNegativeInt = 0
    drops: Mapping[str, NonNegativeInt] = {}
    bytes_by_engine: Mapping[Literal["dma", "cpu"], NonNegativeInt] = {}
    moved_by: str = ""
    latency: str = ""
    in_flight: str = ""
    noise: Noise | None = None

    @field_validator("latency", "in_flight")
    @classmethod
    def _can_be_decoded(cls, encoded: str) -> str:
        if not encoded:
            return encoded
        try:
            histograms.merge([encoded])
        except Exception as error:  # hdrh raises what zlib, base64 and struct raise
            raise ValueError(f"no HdrHistogram: {error}") from error
        return encoded

    @property
    def delivered_pps(self) -> float:
        """Packets that the guest counted, a second."""
        return self.delivered / self.delivered_seconds if self.delivered_seconds else 0.0

    @property
    def cycles_per_packet(self) -> float | None:
        """Busy cycles of the PMD thread for each packet that was delivered; `None` when none was."""
        return self.cycles.busy / self.delivered if self.cycles and self.delivered else None

    @property
    def idle_share(self) -> float | None:
        """The part of the time that the PMD thread had nothing to do."""
        return max(0.0, 1 - self.cycles.busy / self.cycles.passed) if self.cycles else None


class Header(_Model):
    """What an evaluation is: `evaluation.json` of its folder. `axes`: as `Axes` has them. `host`: its fingerprint.

    `devices`: what each DMA device is, with its `table` in a topology. `cores`: CPU of "pmd", "guest" and "dma",
    where software copies. `shared_cores`: who shares one, in words, or "". `virtio`: arguments of the guest's
    driver; `data_room`: bytes that one of its buffers holds.
    """

    schema_version: Literal[1] = 1
    id: str
    started: str
    command_line: tuple[str, ...]
    axes: Axes
    schedule: Schedule
    devices: Mapping[str, Mapping[str, Any]]
    cores: Mapping[str, int]
    shared_cores: str
    virtio: str
    data_room: PositiveInt
    host: Mapping[str, Any]


def schema() -> dict[str, Any]:
    """The JSON schema of both, as `results.schema.json` has it."""
    _, definitions = models_json_schema([(Header, "serialization"), (Repetition, "serialization")])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"pydpdk_defer evaluation, version {SCHEMA_VERSION}",
        "description": "evaluation.json is a Header, each line of results.jsonl a Repetition.",
        "oneOf": [{"$ref": "#/$defs/Header"}, {"$ref": "#/$defs/Repetition"}],
        **definitions,
    }
