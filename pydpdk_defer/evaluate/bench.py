# SPDX-License-Identifier: BSD-3-Clause
"""The `Measurer` that measures: a datapath process and a guest process, the engines in turn on one vring."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydpdk_defer.errors import DeferError, DmaError, VhostError
from pydpdk_defer.evaluate import histograms, noise
from pydpdk_defer.evaluate._remote import Child, ChildEndedError
from pydpdk_defer.evaluate.axes import Engine, Point
from pydpdk_defer.evaluate.setup import Setup
from pydpdk_defer.evaluate.sweep import CORRUPTION, CorruptionError

__all__ = ["Bench"]

_VERIFY_PPS = 20_000.0
_VERIFY_SECONDS = 30.0
_GUEST_SECONDS = 30.0
_LEAD_IN_PACKETS, _LEAD_IN_SECONDS = 3000, 0.05
_WRONG = ("corrupt", "reordered", "duplicates", "foreign")


class Bench:
    """Two processes that it starts, and starts again when they die. A context manager.

    `cores`: CPUs by role, as a `Placement` has them. `guest`: further settings of `Guest`. `logs`: a
    folder for what both print.
    """

    def __init__(self, setup: Setup, cores: Mapping[str, int], guest: Mapping[str, Any], logs: Path) -> None:
        self._setup = setup
        self._guest_core = cores["guest"]
        self._guest_settings = guest
        self._logs = logs
        self._datapath: Child | None = None
        self._guest: Child | None = None
        self._at: Point | None = None
        self._wanted: Point | None = None
        self._cpus = set(cores.values())
        self._faults: list[str] = []
        self._deaths: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both, in order; `faults` then has what contradicted itself at the end."""
        datapath, self._datapath = self._datapath, None
        if datapath is not None:
            try:
                self._faults += datapath.ask("stop")
            except ChildEndedError as error:
                self._deaths.append(f"{error.strerror} while it was to end, so whether its counters agree is not known")
            except DeferError as error:
                self._faults.append(error.strerror)
            self._end_guest()
            datapath.end()
        self._end_guest()

    @property
    def faults(self) -> list[str]:
        """One sentence for each thing that did not balance when a datapath ended."""
        return self._faults

    @property
    def deaths(self) -> list[str]:
        """One sentence for each datapath that died when all was measured and it was to end."""
        return self._deaths

    def devices(self) -> dict[str, dict[str, Any]]:
        """What each DMA device is; after `prepare`."""
        return dict(self._running().ask("devices"))

    # ---- Measurer ----

    def prepare(self, point: Point) -> None:
        """Datapath and guest for this point."""
        before, self._wanted = self._at, point
        same_guest = before is not None and (before.queues, before.device) == (point.queues, point.device)
        if before is not None and same_guest and before.policy == point.policy:
            self._at = point
            return
        self._at = None
        try:
            if not same_guest:
                self._end_guest()
            if self._datapath is None:
                log = self._logs / "datapath.log"
                self._datapath = Child("pydpdk_defer.evaluate._datapath", self._setup.model_dump(), log)
            socket = self._datapath.ask("use", queues=point.queues, policy=point.policy, device=point.device)
            if not same_guest:
                self._start_guest(socket, point.queues)
        except DeferError:
            self._discard()  # what is half ready must not be used, nor stay in the way of the next point
            raise
        self._at = point

    def measure(self, point: Point, engine: Engine, rate_pps: float, seconds: float) -> dict[str, Any]:
        """One slice."""
        datapath, guest = self._pair()
        self._lead_in(point, engine, rate_pps)
        pids = (os.getpid(), datapath.pid, guest.pid)
        before = noise.look(self._cpus, pids)
        counted = self._slice(point, engine, rate_pps, seconds)
        after = noise.look(self._cpus, pids)
        taken = self._taken()
        if counted["in_flight_left"]:
            raise VhostError(f"{counted['in_flight_left']} packets did not come back in time after a slice")
        until_last = (taken["last_arrival"] - counted["start_tsc"]) / counted["tsc_hz"]
        return {
            "seconds": counted["seconds"],
            "sent": counted["sent"],
            "delivered": taken["received"],
            "delivered_seconds": max(until_last, counted["seconds"]) if taken["received"] else counted["seconds"],
            "cycles": counted["cycles"],
            "checks": counted["checks"],
            "work_items": counted["work_items"],
            "engine_changes": counted["engine_changes"],
            "drops": counted["drops"],
            "bytes_by_engine": counted["bytes_by_engine"],
            "moved_by": counted["moved_by"],
            "latency": histograms.encode(map(tuple, taken["latency"])),
            "in_flight": histograms.encode(map(tuple, counted["in_flight"])),
            "noise": before.until(after),
        }

    def verify(self, point: Point, engine: Engine, frames: int) -> str:
        """Every byte of so many frames, at a rate that the guest can prove."""
        _, guest = self._pair()
        guest.ask("check_payload", on=True)
        try:
            counted = self._slice(point, engine, _VERIFY_PPS, _VERIFY_SECONDS, packets=frames, pattern=True)
            taken = guest.ask("take")
        finally:
            guest.ask("check_payload", on=False)
        wrong = _wrong(taken)
        if taken["received"] != counted["completed"]:
            wrong.append(f"{counted['completed']} frames were sent, and {taken['received']} arrived")
        if not wrong and not taken["received"]:
            raise VhostError(f"no frame arrived that could be verified: {counted['drops'] or 'none was sent'}")
        if not wrong and engine != "auto" and not counted["bytes_by_engine"][engine]:
            raise DmaError(f"of the frames to verify {engine} copied none")
        return ", ".join(wrong)

    def recover(self) -> None:
        """New processes, whatever became of the old ones."""
        self._discard()
        if self._wanted is not None:
            self.prepare(self._wanted)

    def renew(self) -> None:
        """End both in order; `prepare` starts new ones."""
        self.close()
        self._at = None

    def _discard(self) -> None:
        self._at = None
        self._end_guest()
        datapath, self._datapath = self._datapath, None
        if datapath is not None:
            datapath.end()

    # ---- processes ----

    def _slice(
        self, point: Point, engine: Engine, rate_pps: float, seconds: float, packets: int = 0, pattern: bool = False
    ) -> Mapping[str, Any]:
        counted: Mapping[str, Any] = self._running().ask(
            "slice",
            engine=engine,
            frames=point.frames,
            burst=point.burst,
            rate_pps=rate_pps,
            seconds=seconds,
            packets=packets,
            pattern=pattern,
        )
        return counted

    def _lead_in(self, point: Point, engine: Engine, rate_pps: float) -> None:
        """Once around the guest's buffers: those that the other engine wrote last are dear to this one."""
        self._slice(point, engine, rate_pps, _LEAD_IN_SECONDS, packets=_LEAD_IN_PACKETS * point.queues)
        self._taken()

    def _taken(self) -> Mapping[str, Any]:
        _, guest = self._pair()
        taken: Mapping[str, Any] = guest.ask("take")
        if not taken["link_up"]:
            raise VhostError("the guest lost its connection to the datapath")
        if wrong := _wrong(taken):
            raise CorruptionError(f"{CORRUPTION}: {', '.join(wrong)}")
        return taken

    def _start_guest(self, socket: str, queues: int) -> None:
        setting = {
            "socket": socket,
            "queues": queues,
            "core": self._guest_core,
            "connect_timeout": _GUEST_SECONDS,
            **self._guest_settings,
        }
        self._guest = Child("pydpdk_defer.evaluate._guest", setting, self._logs / "guest.log")
        try:
            self._guest.ask("start")
        except DeferError:
            self._running().check()  # no guest comes to a datapath that is gone
            raise
        self._running().ask("wait_for_guest")
        self._guest.ask("take")

    def _end_guest(self) -> None:
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.end()

    def _running(self) -> Child:
        if self._datapath is None:
            raise ChildEndedError("the evaluation has no datapath process")
        return self._datapath

    def _pair(self) -> tuple[Child, Child]:
        if self._guest is None:
            raise ChildEndedError("the evaluation has no guest process")
        return self._running(), self._guest


def _wrong(taken: Mapping[str, Any]) -> list[str]:
    return [f"{taken[what]} frames {what}" for what in _WRONG if taken[what]]
