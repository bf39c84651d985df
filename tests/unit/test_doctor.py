# SPDX-License-Identifier: BSD-3-Clause
"""The doctor, on folders that stand for hosts: with DSA, with CBDMA, a bare virtual machine, a container, broken."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from trees.host import ALL_PMDS, IDXD, Host, plugins

from pydpdk_defer.cli import main
from pydpdk_defer.host import runtime_dir
from pydpdk_defer.host.doctor import Check, Diagnosis, examine
from pydpdk_defer.host.pmds import Plugin, Plugins
from pydpdk_defer.topology import Topology

CPUS = frozenset(range(8))
CPU = "sys/devices/system/cpu"
DSA, CBDMA = "0000:6a:01.0", "0000:00:04.0"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A server that is well: 1024 hugepages on each of two nodes, an IOMMU, isolated CPUs, steady frequency."""
    host = Host(tmp_path)
    for node in (0, 1):
        hugepages(host, node, 1024, 1000)
    host.write("proc/mounts", "nodev /dev/hugepages hugetlbfs rw,relatime 0 0")
    host.write("proc/meminfo", "MemAvailable:   64000000 kB")
    host.write("proc/self/limits", "Max locked memory         unlimited            unlimited            bytes")
    host.write("proc/sys/kernel/numa_balancing", "0")
    host.write("sys/kernel/iommu_groups/12/type", "DMA-FQ")
    host.write("sys/module/vfio_pci/refcnt", "0")
    host.write(f"{CPU}/isolated", "4-7")
    host.write(f"{CPU}/online", "0-7")
    host.write(f"{CPU}/intel_pstate/no_turbo", "1")
    for cpu in CPUS:
        host.write(f"{CPU}/cpu{cpu}/cpufreq/scaling_governor", "performance")
        host.write(f"{CPU}/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 4},{cpu % 4 + 4}")
    return host


def hugepages(host: Host, node: int, total: int, free: int) -> None:
    folder = f"sys/devices/system/node/node{node}/hugepages/hugepages-2048kB"
    host.write(f"{folder}/nr_hugepages", str(total))
    host.write(f"{folder}/free_hugepages", str(free))


def looked(host: Host, topology: Topology | None = None, **more: Any) -> Diagnosis:
    given: dict[str, Any] = {"plugins": ALL_PMDS, "uid": 0, "cpus": CPUS} | more
    return examine(topology, "t.toml" if topology else "this host", host.root, **given)


def check(found: Diagnosis, name: str) -> Check:
    [one] = [check for check in found.checks if check.name == name]
    return one


def topology(device: str = "dma_skeleton0", *, pci: bool = False, core: int = 5, **eal: Any) -> Topology:
    return Topology.from_dict(
        {
            "eal": {"memory_mb": 1024, "pci": pci, **eal},
            "dma": {"copier": {"device": device}},
            "port": {
                "src": {"kind": "generator"},
                "vm0": {"kind": "vhost", "socket": "/tmp/vm0.sock", "dma": ["copier"]},
            },
            "pmd": [{"core": core, "rxqs": ["src:0"]}],
            "forward": {"wires": [["src", "vm0"]]},
        }
    )


# ---- hosts ----


def test_a_dsa_host_that_is_well(host: Host) -> None:
    host.dsa()
    host.queue()
    found = looked(host)
    assert found.fit
    assert found.verdict == "yes: this host can run datapaths"
    assert {check.status for check in found.checks} == {"OK"}
    assert check(found, "wq0.0").found == "work queue of dsa0: ready for dmadev_idxd"
    assert check(found, "accel-config").found == "installed"
    assert check(found, "IOMMU").found == "1 groups (DMA-FQ)"
    assert check(found, "hugepages of 2 MB on node 1").found == "1000 free of 1024"
    assert looked(host, topology("wq0.0")).verdict == "yes: this host can run t.toml"


def test_a_dsa_host_without_a_queue_says_what_to_type(host: Host) -> None:
    (host.root / "usr/bin/accel-config").unlink()
    host.dsa()
    host.queue(values={"state": "disabled", "type": "none", "name": "", "size": "0"})
    found = looked(host)
    assert found.fit
    assert check(found, "wq0.0").status == "WARN"
    assert any("accel-config config-wq dsa0/wq0.0" in command for command in check(found, "wq0.0").commands)
    assert check(found, "accel-config").commands == ("sudo apt-get install accel-config",)
    wanted = looked(host, topology("wq0.0"))
    assert not wanted.fit
    assert wanted.verdict == "no: this host cannot run t.toml: dma.copier"


