# SPDX-License-Identifier: BSD-3-Clause
"""What processes left that are no more, and what is in the way of a topology's sockets."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydpdk_defer._topology_host import socket_faults
from pydpdk_defer.host.checks.check import Check, Host

__all__ = ["leftover_checks"]

_WHY_FOLDER = "a DPDK process that was killed leaves its runtime folder"
_WHY_SOCKET = "a guest finds the port by its socket"


def leftover_checks(host: Host) -> Iterator[Check]:
    """Runtime folders without a process; sockets of the topology."""
    listening = {line.split()[-1] for line in host.text("proc/net/unix").splitlines() if "/" in line}
    stale = [
        folder
        for folder in sorted((host.root / str(host.runtime_folder).lstrip("/")).glob("*"))
        if folder.is_dir() and not _is_alive(folder, host.root, listening)
    ]
    if stale:
        paths = [f"/{folder.relative_to(host.root)}" for folder in stale]
        command = (f"sudo rm -r {' '.join(paths)}",)
        yield Check("runtime folders", "WARN", f"{len(stale)} without a process", _WHY_FOLDER, command)
    else:
        yield Check("runtime folders", "OK", "none without a process", _WHY_FOLDER)
    faults = list(socket_faults(host.topology.port)) if host.topology and host.is_here else []
    for fault in faults:
        where, _, problem = fault.partition(": ")
        yield Check(where, "FAIL", problem, _WHY_SOCKET)
    for name, port in host.sockets():
        if not any(fault.startswith(f"port.{name}.") for fault in faults):
            yield _socket(host, name, port.socket, port.mode, listening)


def _is_alive(folder: Path, root: Path, listening: set[str]) -> bool:
    """Whether a process still uses a runtime folder. In doubt the answer is yes: the advice is to delete the folder.

    A primary process holds a lock on `config` while it runs (rte_eal_primary_proc_alive of DPDK tests the same lock).
    With --in-memory there is no such file, and only the sockets show the process.
    """
    try:
        sockets = [path for path in folder.iterdir() if stat.S_ISSOCK(path.lstat().st_mode)]
    except OSError:
        return True  # removed by its process at this moment, or not readable for this user
    names = {f"/{path.relative_to(root)}" for path in sockets}
    # /var/run is /run.
    if names & listening or {name.removeprefix("/var") for name in names} & listening:
        return True
    return _is_locked(folder / "config")


def _is_locked(path: Path) -> bool:
    """Whether another process holds a lock on the file. A file that cannot be opened counts as locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        os.lockf(descriptor, os.F_TEST, 0)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _socket(host: Host, name: str, path: str, mode: str, listening: set[str]) -> Check:
    where = f"port.{name}.socket"
    is_served = path in listening
    if mode == "client":
        found = "a guest listens there" if is_served else "no guest listens there yet"
        return Check(where, "OK", f"{path}: {found}", _WHY_SOCKET)
    if is_served:
        return Check(where, "FAIL", f"{path}: another process serves it", _WHY_SOCKET, (f"ss -xlp src {path}",))
    return Check(where, "OK", path, _WHY_SOCKET)
