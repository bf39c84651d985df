# SPDX-License-Identifier: BSD-3-Clause
"""Real processes for the tests: a datapath (`pydpdk-defer run`), its guest, and dpdk-testpmd, each ended by its pid."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, Signals
from types import TracebackType
from typing import Any, Self

import pytest

from pydpdk_defer.attach import attach, find
from pydpdk_defer.host import runtime_dir
from pydpdk_defer.stats import Snapshot
from pydpdk_defer.topology import Topology

HUGEPAGES = os.environ.get("PYDPDK_DEFER_TEST_HUGEPAGES") == "1"
PMD_CORE = 1
SHARED_CORE = 0  # of guest and copying thread
LIMIT_SECONDS = 45.0  # nothing here takes this long; a hang is ended by it, before pytest's own limit


# Both engines in `ci/test.sh --full`; DMA, which has more ways to go wrong, alone in the short form.
EITHER_COPY = pytest.mark.parametrize("copy", ["dma", pytest.param("cpu", marks=pytest.mark.full)])


class WaitedInVainError(AssertionError):
    """What was waited for did not happen."""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = LIMIT_SECONDS) -> None:
    """Wait for an event, generously."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise WaitedInVainError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.02)


def runtime_folders_of_the_dead() -> set[Path]:
    """Runtime folders of this project's DPDK processes that have ended."""
    folders = [path for root in runtime_dir.roots() for path in root.glob("pydpdk_*_*")]
    return {path for path in folders if not Path("/proc", path.name.rpartition("_")[2]).exists()}


