# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for a backend, so that a signal, a time limit or a dead socket file ends it in order.

DPDK opens a virtio-user device in one call that cannot be told to stop: a client waits there for the backend's
answers, a server for the backend itself. It runs in a thread of its own, and this one watches.
"""

import os
import socket as sockets
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from errno import EACCES, EADDRINUSE, ECONNREFUSED, ECONNRESET, ENOENT, ENOTSOCK, EPIPE, ETIMEDOUT
from pathlib import Path

from pydpdk_defer.errors import DeferError, VhostError

__all__ = ["Connector"]

_TICK_SECONDS = 0.02
_RETRY_SECONDS = 0.05
_GIVE_UP_SECONDS = 5.0
_PASSING = (ECONNREFUSED, ECONNRESET, ENOENT, EPIPE)


class Connector:
    """Connects one device to one socket, once or again."""

    def __init__(self, path: str, *, server: bool, connect: Callable[[], None]) -> None:
        self._path = Path(path)
        self._server = server
        self._connect = connect
        self._bound = False
        #: The call hangs for good: neither the device nor EAL may be touched any more.
        self.stuck = False

    def wait(self, timeout: float, stopped: Callable[[], bool], tell: Callable[[str], None]) -> bool:
        """Connect within `timeout` seconds; False: `stopped()` was true before. Raises `VhostError`."""
        deadline = time.monotonic() + timeout
        if self._server:
            self._make_way()
            tell(f"guest listens on {self._path}")
            return self._serve(deadline, stopped, timeout)
        return self._call(deadline, stopped, timeout)

    def remove_socket(self) -> None:
        """As a server: remove the socket file, which DPDK leaves behind when no backend ever came."""
        if self._bound:
            self._path.unlink(missing_ok=True)
            self._bound = False

    # ---- client ----

    def _call(self, deadline: float, stopped: Callable[[], bool], timeout: float) -> bool:
        failure: DeferError = VhostError(
            f"no backend listens on {self._path}: the socket did not come within {timeout:g} s",
            ETIMEDOUT,
            'start the backend first (a vhost port with mode = "server"), or raise --connect-timeout',
        )
        while not stopped():
            if self._path.exists() and not _is_socket(self._path):
                raise VhostError(f"{self._path} is no socket", ENOTSOCK, "give the path of a vhost-user socket")
            if self._path.exists() and not os.access(self._path, os.W_OK):
                raise VhostError(
                    f"this user may not connect to {self._path}",
                    EACCES,
                    "give this user write permission on the socket",
                )
            if _is_bound(self._path):
                attempt = _Attempt(self._connect)
                attempt.watch(deadline, stopped)
                if attempt.running():
                    self.stuck = True
                    if stopped():
                        return False
                    raise VhostError(
                        f"{self._path} took the connection, but did not answer within {timeout:g} s",
                        ETIMEDOUT,
                        "what listens there is stopped, busy with another guest, or no vhost-user backend",
                    )
                if attempt.error is None:
                    return True
                failure = _passing(attempt.error)
            if time.monotonic() >= deadline:
                raise failure
            time.sleep(_RETRY_SECONDS)
        return False

    # ---- server ----

    def _serve(self, deadline: float, stopped: Callable[[], bool], timeout: float) -> bool:
        while not stopped():
            self._bound = True
            attempt = _Attempt(self._connect)
            attempt.watch(deadline, stopped)
            if attempt.running():
                self._end_accept(attempt)
            elif attempt.error is None:
                return True
            elif not stopped():
                _passing(attempt.error)  # somebody came and hung up: wait for the next
            self.remove_socket()
            if time.monotonic() >= deadline:
                raise VhostError(
                    f"no backend connected to {self._path} within {timeout:g} s",
                    ETIMEDOUT,
                    'start the backend (a vhost port with mode = "client"), or raise --connect-timeout',
                )
        return False

    def _make_way(self) -> None:
        """Remove the socket file of a process that is gone: it would be in the way of a new one."""
        folder = self._path.absolute().parent
        if not folder.is_dir():
            raise VhostError(f"the folder {folder} does not exist", ENOENT, "make it or choose another path")
        if not self._path.exists():
            return
        if not _is_socket(self._path):
            raise VhostError(f"{self._path} is in the way, and no socket", EADDRINUSE, "choose another path")
        if _is_bound(self._path):
            raise VhostError(
                f"another process listens on {self._path}", EADDRINUSE, "end that process or choose another path"
            )
        self._path.unlink(missing_ok=True)

    def _end_accept(self, attempt: "_Attempt") -> None:
        """A connection that hangs up at once ends DPDK's wait; a thread in accept() hears nothing else."""
        with sockets.socket(sockets.AF_UNIX) as caller, suppress(OSError):
            caller.connect(str(self._path))
        attempt.watch(time.monotonic() + _GIVE_UP_SECONDS, _never)
        self.stuck = attempt.running()


class _Attempt:
    """One call in a thread that does not keep the process alive."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.error: Exception | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run, name="guest-connect", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call()
        except Exception as error:  # handed to whoever waits
            self.error = error

    def running(self) -> bool:
        return self._thread.is_alive()

    def watch(self, deadline: float, stopped: Callable[[], bool]) -> None:
        """Return when the call has, at the deadline, or when told to."""
        while self.running() and time.monotonic() < deadline and not stopped():
            self._thread.join(_TICK_SECONDS)


def _passing(error: Exception) -> DeferError:
    """An error that the next attempt may not meet; others are raised."""
    if not isinstance(error, DeferError) or error.errno not in _PASSING:
        raise error
    return error


def _never() -> bool:
    return False


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _is_bound(path: Path) -> bool:
    """Whether a process has the socket open, told without disturbing it.

    A datagram socket cannot connect to a stream socket: it hears that (EPROTOTYPE) only when somebody has it.
    """
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM) as probe:
        return probe.connect_ex(str(path)) not in (ECONNREFUSED, ENOENT)
