# SPDX-License-Identifier: BSD-3-Clause
"""A topology made real: EAL, memory, DMA devices, ports and PMD threads, brought up and taken down in order."""

import atexit
import os
import threading
import time
from collections.abc import Callable, Mapping
from errno import EALREADY, ETIMEDOUT
from types import MappingProxyType, TracebackType
from typing import Self

from pydpdk_defer import _native, eal
from pydpdk_defer._building import Parts, View, build
from pydpdk_defer._changeable import start_traffic, stop_traffic
from pydpdk_defer._changing import DRAIN_TIMEOUT_MS
from pydpdk_defer._frames import Frames
from pydpdk_defer._reading import VhostCounters, read_snapshot, read_vhost_counters
from pydpdk_defer._showing import show
from pydpdk_defer._signals import shielded
from pydpdk_defer._watching import Watcher
from pydpdk_defer.errors import EalError, VhostError
from pydpdk_defer.stats import Snapshot
from pydpdk_defer.topology import Topology, VhostPort

__all__ = ["Datapath"]

_SETTLE_SECONDS = 5.0
_STANDSTILL_SECONDS = 0.5
_TICK_SECONDS = 0.02
_SETTLE_TICK_SECONDS = 0.004
_NEXT_QUEUE_GRACE_SECONDS = 0.5
# A guest's driver may throw away what arrives while it starts (DPDK's virtio does); nobody tells when it has started.
_DRIVER_START_SECONDS = 0.3


