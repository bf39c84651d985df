# SPDX-License-Identifier: BSD-3-Clause
"""What an evaluation sees of its host: CPUs to use, disturbances, a fingerprint."""

from dataclasses import replace
from pathlib import Path

import pytest

from pydpdk_defer.errors import DeferError
from pydpdk_defer.evaluate.noise import Look, look
from pydpdk_defer.evaluate.placement import device_tables, devices_of, needs_pci, node_of, place
from pydpdk_defer.host.cpus import CpuPlace, cpu_places, parse_cpu_list
from pydpdk_defer.host.fingerprint import fingerprint

SOFTWARE, HARDWARE = {"copier": "dma_skeleton0"}, {"copier": "0000:6a:01.0"}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


# ---- placement ----


def test_the_lowest_cpus_stay_free() -> None:
    assert place(SOFTWARE, range(8), may_share=False).cores == {"pmd": 7, "guest": 6, "dma": 5}
    assert place(HARDWARE, range(8), may_share=False).cores == {"pmd": 7, "guest": 6}
    assert place(HARDWARE, {3, 5}, may_share=False).cores == {"pmd": 5, "guest": 3}


def test_cores_are_not_shared_where_there_are_enough_on_one_node() -> None:
    """Two nodes of two and three cores with two threads each, numbered as most BIOSes do."""
    cores = [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4)]
    places = {cpu: CpuPlace(*cores[cpu % 5]) for cpu in range(10)}
    placed = place(SOFTWARE, range(10), may_share=False, places=places)
    assert placed.cores == {"pmd": 9, "guest": 8, "dma": 7}
    assert placed.shared == ""
    assert place(SOFTWARE, {2, 3, 8}, may_share=False, places=places).cores == {"pmd": 8, "guest": 2, "dma": 3}


@pytest.mark.parametrize("siblings", [((0, 2), (1, 3)), ((0, 1), (2, 3))])
def test_software_copies_beside_the_guest_rather_than_beside_the_pmd_thread(
    siblings: tuple[tuple[int, ...], ...],
) -> None:
    places = {cpu: CpuPlace(0, core[0]) for core in siblings for cpu in core}
    placed = place(SOFTWARE, range(4), may_share=False, places=places)
    assert places[placed.pmd] not in (places[placed.guest], places[placed.dma or 0])
    assert f"the guest on CPU {placed.guest} and the thread that copies for dma_skeleton on CPU" in placed.shared
    assert "(SMT)" in placed.shared