class Process:
    """A process with its output in files; killed at the end of the `with` if it still runs."""

    def __init__(
        self, folder: Path, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self.stdout_path = folder / f"{name}.out"
        self.stderr_path = folder / f"{name}.err"
        with self.stdout_path.open("wb") as out, self.stderr_path.open("wb") as err:
            self.popen = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
                # Scripts import their neighbours, which PYTHONSAFEPATH keeps off the path.
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **(environment or {})},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        if self.popen.stdin:
            self.popen.stdin.close()

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    def wait_for_text(self, text: str, seconds: float = LIMIT_SECONDS, never: str | None = None) -> None:
        """Wait until the process has printed something; `never` is what ends the wait at once as a failure."""

        def all_printed() -> str:
            return f"from {self.command}\n{self.stdout}\n{self.stderr}"

        def printed() -> bool:
            output = self.stdout + self.stderr
            assert never is None or never not in output, f"printed {never!r} {all_printed()}"
            if text in output:
                return True
            assert self.popen.poll() is None, f"ended with {self.popen.returncode}, without {text!r} {all_printed()}"
            return False

        try:
            wait_until(printed, repr(text), seconds)
        except WaitedInVainError as error:
            raise AssertionError(f"{error} {all_printed()}") from None

    def file_prefix(self) -> str | None:
        """Of the datapath that it is, once that can be attached to."""
        return next((found.file_prefix for found in find() if found.pid == self.popen.pid), None)

    def wait_for_counters(self, condition: Callable[[Snapshot], bool], what: str) -> Snapshot:
        """Attach to the datapath that it is, wait until its counters are so, and return them."""
        prefixes: list[str] = []

        def can_be_attached_to() -> bool:
            prefixes.extend(filter(None, [self.file_prefix()]))
            return bool(prefixes)

        wait_until(can_be_attached_to, f"{self.command} can be attached to")
        with attach(prefixes[0]) as datapath:
            counters = datapath.snapshot()

            def are_so() -> bool:
                nonlocal counters
                counters = datapath.snapshot()
                return condition(counters)

            wait_until(are_so, what)
        return counters

    def wait_for_packets(self, port: str, count: int = 1000) -> None:
        """Wait until `count` more packets went out by a port."""
        before: list[int] = []

        def have_passed(counters: Snapshot) -> bool:
            sent = sum(txq.completed for txq in counters.ports[port].txqs)
            before.append(sent)
            return sent >= before[0] + count

        self.wait_for_counters(have_passed, f"{count} packets by {port}")

    def tell(self, line: str = "") -> None:
        """Give it a line on stdin."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def signal(self, number: Signals) -> None:
        self.popen.send_signal(number)

    def finish(self, number: Signals | None = None, seconds: float = LIMIT_SECONDS) -> int:
        """Send a signal if one is given, and wait for the end."""
        if number is not None:
            self.signal(number)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end: {self.command}\n{self.stdout}\n{self.stderr}") from None


class Run(Process):
    """`pydpdk-defer run` on a topology, with its JSON at the end."""

    def __init__(
        self,
        folder: Path,
        topology: Mapping[str, Any],
        *arguments: str,
        name: str = "run",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.topology = Topology.from_dict(topology)
        path = folder / f"{name}.toml"
        path.write_text(self.topology.to_toml())
        self.json_path = folder / f"{name}.json"
        super().__init__(folder, name, self._command(path, *arguments), environment)

    def _command(self, path: Path, *arguments: str) -> list[str]:
        command = [sys.executable, "-m", "pydpdk_defer", "run", str(path)]
        return [*command, "--json", str(self.json_path), *arguments]

    def wait_until_listening(self, socket: Path) -> None:
        """Wait until the vhost port has made its socket."""
        wait_until(lambda: socket.exists() or self.popen.poll() is not None, f"{socket} is made")
        assert self.popen.poll() is None, self.stderr

    def result(self, status: int = 0, seconds: float = LIMIT_SECONDS) -> dict[str, Any]:
        """Wait for the end; the final figures, whose books must balance."""
        found = self.finish(seconds=seconds)
        assert found == status, f"exit status {found}\n{self.stdout}\n{self.stderr}"
        figures: dict[str, Any] = json.loads(self.json_path.read_text())
        assert_books_balance(figures)
        assert figures["eal"]["hugepages"] == HUGEPAGES
        return figures


class HeldRun(Run):
    """A datapath whose generators begin when it is given a line, to make `packets` frames each."""

    def __init__(self, folder: Path, topology: Mapping[str, Any], packets: int) -> None:
        super().__init__(folder, topology, str(packets))

    def _command(self, path: Path, *arguments: str) -> list[str]:
        script = Path(__file__).with_name("held_datapath.py")
        return [sys.executable, str(script), str(path), str(self.json_path), *arguments]


class Guest(Process):
    """`pydpdk-defer guest`, with its JSON at the end."""

    def __init__(self, folder: Path, socket: Path, *arguments: str, role: str = "verify", name: str = "guest") -> None:
        self.socket = socket
        self.json_path = folder / f"{name}.json"
        self.json_path.unlink(missing_ok=True)
        super().__init__(
            folder,
            name,
            [
                *(
                    "taskset",
                    "-c",
                    str(SHARED_CORE),
                    sys.executable,
                    "-m",
                    "pydpdk_defer",
                    "guest",
                    str(socket),
                ),
                *("--role", role, "--json", str(self.json_path), "--connect-timeout", "40"),
                *("--hugepages", "yes" if HUGEPAGES else "no", *arguments),
            ],
        )

    def wait_ready(self) -> None:
        self.wait_for_text(f"guest ready on {self.socket}")

    def report(self) -> dict[str, Any]:
        """End it as Ctrl-C would; its report. Status 1 says that verify found something."""
        found = self.finish(SIGINT)
        assert found in (0, 1), f"exit status {found}\n{self.stdout}\n{self.stderr}"
        report: dict[str, Any] = json.loads(self.json_path.read_text())
        return report

    def result(self, status: int = 0) -> dict[str, Any]:
        """The report, and the exit status is this."""
        report = self.report()
        assert self.popen.returncode == status, f"{self.stdout}\n{self.stderr}"
        return report


class Testpmd(Process):
    """`dpdk-testpmd` on a virtio-user device, counting what it receives."""

    __test__ = False

    def __init__(self, folder: Path, socket: Path) -> None:
        self._prefix = f"testpmd_{os.getpid()}"
        memory = ["--in-memory", "--single-file-segments"] if HUGEPAGES else ["--no-huge", "--no-shconf"]
        super().__init__(
            folder,
            "testpmd",
            [
                *(
                    "stdbuf",
                    "-oL",
                    "dpdk-testpmd",
                    "--lcores",
                    f"0@{SHARED_CORE},1@{SHARED_CORE}",
                    *memory,
                    "-m",
                    "256",
                ),
                *("--no-pci", "--no-telemetry", "--file-prefix", self._prefix),
                *("--vdev", f"net_virtio_user0,path={socket},queue_size=1024", "--", "-i"),
                *("--forward-mode=rxonly", "--auto-start", "--no-flush-rx", "--total-num-mbufs=16384"),
                "--no-mlockall",
            ],
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        shutil.rmtree(runtime_dir.of_prefix(self._prefix), ignore_errors=True)  # which testpmd leaves

    def received(self, count: int) -> int:
        """Wait for this many packets, stop forwarding, quit, and return how many came in all."""

        def have_come() -> bool:
            self.tell("show port stats 0")
            time.sleep(0.2)  # between two questions
            return self._shown() >= count

        with suppress(WaitedInVainError):  # the caller compares
            wait_until(have_come, f"{count} packets")
        self.tell("stop")
        self.tell("quit")
        self.finish()
        return self._shown()

    def _shown(self) -> int:
        totals = [line for line in self.stdout.splitlines() if "RX-packets:" in line]
        return int(totals[-1].split("RX-packets:")[1].split()[0]) if totals else 0


def have_testpmd() -> bool:
    return shutil.which("dpdk-testpmd") is not None


def topology(socket: Path, **changes: Any) -> dict[str, Any]:
    """Generator to guest by DMA; a change replaces a table, or one key as `table__key` or `table__name__key`."""
    tables: dict[str, Any] = {
        "eal": {"memory_mb": 256, "hugepages": HUGEPAGES},
        "dma": {"copier": {"device": f"dma_skeleton0,lcore={SHARED_CORE}", "ring_size": 4096}},
        "port": {
            "src": {"kind": "generator", "frame_size": 1500, "rate_pps": 100_000},
            "vm0": {"kind": "vhost", "socket": str(socket), "dma": ["copier"]},
        },
        "pmd": [{"core": PMD_CORE, "rxqs": ["src:0", "vm0:0"]}],
        # The copying thread shares a CPU with the guest, and may be off it for long.
        "deferral": {"attempt_limit": 2**31, "max_stall_us": 10**6},
        "forward": {"wires": [["src", "vm0"]]},
    }
    for key, value in changes.items():
        table, _, rest = key.partition("__")
        if rest:
            first, _, second = rest.partition("__")
            if second:
                tables[table][first] = {**tables[table][first], second: value}
            else:
                tables[table][first] = value
        else:
            tables[table] = value
    return tables


def assert_books_balance(figures: Mapping[str, Any]) -> None:
    """The invariants that hold after every run, whatever happened in it."""
    assert figures["faults"] == []
    for name, port in figures["ports"].items():
        for qid, txq in enumerate(port["txqs"]):
            where = f"{name}:{qid} {txq}"
            assert txq["submitted"] == txq["completed"] + txq["in_flight"] + txq["given_up"], where
            assert txq["in_flight"] == 0, where
            assert txq["quarantined"] == 0, where
    for pool in figures["mempools"].values():
        assert pool["available"] == pool["size"] > 0
        assert pool["repeated"] == 0


def txq_sum(figures: Mapping[str, Any], port: str, field: str) -> int:
    """A counter over all txqs of a port."""
    return sum(txq[field] for txq in figures["ports"][port]["txqs"])


def reached(figures: Mapping[str, Any], port: str) -> int:
    """Packets that a port's guest received; none was given up for good."""
    assert txq_sum(figures, port, "given_up") == 0
    return txq_sum(figures, port, "completed")


def dropped(figures: Mapping[str, Any], port: str) -> int:
    """Packets that a port dropped, for whatever reason."""
    return sum(sum(txq["drops"].values()) for txq in figures["ports"][port]["txqs"])


def assert_intact(report: Mapping[str, Any]) -> None:
    """What a verifying guest received it received once, whole and in order, and it was something."""
    assert report["received"] > 0
    assert [report[trouble] for trouble in ("corrupt", "reordered", "duplicates", "foreign")] == [0, 0, 0, 0], report
