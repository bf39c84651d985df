# SPDX-License-Identifier: BSD-3-Clause
"""Bad input at the command line: one clear error that names the thing, the value and the way out, and nothing left."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import HUGEPAGES, Process, topology

from pydpdk_defer.topology import Topology


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pydpdk_defer", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def assert_refused(result: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    assert result.returncode == status, result
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "error:" in result.stderr
    for word in words:
        assert word in result.stderr, f"{word!r} is not in: {result.stderr}"


def run_text(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = folder / "bad.toml"
    path.write_text(text)
    return run_cli("run", str(path), "--duration", "1", *arguments)


def run_tables(folder: Path, tables: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_text(folder, Topology.from_dict(tables).to_toml(), *arguments)


SLEEPER = """
import sys
import pydpdk_defer as pd
from pydpdk_defer import _native
port = {"vm0": {"kind": "vhost", "socket": sys.argv[1]}}
tables = {"eal": {"memory_mb": 256, "hugepages": False, "file_prefix": sys.argv[2]}, "port": port}
tables.update(pmd=[{"core": 1, "rxqs": ["vm0:0"]}], forward={"wires": [["vm0", "vm0"]]})
with pd.Datapath(pd.Topology.from_dict(tables)):
    print("up", _native.eal_runtime_dir(), flush=True)
    sys.stdin.readline()
"""

GOOD = """
[eal]
memory_mb = 256
[dma.copier]
device = "dma_skeleton0,lcore=0"
ring_size = 1024
[port.src]
kind = "generator"
frame_size = 64
[port.vm0]
kind = "vhost"
socket = "vm0.sock"
dma = ["copier"]
[[pmd]]
core = 1
rxqs = ["src:0"]
[forward]
wires = [["src", "vm0"]]
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("memory_mb", "memory_md", ["eal.memory_md", "memory_mb"]),
        ("[[pmd]]", "[[pdm]]", ["pdm", "pmd"]),
        ('["src", "vm0"]', '["src", "vm1"]', ["forward.wires", "vm1", "vm0"]),
        ('rxqs = ["src:0"]', 'rxqs = ["src:0"]\n[[pmd]]\ncore = 1\nrxqs = ["vm0:0"]', ["pmd", "core", "1"]),
        ("core = 1", "core = 4096", ["pmd[0].core", "4096"]),
        ("ring_size = 1024", "ring_size = 1000", ["dma.copier.ring_size", "1000", "power of two"]),
        ("frame_size = 64", "frame_size = 0", ["port.src.frame_size", "0", "60"]),
        ("frame_size = 64", "frame_size = 20000", ["port.src.frame_size", "20000", "16128"]),
        ("vm0.sock", "s" * 108, ["port.vm0.socket", "107"]),
        ("vm0.sock", "/proc/pydpdk/vm0.sock", ["port.vm0.socket", "/proc/pydpdk"]),
        ('dma = ["copier"]', 'dma = ["copyer"]', ["port.vm0.dma", "copyer", "copier"]),
        ("[forward]", "[forward", ["line"]),
        ("lcore=0", "lcor=0", ["dma.copier.device", "lcor", "lcore"]),
        ("lcore=0", "lcore=4096", ["dma.copier.device", "4096"]),
        ("memory_mb = 256", 'extra_args = ["--help"]', ["eal.extra_args[0]", "--help"]),
        ("memory_mb = 256", 'extra_args = ["--proc-type=secondary"]', ["eal.extra_args[0]", "primary"]),
    ],
)
def test_a_bad_topology_is_status_2(folder: Path, old: str, new: str, words: list[str]) -> None:
    assert old in GOOD
    assert_refused(run_text(folder, GOOD.replace(old, new)), 2, *words)


def test_a_topology_that_is_not_there(folder: Path) -> None:
    assert_refused(run_cli("run", str(folder / "none.toml")), 2, str(folder / "none.toml"))