def test_the_node_of_the_device_comes_first() -> None:
    places = {cpu: CpuPlace(cpu // 4, cpu) for cpu in range(8)}
    assert place(HARDWARE, range(8), may_share=False, places=places, node=0).cores == {"pmd": 3, "guest": 2}
    assert place(HARDWARE, range(8), may_share=False, places=places, node=1).cores == {"pmd": 7, "guest": 6}
    assert node_of(SOFTWARE) is None


def test_software_copies_where_its_device_says() -> None:
    given = {"copier": "dma_skeleton0,lcore=7"}
    assert place(given, range(8), may_share=False).cores == {"pmd": 6, "guest": 5, "dma": 7}
    with pytest.raises(DeferError, match="the guest and the thread that copies for dma_skeleton share CPU 1"):
        place({"copier": "dma_skeleton0,lcore=1"}, {0, 1}, may_share=False)
    assert place({"copier": "dma_skeleton0,lcore=1"}, {0, 1}, may_share=True).cores == {"pmd": 0, "guest": 1, "dma": 1}
    two = {"a": "dma_skeleton0,lcore=2", "b": "dma_skeleton1,lcore=3"}
    placed = place(two, {1, 2, 3}, may_share=True)
    assert placed.cores == {"pmd": 1, "guest": 3, "dma": 2}
    assert "share CPU 3" in placed.shared


def test_places_of_cpus(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu/cpu"
    root = write(
        tmp_path,
        {
            f"{cpu}0/topology/thread_siblings_list": "0,2\n",
            f"{cpu}2/topology/thread_siblings_list": "0,2\n",
            f"{cpu}2/node1/cpulist": "",
        },
    )
    assert cpu_places((0, 2, 5), root) == {0: CpuPlace(0, 0), 2: CpuPlace(1, 0), 5: CpuPlace(0, 5)}
    assert parse_cpu_list("0-2,8\n") == [0, 1, 2, 8]


def test_sharing_is_said_and_must_be_allowed() -> None:
    shared = place(SOFTWARE, {0, 1}, may_share=True)
    assert shared.cores == {"pmd": 1, "guest": 0, "dma": 0}
    assert "share CPU 0: rates at full load and latencies are those of this sharing" in shared.shared
    with pytest.raises(DeferError, match="need a CPU each") as caught:
        place(SOFTWARE, {0, 1}, may_share=False)
    assert "--allow-shared-cores" in caught.value.hint
    with pytest.raises(DeferError, match="needs two CPUs, and this process may use 1"):
        place(HARDWARE, {0}, may_share=True)


def test_devices_and_their_tables() -> None:
    named = devices_of(["fast=wq0.0", "dma_skeleton1,lcore=3", "0000:6a:01.0"])
    assert named == {"fast": "wq0.0", "copier1": "dma_skeleton1,lcore=3", "copier2": "0000:6a:01.0"}
    assert needs_pci(named)
    assert not needs_pci({"fast": "wq0.0"})
    tables = device_tables(SOFTWARE, place(SOFTWARE, range(4), may_share=False), {"latency_us": 2})
    assert tables == {"copier": {"device": "dma_skeleton0,lcore=1", "ring_size": 4096, "model": {"latency_us": 2}}}
    with pytest.raises(ValueError, match="two DMA devices are called a"):
        devices_of(["a=wq0.0", "a=wq0.1"])


# ---- noise ----


def test_a_look_counts_the_cpus_that_are_used(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/stat": "cpu  9 9 9 9\ncpu0 100 0 50 9 9 10 20 30 0 0\ncpu1 1000 0 0 0 0 0 0 0 0 0\n",
            "proc/7/stat": "7 (a b) c) S 1 1 1 0 0 0 0 0 0 0 40 2 0 0",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2600000\n",
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
            "sys/fs/cgroup/cpu.stat": "usage_usec 1\nnr_throttled 4\n",
        },
    )
    seen = look({0}, [7, 8], root)
    assert (seen.busy, seen.steal, seen.ours) == (1.8, 0.3, 0.42)
    assert (seen.mhz, seen.throttled) == ((2600.0, 2600.0), 7)


def test_what_happened_between_two_looks() -> None:
    first = Look(at=10.0, busy=1.0, steal=0.0, ours=0.5, mhz=(2000.0, 2100.0), throttled=1)
    noise = first.until(Look(at=12.0, busy=4.0, steal=0.2, ours=2.5, mhz=(1900.0, 2600.0), throttled=3))
    assert noise.foreign_load == pytest.approx(0.5)
    assert noise.steal == pytest.approx(0.1)
    assert (noise.mhz, noise.throttled) == ((1900.0, 2600.0), 2)
    assert first.until(replace(first, at=11.0, mhz=None)).foreign_load == 0


# ---- fingerprint ----


def test_a_fingerprint(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/cpuinfo": "model name\t: A CPU @ 2 GHz\nmicrocode\t: 0x42\nmodel name\t: another\n",
            "proc/cmdline": "quiet isolcpus=1\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
            "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "512\n",
        },
    )
    found = fingerprint(root)
    assert found["cpu"]["model"] == "A CPU @ 2 GHz"
    assert found["cpu"]["microcode"] == "0x42"
    assert found["frequency"]["governor"] == "performance"
    assert found["hugepages"] == {"2048kB": "512"}
    assert found["numa_nodes"] is None
    assert found["kernel_command_line"] == "quiet isolcpus=1"
