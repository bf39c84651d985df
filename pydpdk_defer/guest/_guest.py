# SPDX-License-Identifier: BSD-3-Clause
"""A guest: its settings, its life, its work."""

import atexit
import math
import os
import time
from collections.abc import Callable
from errno import EALREADY, ENOTCONN
from types import TracebackType
from typing import Literal, Self

from pydpdk_defer import _native, eal
from pydpdk_defer._records import Times
from pydpdk_defer.errors import DeferError, EalError, UsageError, VhostError
from pydpdk_defer.guest._connect import Connector
from pydpdk_defer.guest._device import describe
from pydpdk_defer.guest._memory import start_eal
from pydpdk_defer.guest._stats import GuestStats

__all__ = ["Guest", "Role"]

Role = Literal["sink", "echo", "verify"]

_SLICE_MS = 50
_CLIENT_TIMEOUT_SECONDS = 10.0


class Guest:
    """A virtio-user guest. A context manager; DPDK allows one a process, and no datapath beside it.

    Entering starts EAL and connects; `run` or `poll` receive; leaving lets go of everything, and `stats` then gives
    the final figures. One thread at a time.

    Args:
        socket: the path of the vhost-user socket.
        role: "sink" counts, "echo" swaps the MAC addresses and sends back, "verify" proves the generator's frames.
        server: listen on the socket for a backend in client mode; the file is gone at the end. Otherwise connect.
        queues: queue pairs.
        virtio: further arguments of DPDK's driver, such as "packed_vq=1,mrg_rxbuf=0,queue_size=256".
        mac: the device's MAC address; none: a random one.
        pcap: a file for everything that arrives.
        from_start: with "verify", the first frame is to be number 0: what is missing before it is lost.
        memory_mb: DPDK's memory.
        hugepages: True, False, or "auto" for hugepages when enough are free.
        data_room: bytes of a frame that one guest buffer holds. Longer frames come in several, unless
            "mrg_rxbuf=0" forbids that.
        core: the CPU to poll on; none: where the thread is.
        spin: never yield the CPU when idle.
        connect_timeout: seconds to wait for the backend; none: 10, and no limit as a server.
        reconnect: as a client, connect again when the backend went. A server always waits for the next.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str],
        *,
        role: Role = "sink",
        server: bool = False,
        queues: int = 1,
        virtio: str = "",
        mac: str | None = None,
        pcap: str | os.PathLike[str] | None = None,
        from_start: bool = False,
        memory_mb: int = 256,
        hugepages: bool | Literal["auto"] = "auto",
        data_room: int = 2048,
        core: int | None = None,
        spin: bool = False,
        connect_timeout: float | None = None,
        reconnect: bool = False,
    ) -> None:
        if role not in ("sink", "echo", "verify"):
            raise UsageError(f"role must be 'sink', 'echo' or 'verify', not {role!r}")
        if not 1024 <= data_room <= 16384:
            raise UsageError(f"data_room must be 1024 to 16384 bytes, not {data_room}")
        if memory_mb < 32:
            raise UsageError(f"memory_mb must be 32 or more, not {memory_mb}")
        self._cpus = eal.available_cpus()
        if core is not None and core not in self._cpus:
            raise UsageError(f"core {core} is none that this process may use: {sorted(self._cpus)}")
        self.socket = os.fspath(socket)
        self.role = role
        self.server = server
        self.queues = queues
        self.reconnect = reconnect
        self._device = describe(self.socket, server=server, queues=queues, mac=mac, virtio=virtio)
        self._pcap = "" if pcap is None else os.fspath(pcap)
        self._from_start = from_start
        self._memory_mb = memory_mb
        self._hugepages_wanted = hugepages
        self._data_room = data_room
        self._core = core
        self._spin = spin
        if connect_timeout is None:
            connect_timeout = math.inf if server else _CLIENT_TIMEOUT_SECONDS
        self._timeout = connect_timeout
        self._hugepages = False
        self._native: _native.Guest | None = None
        self._connector: Connector | None = None
        self._ready_since: float | None = None
        self._final: GuestStats | None = None

    # ---- life ----

    def start(self, until: Callable[[], bool] | None = None, notify: Callable[[str], None] | None = None) -> bool:
        """Start EAL and connect; False when `until()`, asked many times a second, was true first.

        `notify` gets a sentence when a server listens. Raises `EalError`, `VhostError`, or `DeferError` when the pcap
        file cannot be written.
        """
        if self._native is not None or self._final is not None:
            raise EalError(
                "this Guest was started before, and DPDK starts once a process",
                EALREADY,
                "give each Datapath or Guest a process of its own",
            )
        self._hugepages = start_eal(self._memory_mb, self._hugepages_wanted, self._cpus, self._core)
        atexit.register(self.close)
        try:
            self._native = _native.Guest(
                device=self._device.spec,
                queues=self.queues,
                ring_size=self._device.ring_size,
                role=self.role,
                data_room_bytes=self._data_room,
                pcap=self._pcap,
                from_start=self._from_start,
                spin=self._spin,
            )
            self._connector = Connector(self.socket, server=self.server, connect=self._native.connect)
            connected = self._connector.wait(self._timeout, until or _never, notify or _silent)
        except BaseException:
            self.close()
            raise
        if connected:
            self._ready_since = time.monotonic()
            if self._core is not None:
                os.sched_setaffinity(0, {self._core})
        return connected

    def close(self) -> None:
        """Let go of everything; harmless when that is done. `stats` stays usable."""
        atexit.unregister(self.close)
        native, self._native = self._native, None
        connector, self._connector = self._connector, None
        if connector is not None and connector.stuck:
            # A thread hangs inside DPDK for good; with memory under its feet it is harmless until the process ends.
            self._final = self._read(native, self._duration()) if native is not None else None
            connector.remove_socket()
            return
        if native is not None:
            duration = self._duration()
            native.close()
            self._final = self._read(native, duration)
        if connector is not None:
            connector.remove_socket()
        eal.stop()
        if self._core is not None:
            os.sched_setaffinity(0, self._cpus)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- work ----

    @property
    def link_up(self) -> bool:
        """Whether a backend was there when `poll` last returned."""
        return self._native is not None and self._native.link_up

    def poll(self, milliseconds: int = _SLICE_MS, limit: int = 0) -> int:
        """Receive for so long, or until about `limit` packets came (a burst more at most); return how many came."""
        return self._running().poll(milliseconds, limit)

    def run(
        self,
        seconds: float | None = None,
        packets: int | None = None,
        until: Callable[[], bool] | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        """Receive until the first of these: `seconds` passed, `packets` came, `until()` is true.

        Also ends when the backend of a client went away and none may follow (`reconnect`). `until()` is asked many
        times a second; `notify` gets a sentence when a backend goes or comes.
        """
        stopped = until or _never
        tell = notify or _silent
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        left = packets
        was_up = True
        while not stopped() and (remaining := deadline - time.monotonic()) > 0:
            came = self.poll(max(1, min(_SLICE_MS, math.ceil(min(remaining, 1) * 1000))), left or 0)
            if left is not None:
                left -= came
                if left <= 0:
                    return
            if self.link_up:
                if not was_up:
                    tell("a backend came")
            elif was_up:
                tell("the backend went away")
            was_up = self.link_up
            if not was_up and not self.server:
                if not (self.reconnect and self._connect_again(min(self._timeout, remaining), stopped)):
                    return
                tell("a backend came")
                was_up = True

    def check_payload(self, on: bool) -> None:
        """Whether a verifying guest proves every byte, as from the start, or only order and latency, which takes less
        of its CPU. `ValueError` in another role.
        """
        self._running().check_payload(on)

    def take_latency(self) -> Times:
        """One-way latency of the frames that arrived since the last call, with three digits; only of a verifying guest.

        Counted from the time stamp in the frame, which the generator's thread read when it made the batch.
        """
        return Times(self._running().take_latency())

    @property
    def last_arrival(self) -> int:
        """TSC of this host when a verifying guest got its last frames; 0: none yet."""
        return self._running().last_arrival

    def rebind(self) -> None:
        """Let go of the device and take it again, as when its driver is unbound and bound; raises as `start`."""
        self._take_again(self._timeout, _never)

    def _connect_again(self, timeout: float, stopped: Callable[[], bool]) -> bool:
        try:
            return self._take_again(timeout, stopped)
        except VhostError:
            # That the backend stays away ends the run like any other end.
            return False

    def _take_again(self, timeout: float, stopped: Callable[[], bool]) -> bool:
        native = self._running()
        assert self._connector is not None
        native.disconnect()
        return self._connector.wait(timeout, stopped, _silent)

    # ---- figures ----

    def stats(self) -> GuestStats:
        """All counters, as of the end of the last `poll`."""
        return self._final if self._final is not None else self._read(self._running(), self._duration())

    def _duration(self) -> float:
        return 0.0 if self._ready_since is None else time.monotonic() - self._ready_since

    def _read(self, native: _native.Guest, duration: float) -> GuestStats:
        return GuestStats.from_native(
            native.stats(),
            role=self.role,
            socket=self.socket,
            queues=self.queues,
            duration_s=duration,
            hugepages=self._hugepages,
        )

    def _running(self) -> _native.Guest:
        if self._native is None:
            raise DeferError("this Guest is not running", ENOTCONN, "use it as a context manager, or call start()")
        return self._native


def _never() -> bool:
    return False


def _silent(_text: str) -> None:
    pass