@pytest.mark.rights
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_socket_folder_that_cannot_be_written(folder: Path) -> None:
    locked = folder / "locked"
    locked.mkdir(mode=0o500)
    assert_refused(run_tables(folder, topology(locked / "vm0.sock")), 2, "port.vm0.socket", str(locked))


def test_a_dma_device_that_is_not_there(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", dma={"copier": {"device": "dma_none0"}})
    assert_refused(run_tables(folder, tables), 1, "dma.copier.device", "dma_none0", "dma_skeleton0")
    assert not (folder / "vm0.sock").exists()


def test_a_dma_ring_larger_than_the_device_takes(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", dma__copier__ring_size=16384)
    assert_refused(run_tables(folder, tables), 1, "dma.copier.ring_size", "16384", "8192")


def test_an_ethdev_that_is_not_there(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", port__src={"kind": "ethdev", "device": "net_none0"})
    assert_refused(run_tables(folder, tables), 1, "port.src.device", "net_none0")


@pytest.mark.skipif(os.geteuid() != 0, reason="net_tap needs the right to make an interface")
def test_an_mtu_that_the_device_does_not_take(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", port__src={"kind": "ethdev", "device": "net_tap0", "mtu": 9000})
    result = run_tables(folder, tables)
    assert_refused(result, 1, "error: port.src.mtu: 9000 is more than 'net_tap0' takes", "hint: choose 1504 at most")
    assert "Invalid argument" not in result.stderr


def test_a_pcap_that_is_not_there(folder: Path) -> None:
    device = f"net_pcap0,rx_pcap={folder / 'none.pcap'}"
    tables = topology(folder / "vm0.sock", port__src={"kind": "ethdev", "device": device})
    assert_refused(run_tables(folder, tables), 1, "port.src.device", "none.pcap")


@pytest.mark.skipif(HUGEPAGES, reason="memory in hugepages grows while free ones are there")
def test_too_little_memory(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", eal__memory_mb=64, port__src__frame_size=16128)
    assert_refused(run_tables(folder, tables), 1, "eal.memory_mb = 64", "raise eal.memory_mb to")


@pytest.mark.skipif(HUGEPAGES, reason="this pass has hugepages")
def test_hugepages_that_are_not_there(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", eal={"memory_mb": 256, "hugepages": True})
    assert_refused(run_tables(folder, tables), 1, "eal.hugepages = true", "eal.memory_mb = 256", "nr_hugepages")


@pytest.mark.skipif(HUGEPAGES, reason="this pass has hugepages")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--memory-mb", "9999999"], ["error: --memory-mb 9999999: ", "available", "hint: lower --memory-mb"]),
        (["--hugepages", "yes"], ["error: --hugepages yes, --memory-mb 256: ", "nr_hugepages", "--hugepages no"]),
    ],
)
def test_memory_that_a_guest_cannot_have(folder: Path, arguments: list[str], words: list[str]) -> None:
    result = run_cli("guest", str(folder / "vm0.sock"), *arguments)
    assert_refused(result, 1, *words)
    for strange in ("EAL:", "eal.", "XDG_RUNTIME_DIR"):
        assert strange not in result.stderr


def test_a_guest_that_never_comes(folder: Path) -> None:
    socket = folder / "vm0.sock"
    result = run_tables(folder, topology(socket), "--wait-guest", "1")
    assert_refused(result, 1, "vm0", str(socket), "within 1 s", "pydpdk-defer guest")
    assert not socket.exists()


def test_eal_options_that_dpdk_refuses(folder: Path) -> None:
    tables = topology(folder / "vm0.sock", eal__extra_args=["--no-such-option"])
    result = run_tables(folder, tables)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "no-such-option" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "x.toml", "--duration", "-1"],
        ["run", "x.toml", "--packets", "0"],
        ["run", "x.toml", "--duration", "soon"],
        ["guest", "x.sock", "--role", "king"],
    ],
)
def test_wrong_use_is_status_2(arguments: list[str]) -> None:
    result = run_cli(*arguments)
    assert result.returncode == 2
    assert "usage:" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["guest", "--help"], ["devices", "--help"]])