def test_a_cbdma_host(host: Host) -> None:
    host.pci(CBDMA, "8086:2021", driver="ioatdma")
    wanted = looked(host, topology(CBDMA, pci=True))
    assert check(wanted, "dma.copier").status == "FAIL"
    assert check(wanted, "dma.copier").commands == (f"sudo dpdk-devbind.py -b vfio-pci {CBDMA}",)
    (host.root / "sys/devices/pci0000:00" / CBDMA / "driver").unlink()
    (host.root / "sys/devices/pci0000:00" / CBDMA / "driver").symlink_to("../../../bus/pci/drivers/vfio-pci")
    host.write("dev/vfio/12")
    assert looked(host, topology(CBDMA, pci=True)).fit
    assert check(looked(host, topology(CBDMA)), "eal.pci").status == "FAIL"
    assert check(looked(host, topology("0000:00:05.0", pci=True)), "dma.copier").found == "0000:00:05.0 is not here"


def test_a_bare_virtual_machine_can_run_on_vdevs_alone(tmp_path: Path) -> None:
    bare = Host(tmp_path)
    hugepages(bare, 0, 0, 0)
    bare.write("proc/meminfo", "MemAvailable:   8000000 kB")
    found = looked(bare, cpus=frozenset({0, 1}))
    assert found.fit
    warned = {check.name: check for check in found.checks if check.status == "WARN"}
    assert warned.keys() == {
        "hugepages of 2 MB on node 0",
        "hugetlbfs",
        "IOMMU",
        "vfio-pci",
        "DMA devices",
        "CPUs",
        "isolated CPUs",
    }
    assert all(check.why for check in found.checks)
    reserve = "echo 512 | sudo tee /sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"
    assert warned["hugepages of 2 MB on node 0"].commands == (reserve,)
    assert looked(bare, topology(core=1), cpus=frozenset({0, 1})).fit
    wanted = looked(bare, topology(DSA, pci=True))
    failed = {check.name for check in wanted.checks if check.status == "FAIL"}
    assert failed == {"IOMMU", "vfio-pci", "dma.copier"}


def test_a_container(host: Host) -> None:
    host.write(".dockerenv")
    host.write("sys/fs/cgroup/cpu.max", "150000 100000")
    host.write("sys/fs/cgroup/hugetlb.2MB.max", "0")
    host.write("sys/fs/cgroup/memory.max", str(512 * 2**20))
    host.write("proc/self/status", "CapEff:\t0000000000004000\nSeccomp:\t2")
    hugepages(host, 0, 1024, 0)
    hugepages(host, 1, 1024, 0)
    found = looked(host, cpus=frozenset({2, 3}))
    assert check(found, "cpuset").found == "2 of 8 CPUs"
    assert check(found, "CPU quota").found == "1.5 CPUs' time"
    assert check(found, "hugepages of 2MB in the container").status == "WARN"
    assert check(found, "capabilities").found == "IPC_LOCK"
    assert check(found, "seccomp").status == "OK"
    assert check(found, "memory").found == "512 MB available"
    wanted = looked(host, topology(core=2), cpus=frozenset({2, 3}))
    assert check(wanted, "eal.memory_mb = 1024").status == "FAIL"
    assert check(looked(host, topology(core=5), cpus=frozenset({2, 3})), "core 5").commands == ("choose one of: 2, 3",)


def test_a_broken_host(host: Host) -> None:
    strange = Plugins("librte_eal.so.23", Path("/pmds"), (Plugin(Path("/pmds/a.so"), (), "librte_eal.so.22"),))
    found = looked(host, plugins=strange)
    assert not found.fit
    assert check(found, "PMD plug-ins").status == "FAIL"
    host.write("proc/sys/kernel/numa_balancing", "1")
    host.write(f"{CPU}/intel_pstate/no_turbo", "0")
    host.write(f"{CPU}/cpu5/cpufreq/scaling_governor", "powersave")
    host.write("proc/self/limits", "Max locked memory         65536                65536                bytes")
    found = looked(host, uid=1000)
    assert found.fit
    warned = {check.name: check.found for check in found.checks if check.status == "WARN"}
    assert warned["NUMA balancing"] == warned["turbo"] == "on"
    assert warned["frequency governor"] == "performance, powersave"
    assert warned["memlock"] == "limit 64 KB"
    assert check(looked(host, topology(DSA, pci=True), uid=1000), "memlock").status == "FAIL"
    assert check(looked(host, plugins=plugins(IDXD)), "PMD plug-ins").status == "OK"
    assert check(looked(host, topology(), plugins=plugins(IDXD)), "dma.copier").status == "FAIL"


