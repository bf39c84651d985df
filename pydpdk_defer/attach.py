# SPDX-License-Identifier: BSD-3-Clause
"""Look into a datapath that runs in another process, by DPDK's telemetry socket.

    with attach() as datapath:
        before = datapath.snapshot()
        time.sleep(1)
        print(datapath.snapshot() - before)

DPDK's telemetry is a SOCK_SEQPACKET socket in a process's runtime folder; a message asks "/command,parameter" and the
answer is one JSON object (DPDK Programmer's Guide, "Telemetry Library").
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from errno import EACCES, EEXIST, ENOENT, EPROTO, ETIMEDOUT
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from pydpdk_defer.errors import DeferError
from pydpdk_defer.host import runtime_dir
from pydpdk_defer.stats import Dma, Eal, Mempool, Pmd, PortCounters, Rxq, Snapshot, Times, Txq

__all__ = ["Attached", "Running", "attach", "find"]

_SOCKET = "dpdk_telemetry.v2"
_BASELINE = "pydpdk_defer.baseline.json"
_TIMEOUT_SECONDS = 5.0
_PREFIX = "/pydpdk_defer/"
_LISTS = ("datapath", "pmd", "deferral", "ports", "rxqs", "txqs", "dma", "mempools")

Records = list[dict[str, Any]]
_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Running:
    """A datapath that runs: `file_prefix` tells it from others."""

    file_prefix: str
    pid: int
    folder: Path


class Attached:
    """A running datapath of another process; `attach` makes it. A context manager.

    Each answer is about a millisecond old and whole in itself. Raises `DeferError` when the datapath is gone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._timed_out = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_TIMEOUT_SECONDS)
        try:
            self._socket.connect(str(folder / _SOCKET))
            greeting = json.loads(self._socket.recv(4096))
        except (OSError, ValueError) as error:
            self._socket.close()
            raise _cannot_ask(folder, error) from error
        self.pid = int(greeting["pid"])
        self._answer_bytes = int(greeting["max_output_len"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def ask(self, command: str) -> Any:
        """The answer to a telemetry command, as "/ethdev/list"; `None` for an unknown command."""
        if self._timed_out:
            raise self._no_answer()
        try:
            self._socket.send(command.encode())
            answer = self._socket.recv(self._answer_bytes)
        except TimeoutError as error:
            self._timed_out = True
            self.close()  # the next question would get the late answer to this one
            raise self._no_answer() from error
        except OSError as error:
            raise self._gone(error) from error
        if not answer:
            raise self._gone(None)
        return json.loads(answer).get(command.partition(",")[0])

    def records(self, name: str) -> Records:
        """All records of `/pydpdk_defer/NAME`, however many answers they take."""
        found: Records = []
        while answer := self.ask(f"{_PREFIX}{name},{len(found)}" if found else f"{_PREFIX}{name}"):
            found += answer.values()
        return found

    def look(self) -> dict[str, Records]:
        """The records of all lists, which `snapshot` is made from."""
        found = {name: self.records(name) for name in _LISTS}
        if not found["datapath"]:
            raise self._gone(None)
        return found

    def snapshot(self) -> Snapshot:
        """All counters. `in_flight_time` and `vhost_counters` are empty: see `in_flight_times`."""
        return snapshot_of(self.look())

    def in_flight_times(self) -> dict[tuple[str, int], dict[str, int]]:
        """For each (port, txq) `count`, and `mean_ns`, `p50_ns`, `p99_ns`, `p999_ns`, `max_ns` since the start."""
        return {(r.pop("port"), r.pop("qid")): r for r in self.records("in_flight_time")}

    def set_baseline(self) -> None:
        """Have `since_baseline` of all who look count from now. The datapath's own counters go on."""
        target = self.folder / _BASELINE
        draft = target.with_suffix(f".{os.getpid()}")
        try:
            draft.write_text(json.dumps(self.look()))
            draft.replace(target)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            if isinstance(error, DeferError):
                raise
            raise DeferError(
                f"cannot write {target}: {error.strerror}",
                error.errno or 0,
                "be the user whose datapath it is, or root",
            ) from error

    def baseline(self) -> Snapshot | None:
        """What was counted when `set_baseline` was last called; `None`: never."""
        try:
            text = (self.folder / _BASELINE).read_text()
        except FileNotFoundError:
            return None
        return snapshot_of(json.loads(text))

    def since_baseline(self) -> Snapshot:
        """What was counted since then, or since the start."""
        now, before = self.snapshot(), self.baseline()
        return now if before is None else now - before

    def _no_answer(self) -> DeferError:
        return DeferError(
            f"the datapath of process {self.pid} did not answer within {_TIMEOUT_SECONDS:g} s",
            ETIMEDOUT,
            "its process may be stopped, or have no CPU; attach again",
        )

    def _gone(self, error: OSError | None) -> DeferError:
        reason = f": {error.strerror or error}" if error else ""
        return DeferError(f"the datapath of process {self.pid} has ended{reason}", ENOENT, "")


def snapshot_of(lists: Mapping[str, Records]) -> Snapshot:
    """A snapshot from the records of telemetry."""
    [general] = lists["datapath"]
    return Snapshot(
        seconds=general["uptime_us"] / 1e6,
        tsc_hz=general["tsc_hz"],
        pmds=tuple(_pmd(record) for record in lists["pmd"]),
        ports={record["port"]: _port(record, lists) for record in lists["ports"]},
        mempools={r["mempool"]: Mempool(r["size"], r["available"]) for r in lists["mempools"]},
        dma={record["dma"]: _dma(record) for record in lists["dma"]},
        eal=Eal(general["dpdk_compiled"], general["dpdk_loaded"], bool(general["hugepages"])),
    )


def _made(record: type[_Record], values: Mapping[str, Any]) -> _Record:
    """The record, from the fields that this release knows. `DeferError` when one is missing: the datapath is older."""
    known = {f.name: f for f in fields(record)}  # type: ignore[arg-type]
    missing = [name for name, f in known.items() if name not in values and f.default is f.default_factory is MISSING]
    if missing:
        raise DeferError(
            f"the datapath, or the baseline, is from another release of pydpdk_defer: its {record.__name__.lower()} "
            f"records have no {missing[0]!r}",
            EPROTO,
            "use the release that the datapath was started with; pmd-stats-clear writes a new baseline",
        )
    return record(**{name: value for name, value in values.items() if name in known})


def _pmd(record: Mapping[str, Any]) -> Pmd:
    times = {
        "longest_stall_us": float(record.get("longest_stall_us", 0)),
        "recent_busy_cycles": tuple(record.get("recent_busy_cycles", ())),
    }
    return _made(Pmd, {**record, **times})


def _port(record: Mapping[str, Any], lists: Mapping[str, Records]) -> PortCounters:
    name = record["port"]
    rxqs = (queue for queue in lists["rxqs"] if queue["port"] == name)
    txqs = (queue for queue in lists["txqs"] if queue["port"] == name)
    return PortCounters(
        kind=record["kind"],
        copy=record.get("copy"),
        guest_connects=record.get("guest_connects", 0),
        guest_disconnects=record.get("guest_disconnects", 0),
        guest_failures=record.get("guest_failures", 0),
        rxqs=tuple(_made(Rxq, {**queue, "recent_cycles": tuple(queue.get("recent_cycles", ()))}) for queue in rxqs),
        txqs=tuple(_made(Txq, {**queue, "in_flight_time": Times({})}) for queue in txqs),
    )


def _dma(record: Mapping[str, Any]) -> Dma:
    flags = {name: bool(record[name]) for name in ("is_hardware", "out_of_use", "modelled") if name in record}
    return _made(Dma, {**record, **flags})


def find() -> list[Running]:
    """All datapaths of this package that run on the host and that this user may look into, by prefix."""
    return sorted(_running(), key=lambda running: running.file_prefix)


def _running() -> Iterator[Running]:
    for folder in _folders():
        with suppress(DeferError), Attached(folder) as attached:
            if attached.records("datapath"):
                yield Running(folder.name, attached.pid, folder)


def _folders() -> Iterator[Path]:
    for root in runtime_dir.roots():
        with suppress(OSError):
            yield from (path.parent for path in sorted(root.glob(f"*/{_SOCKET}")))


def attach(file_prefix: str | None = None) -> Attached:
    """Look into the datapath that runs, or into the one with this prefix where several do.

    Raises `DeferError`: none runs (ENOENT), several do (EEXIST, they are listed), or this user may not look (EACCES).
    """
    if file_prefix is not None:
        for folder in _folders():
            if folder.name == file_prefix:
                return Attached(folder)
    found = find()
    if file_prefix is None and len(found) == 1:
        return Attached(found[0].folder)
    listed = ", ".join(f"{running.file_prefix} (process {running.pid})" for running in found)
    if file_prefix is not None:
        text = f"no datapath with the file prefix {file_prefix!r} is running"
        raise DeferError(text, ENOENT, f"running: {listed}" if found else _START_ONE)
    if found:
        raise DeferError(
            f"{len(found)} datapaths are running: {listed}", EEXIST, f"choose: --file-prefix {found[0].file_prefix}"
        )
    closed = [folder for folder in _folders() if not os.access(folder / _SOCKET, os.W_OK)]
    if closed:
        raise _cannot_ask(closed[0], PermissionError(EACCES, os.strerror(EACCES)))
    raise DeferError("no datapath is running", ENOENT, _START_ONE)


_START_ONE = "start one: pydpdk-defer run TOPOLOGY.toml"


def _cannot_ask(folder: Path, error: Exception) -> DeferError:
    number = cast(int, getattr(error, "errno", 0) or 0)
    reason = getattr(error, "strerror", None) or str(error)
    hint = "be the user whose datapath it is, or root" if number == EACCES else "see whether its process is still there"
    return DeferError(f"cannot ask {folder / _SOCKET}: {reason}", number, hint)