def test_help_is_there(arguments: list[str]) -> None:
    result = run_cli(*arguments)
    assert result.returncode == 0
    assert "usage:" in result.stdout


@pytest.mark.rights
def test_a_prefix_that_another_process_uses_is_left_alone(folder: Path) -> None:
    prefix = f"shared_{os.getpid()}"
    with Process(folder, "sleeper", [sys.executable, "-c", SLEEPER, str(folder / "one.sock"), prefix]) as sleeper:
        sleeper.wait_for_text("up")
        runtime = Path(sleeper.stdout.split()[1])
        tables = topology(folder / "vm0.sock", eal__file_prefix=prefix)
        assert_refused(run_tables(folder, tables), 1, "eal.file_prefix", prefix, str(runtime))
        assert runtime.is_dir()
        sleeper.tell()
        assert sleeper.finish() == 0


@pytest.mark.parametrize("target", ["none/x.json", "", "/proc/x.json", "bad.toml/x.json", "x" * 300])
def test_a_report_that_cannot_be_written_is_refused_before_the_run(folder: Path, target: str) -> None:
    result = run_tables(folder, topology(folder / "vm0.sock"), "--json", str(folder / target))
    assert_refused(result, 2, f"--json: cannot write '{folder / target}'", "give a file, or -")


@pytest.mark.rights
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_report_that_this_user_may_not_write_is_refused_before_the_run(folder: Path) -> None:
    locked = folder / "locked"
    locked.mkdir()
    old = locked / "old.json"
    old.write_text("{}")
    old.chmod(0o400)
    locked.chmod(0o500)
    targets = (old, locked / "new.json", locked / "new" / "x.json")
    results = [run_cli("run", str(folder / "none.toml"), "--json", str(target)) for target in targets]
    locked.chmod(0o700)  # so that it can be removed
    for target, result in zip(targets, results, strict=True):
        assert_refused(result, 2, f"--json: cannot write '{target}'")


def test_no_verb_measures_for_a_report_that_it_cannot_write(folder: Path) -> None:
    for verb in (["run", "x.toml"], ["guest", str(folder / "x.sock")], ["devices"]):
        assert_refused(run_cli(*verb, "--json", str(folder)), 2, f"--json: cannot write '{folder}': Is a directory")


@pytest.mark.rights
def test_a_folder_that_only_looks_writable(folder: Path) -> None:
    result = run_tables(folder, topology(Path("/proc/vm0.sock")))
    if os.geteuid() == 0:
        assert_refused(result, 1, "error: port.vm0.socket: no socket can be made at '/proc/vm0.sock'", "hint: choose")
    else:
        assert_refused(result, 2, "port.vm0.socket", "cannot write the folder /proc")
    assert "VHOST_CONFIG" not in result.stderr


OUT_OF_DESCRIPTORS = """
import os, sys
from pydpdk_defer import _native, cli
class Port(_native.VhostPort):
    def open(self):
        # All but %d of the descriptors are taken.
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        for fd in taken[:%d]:
            os.close(fd)
        try:
            super().open()
        finally:
            for fd in taken[%d:]:
                os.close(fd)
_native.VhostPort = Port
sys.exit(cli.main(["run", sys.argv[1], "--duration", "1"]))
"""


@pytest.mark.rights
@pytest.mark.parametrize("left", range(3))
def test_too_few_file_descriptors(folder: Path, left: int) -> None:
    path = folder / "run.toml"
    tables = topology(folder / "vm0.sock", eal__hugepages=False)  # each hugepage takes a descriptor before
    path.write_text(Topology.from_dict(tables).to_toml())
    script = OUT_OF_DESCRIPTORS.replace("%d", str(left))
    result = subprocess.run(
        ["bash", "-c", 'ulimit -n 64; exec "$@"', "-", sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert_refused(result, 1, "port.vm0.socket: no file descriptor is left for", str(folder / "vm0.sock"), "ulimit -n")
    assert "VHOST_CONFIG" not in result.stderr
    assert "folder" not in result.stderr