class Datapath(Frames):
    """A running datapath. A context manager; DPDK allows one a process.

        with Datapath(topology) as dp:
            dp.wait_for_guest("vm0", timeout=10)
            dp.run(seconds=5)
            print(dp.snapshot())

    Entering starts EAL, ports and PMD threads; generators and ethdevs bring packets in while `run` runs, or between
    `start_traffic` and `stop_traffic`. Leaving does all deferred work, drains, and lets go of everything;
    `snapshot` then gives the final figures. What happens meanwhile, guests that come and go among it, is told by
    the logger "pydpdk_defer", with the port's name in front.

    Every method may be called from any thread. Changes, injections and the starts of captures wait for each other;
    `snapshot`, `run` and `settle` wait for none of them, and see the datapath as the last change left it. Raises
    `TopologyError`, `EalError`, `DmaError`, `VhostError`, or `DeferError` for another device.
    """

    def __init__(self, topology: Topology) -> None:
        if not isinstance(topology, Topology):
            raise TypeError(f"a Datapath takes a Topology, not {type(topology).__name__}")
        self._topology = topology
        self._parts: Parts | None = None
        self._view: View | None = None
        self._final: Snapshot | None = None
        self._traffic: int | None = None
        self._told: set[str] = set()
        self._lock = threading.RLock()
        self._view_lock = threading.RLock()
        self._seen = None
        self._watcher: Watcher | None = None
        self._hugepages = False
        self._up_since = 0.0

    # ---- life ----

    def start(self) -> None:
        """Bring everything up. What was begun is taken down again when a step fails."""
        if self._parts is not None or self._final is not None:
            raise EalError(
                "this Datapath was started before, and DPDK starts once a process",
                EALREADY,
                "give each Datapath or Guest a process of its own",
            )
        self._topology.check_host(eal.available_cpus())
        try:
            with shielded():
                self._bring_up()
        except BaseException:  # an error, or what the handler of a Ctrl-C raised that came meanwhile
            self.stop()
            raise

    def _bring_up(self) -> None:
        self._hugepages = eal.start(self._topology)
        atexit.register(self.stop)
        os.register_at_fork(after_in_child=self._forget)
        self._parts = Parts()
        build(self._topology, self._parts)
        for thread in self._parts.pmds.values():
            thread.start()
        self._tell(self._parts.plan.notes)
        self._up_since = time.monotonic()
        self._adopt(self._parts, self._topology)
        self._watcher = Watcher(self._follow_guests)
        self._watcher.start()

    def stop(self) -> None:
        """Take everything down; harmless when it is down. `snapshot` stays usable."""
        with shielded():
            if self._watcher is not None:
                self._watcher.stop()
            with self._lock:
                if self._parts is not None:
                    self._take_down()

    def _take_down(self) -> None:
        parts = self._parts
        if parts is not None:
            _native.telemetry_hide()
            with self._view_lock:
                self._traffic = None
                stop_traffic(parts.ports.values())
            if self._up_since:  # else not every thread runs, and no traffic was started
                self._wind_down(parts)
            for thread in parts.pmds.values():
                thread.stop()
            for handoff in parts.handoffs.values():
                handoff.close()
            for port in parts.ports.values():
                port.drain(DRAIN_TIMEOUT_MS)
            vhost_counters = {
                name: read_vhost_counters(port)
                for name, port in parts.ports.items()
                if isinstance(port, _native.VhostPort)
            }
            for port in parts.ports.values():
                port.close()
            self._tell_events()
            with self._view_lock:
                self._final = self._read(parts.view(self._topology), vhost_counters, is_final=True)
                self._parts = self._view = None
                parts.release()
        eal.stop()
        atexit.unregister(self.stop)

    def _wind_down(self, parts: Parts) -> None:
        """Let all threads finish what is on its way while all of them still poll: one's sends may wait for another."""
        for thread in parts.pmds.values():
            thread.wind_down()
        # A thread in one of its bounded waits shows no progress.
        self._settle(patience=_STANDSTILL_SECONDS + 2 * self._topology.deferral.max_stall_us / 1e6)

    def _forget(self) -> None:
        """In a forked child: the datapath is the parent's. Here it has no threads, and must never be taken down."""
        if self._parts is not None:
            import ctypes

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._parts))
            self._parts = None
        self._view = None
        self._lock = threading.RLock()  # a thread that is not here may have had it
        self._view_lock = threading.RLock()
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---- work ----

    def wait_for_guest(self, port: str, timeout: float = 10.0, until: Callable[[], bool] | None = None) -> None:
        """Wait until a guest is ready on a vhost port, `timeout` seconds at most; then `VhostError` (ETIMEDOUT).

        Ready means its first queue pair; each of the others gets half a second to follow the one before, and the
        guest's driver 0.3 s to start. Returns early when `until()` is true, asked many times a second.
        """
        with self._view_lock:
            vhost = self._vhost(port)
            options = self._viewed().topology.port[port]
        assert isinstance(options, VhostPort)
        deadline = time.monotonic() + timeout
        while vhost.ready_txqs == 0:
            if until is not None and until():
                return
            if time.monotonic() >= deadline:
                raise VhostError(
                    f"port {port}: no guest came to {options.socket} within {timeout:g} s",
                    ETIMEDOUT,
                    f"start one: pydpdk-defer guest {options.socket}"
                    + (f" --queues {options.queues}" if options.queues > 1 else "")
                    + (" --server" if options.mode == "client" else ""),
                )
            time.sleep(_TICK_SECONDS)
        ready, grace = 0, 0.0
        while (now_ready := vhost.ready_txqs) < options.queues:
            if now_ready > ready:
                ready, grace = now_ready, time.monotonic() + _NEXT_QUEUE_GRACE_SECONDS
            elif time.monotonic() >= grace:
                break
            time.sleep(_TICK_SECONDS)
        time.sleep(_DRIVER_START_SECONDS)

    def start_traffic(self, packets: int = 0) -> None:
        """Let generators and ethdevs bring packets in; each generator makes `packets` more frames, 0: no end."""
        if packets < 0:
            raise ValueError(f"packets must be 0 or more, not {packets}")
        with self._view_lock:
            ports = self._viewed().ports.values()
            self._traffic = packets
            start_traffic(ports, packets)

    def stop_traffic(self) -> None:
        """Bring no more packets in; what is accepted goes on its way."""
        with self._view_lock:
            ports = self._viewed().ports.values()
            self._traffic = None
            stop_traffic(ports)

    def run(
        self,
        seconds: float | None = None,
        packets: int | None = None,
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Let traffic pass, and return when it is over and nothing is in flight any more.

        Over is what comes first: `seconds` passed; each generator has made `packets` frames (without a
        generator: so many packets were received); `until()` is true, asked many times a second.
        """
        if seconds is None and packets is None and until is None:
            raise ValueError("run needs an end: seconds, packets or until")
        if (seconds is not None and seconds < 0) or (packets is not None and packets < 1):
            raise ValueError("seconds must be 0 or more, packets 1 or more")
        deadline = None if seconds is None else time.monotonic() + seconds
        received = self._received()
        self.start_traffic(packets or 0)
        try:
            while self._final is None and not (until is not None and until()):
                if deadline is not None and time.monotonic() >= deadline:
                    break
                if packets is not None and self._has_made(packets, received):
                    break
                left = _TICK_SECONDS if deadline is None else deadline - time.monotonic()
                time.sleep(min(_TICK_SECONDS, max(left, 0)))
        finally:
            if self._final is None:  # else another thread stopped the datapath
                self.stop_traffic()
        self._settle()

    def settle(self) -> None:
        """Wait until nothing is in flight, and `snapshot` says so; 5 s at most."""
        self._settle()

    def _settle(self, patience: float = _SETTLE_SECONDS) -> None:
        """Wait until nothing is in flight and the public counters say so; or until they stood still for `patience`.

        Counters of a thread that waits for its sends stand still too. They are believed when each thread has published
        twice since: once may have begun before.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        progress, since = None, time.monotonic()
        iterations: dict[int, int] = {}  # by core
        published: dict[int, int] = {}
        while self._final is None and (now := time.monotonic()) < deadline and now - since < patience:
            snapshot = self.snapshot()
            counters = {(n, qid): (txq.submitted, txq.completed, txq.given_up) for n, qid, txq in snapshot.txqs()}
            before, iterations = iterations, {pmd.core: pmd.iterations for pmd in snapshot.pmds}
            if counters != progress or iterations.keys() != before.keys():
                progress, since = counters, now
                published = dict.fromkeys(iterations, 0)
            else:
                published = {core: published[core] + (iterations[core] != before[core]) for core in iterations}
                is_left = any(txq.in_flight or txq.waiting for _, _, txq in snapshot.txqs())
                is_believed = all(count >= 2 for count in published.values())
                if is_believed and not is_left and now - since >= self._longest_flush_interval():
                    return
            time.sleep(_SETTLE_TICK_SECONDS)

    def _longest_flush_interval(self) -> float:
        return max((pmd.tx_flush_interval_us for pmd in self._topology.pmd), default=0) / 1e6

    # ---- figures ----

    def _show(self) -> None:
        show(
            self._running(),
            self._topology,
            hugepages=self._hugepages,
            seconds_up=time.monotonic() - self._up_since,
        )

    def snapshot(self) -> Snapshot:
        """All counters. While threads run each queue's are whole in themselves, and about a millisecond old."""
        with self._view_lock:
            return self._final if self._final is not None else self._read(self._viewed())

    def vhost_counters(self, port: str) -> VhostCounters:
        """librte_vhost's own counters of the present guest: for each queue ("rxq 0", "txq 0") by their DPDK names.

        Empty without `vhost_counters = true` in the port's table, and for a queue without a guest. Which there
        are differs between DPDK releases. They are kept under the vring's lock, which a PMD thread may have to
        wait for meanwhile: not for every second. The final snapshot has those of the guests that were there at
        the end.
        """
        return read_vhost_counters(self._vhost(port))

    def _received(self) -> int:
        return sum(thread.stats()["rx_packets"] for thread in self._viewed().pmds)

    def _has_made(self, packets: int, received_before: int) -> bool:
        """Have all generators made their frames; without one, were so many packets received?"""
        generators = [port for port in self._viewed().ports.values() if isinstance(port, _native.GeneratorPort)]
        if generators:
            return all(port.finished for port in generators)
        return self._received() - received_before >= packets

    def _read(
        self,
        view: View,
        vhost_counters: Mapping[str, VhostCounters] = MappingProxyType({}),
        *,
        is_final: bool = False,
    ) -> Snapshot:
        seconds = time.monotonic() - self._up_since if self._up_since else 0.0
        return read_snapshot(
            view, hugepages=self._hugepages, seconds=seconds, vhost_counters=vhost_counters, is_final=is_final
        )