# ---- what a topology needs ----


def test_hugepages_that_a_topology_insists_on(host: Host) -> None:
    assert looked(host, topology(hugepages=True)).fit
    for node in (0, 1):
        hugepages(host, node, 1024, 200)
    found = looked(host, topology(hugepages=True))
    assert check(found, "eal.memory_mb = 1024").found == "free hugepages hold 800 MB"
    assert check(found, "eal.memory_mb = 1024").commands == ("echo 512 | sudo tee /proc/sys/vm/nr_hugepages",)
    assert looked(host, topology()).fit
    assert looked(host, topology(hugepages=False)).fit


def test_pmd_threads_on_one_core(host: Host) -> None:
    two = topology().to_dict()
    two["pmd"] = [{"core": 5, "rxqs": ["src:0"]}, {"core": 1, "rxqs": []}]
    found = looked(host, Topology.from_dict(two))
    assert found.fit
    assert check(found, "SMT siblings").found == "PMD threads on CPUs 1, 5 share a core"
    assert check(found, "isolated CPUs").found == "1 of the PMD threads are not"


def test_a_socket_that_another_process_serves(host: Host) -> None:
    host.write("proc/net/unix", "Num\n0: 2 0 10000 5 01 41 /tmp/vm0.sock")
    assert check(looked(host, topology()), "port.vm0.socket").found == "/tmp/vm0.sock: another process serves it"


# A primary process without telemetry: it holds a lock on its configuration as long as it lives.
LOCKS = """
import fcntl, sys
with open(sys.argv[1], "r+") as config:
    fcntl.lockf(config, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_runtime_folders_that_are_left(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a process that is dead; the others answer by telemetry, by another socket, or hold a lock."""
    assert check(looked(host), "runtime folders").status == "OK"
    dead, asked, silent, locked = (runtime_dir.of_prefix(prefix) for prefix in ("dead", "asked", "silent", "locked"))
    for place in (dead, asked, silent, locked):
        folder = host.root / place.relative_to("/")
        folder.mkdir(parents=True)
        (folder / "config").touch()
        monkeypatch.chdir(folder)  # the whole path may be too long for a socket
        for name in ("dpdk_telemetry.v2", "mp_socket"):
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(name)
    listening = [f"{asked}/dpdk_telemetry.v2", f"{silent}/mp_socket"]
    host.write("proc/net/unix", "".join(f"0: 2 0 10000 5 01 41 {path}\n" for path in ("Num", *listening)))
    config = host.root / locked.relative_to("/") / "config"
    with subprocess.Popen(
        [sys.executable, "-c", LOCKS, str(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        found = check(looked(host), "runtime folders")
        process.communicate("\n")
    assert (found.status, found.found) == ("WARN", "1 without a process")
    assert found.commands == (f"sudo rm -r {dead}",)


def test_a_runtime_folder_that_cannot_be_read_counts_as_used(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process may be about to remove it, or belong to another user."""
    (host.root / runtime_dir.of_prefix("closed").relative_to("/")).mkdir(parents=True)

    def refuse(_folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert check(looked(host), "runtime folders").status == "OK"


# ---- for people, for programs, here ----


def test_text_and_json(host: Host) -> None:
    found = looked(host, topology(core=9))
    text = str(found)
    assert re.search(r"^FAIL  core 9 +this process may not use it$", text, re.MULTILINE)
    assert text.splitlines()[-1] == "no: this host cannot run t.toml: core 9"
    assert max(map(len, text.splitlines())) <= 110
    assert json.loads(json.dumps(found.to_dict()))["checks"][0]["status"] == "OK"


def test_on_this_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status = main(["doctor", "--json", str(tmp_path / "json")])
    assert status == 0
    assert "yes: this host can run datapaths" in capsys.readouterr().out
    assert json.loads((tmp_path / "json").read_text())["fit"]
    assert main(["doctor", str(tmp_path / "none.toml")]) == 2
