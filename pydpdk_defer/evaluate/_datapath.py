# SPDX-License-Identifier: BSD-3-Clause
"""The datapath of an evaluation: a process that sends by one engine for a while, and says what that took.

    python -m pydpdk_defer.evaluate._datapath JSON      a Setup

One datapath for the whole evaluation: its DMA devices are there from the start; generator and vhost port are made anew
for each number of queues and each device.
"""

import time
from typing import Any

from pydpdk_defer import _native
from pydpdk_defer._frame_sizes import schedule
from pydpdk_defer._stats_text import who_copied
from pydpdk_defer.datapath import Datapath
from pydpdk_defer.evaluate._remote import keep_stdout_for_answers, serve
from pydpdk_defer.evaluate.axes import Engine, Frames, Policy
from pydpdk_defer.evaluate.setup import Setup, topology
from pydpdk_defer.stats import Snapshot

_GUEST_SECONDS = 30.0


class Bench:
    """What the process does."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._datapath: Datapath | None = None
        self._ports = ("", "")
        self._device = ""

    def use(self, queues: int, policy: Policy, device: str) -> str:
        """Go over to these; returns the socket that a guest with so many queues is to connect to."""
        chosen = topology(self._setup, queues, policy, device)
        if self._datapath is None:
            datapath = Datapath(chosen)
            datapath.start()
            self._datapath = datapath
        else:
            self._datapath.change(chosen)
        source, guest = chosen.forward.wires[0]
        self._ports, self._device = (source, guest), device
        return f"{self._setup.folder}/{guest}.sock"

    def devices(self) -> dict[str, dict[str, Any]]:
        """What each DMA device is."""
        dma = self.datapath.snapshot().dma
        return {
            name: {
                "device": device.device,
                "driver": device.driver,
                "is_hardware": device.is_hardware,
                "modelled": device.modelled,
                "origin": device.origin,
            }
            for name, device in dma.items()
        }

    def wait_for_guest(self) -> None:
        """Until the present guest is ready."""
        self.datapath.wait_for_guest(self._ports[1], _GUEST_SECONDS)

    def slice(
        self, engine: Engine, frames: Frames, burst: int, rate_pps: float, seconds: float, packets: int, pattern: bool
    ) -> dict[str, Any]:
        """Send by this engine for so long, or so many packets; everything that was counted until all is finished."""
        datapath = self.datapath
        source, guest = self._ports
        generator = datapath._running().ports[source]
        assert isinstance(generator, _native.GeneratorPort)
        generator.set_shape(frame_sizes=schedule(frames), rate_pps=rate_pps, burst=burst, batch=burst, pattern=pattern)
        datapath.set_copy(guest, engine)
        before = datapath.snapshot()
        start = time.monotonic()
        start_tsc = _native.tsc()
        generator.start_traffic(packets)
        end = start + seconds
        while (left := end - time.monotonic()) > 0 and not (packets and generator.finished):
            time.sleep(min(left, 0.002) if packets else left)
        generator.stop_traffic()
        lasted = time.monotonic() - start
        datapath.settle()
        counted = _counted(datapath.snapshot() - before, guest, self._device, lasted)
        return {**counted, "start_tsc": start_tsc, "tsc_hz": _native.tsc_hz()}

    def stop(self) -> list[str]:
        """Take everything down; returns what contradicts itself then."""
        datapath, self._datapath = self._datapath, None
        if datapath is None:
            return []
        datapath.stop()
        return datapath.snapshot().faults(stopped=True)

    @property
    def datapath(self) -> Datapath:
        """The present one."""
        if self._datapath is None:
            raise ValueError("no datapath yet: use() first")
        return self._datapath


def _counted(grown: Snapshot, guest: str, device: str, seconds: float) -> dict[str, Any]:
    txqs = grown.ports[guest].txqs
    in_flight: dict[int, int] = {}
    drops: dict[str, int] = {}
    for txq in txqs:
        for ns, count in txq.in_flight_time.counts.items():
            in_flight[ns] = in_flight.get(ns, 0) + count
        for reason, count in txq.drops.items():
            drops[reason] = drops.get(reason, 0) + count
    processing = sum(rxq.processing_cycles for port in grown.ports.values() for rxq in port.rxqs)
    [pmd] = grown.pmds
    return {
        "seconds": seconds,
        "sent": pmd.rx_packets,
        "completed": sum(txq.completed for txq in txqs),
        "in_flight_left": sum(txq.in_flight for txq in txqs),
        "cycles": _split(
            busy=pmd.busy_cycles,
            processing=processing,
            submit=sum(txq.submit_cycles for txq in txqs),
            complete=sum(txq.complete_cycles for txq in txqs),
            wasted=pmd.wasted_cycles,
            wasted_sends=pmd.wasted_send_cycles,
            passed=round(seconds * grown.tsc_hz),
        ),
        "checks": pmd.work_in_progress + pmd.work_done,
        "work_items": pmd.work_done,
        "engine_changes": sum(txq.engine_changes for txq in txqs),
        "drops": {reason: count for reason, count in drops.items() if count},
        "bytes_by_engine": {engine: sum(txq.bytes_by_engine[engine] for txq in txqs) for engine in ("dma", "cpu")},
        "moved_by": who_copied(grown.ports[guest], [grown.dma[device]]),
        "in_flight": sorted(in_flight.items()),
    }


def _split(
    busy: int, processing: int, submit: int, complete: int, wasted: int, wasted_sends: int, passed: int
) -> dict[str, int]:
    """Parts of the busy cycles that add up to them.

    `processing` are polls that brought packets and their sends, those in vain included. The parts are read from
    counters that are made public at different times, so none may be more than what the others leave.
    """
    receive = min(max(processing - submit - wasted_sends, 0), busy)
    submit = min(submit, busy - receive)
    complete = min(complete, busy - receive - submit)
    wasted = min(wasted, busy - receive - submit - complete)
    rest = busy - receive - submit - complete - wasted
    return {
        "receive": receive,
        "submit": submit,
        "complete": complete,
        "wasted": wasted,
        "rest": rest,
        "busy": busy,
        "passed": passed,
    }


def main() -> None:
    """Serve until the parent closes stdin."""
    [setting] = keep_stdout_for_answers()
    bench = Bench(Setup.model_validate_json(setting))
    try:
        serve(
            {
                "use": bench.use,
                "devices": bench.devices,
                "wait_for_guest": bench.wait_for_guest,
                "slice": bench.slice,
                "stop": bench.stop,
            }
        )
    finally:
        bench.stop()


if __name__ == "__main__":
    main()
