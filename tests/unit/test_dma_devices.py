# SPDX-License-Identifier: BSD-3-Clause
"""The survey of DMA devices, on folders that stand for hosts: with DSA, with CBDMA, bare, and broken."""

import json
import os
from pathlib import Path

import pytest
from trees.host import ALL_PMDS, CNXK, IDXD, IOAT, SKELETON, Host, plugins

from pydpdk_defer.host.dma_devices import DmaDevice, Survey, survey
from pydpdk_defer.host.pmds import Plugin, Plugins

pytestmark = pytest.mark.rights

DSA = "0000:6a:01.0"
CBDMA = "0000:00:04.0"
NO_PMD = "no PMD of this DPDK serves it"
UNSET = {"state": "disabled", "type": "none", "mode": "shared", "name": "", "size": "0"}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def only(found: Survey, kind: str) -> DmaDevice:
    (device,) = [device for device in found.devices if device.kind == kind]
    return device


def test_a_bare_host_has_the_software_device_and_says_what_that_is(host: Host) -> None:
    found = survey(host.root, ALL_PMDS)
    device = only(found, "software")
    assert found.devices == (device,)
    assert (device.device, device.pmd, device.problem) == ("dma_skeleton0", "dma_skeleton", "")
    assert "no DMA hardware" in str(found)
    assert 'device = "dma_skeleton0": the CPU copies' in str(found)
    assert survey(host.root, plugins(IDXD)).devices == ()


def test_cbdma_of_the_kernel_comes_with_the_command_that_binds_it(host: Host) -> None:
    host.pci(CBDMA, "8086:2021", driver="ioatdma")
    device = only(survey(host.root, ALL_PMDS), "pci")
    assert (device.name, device.pmd, device.kernel_driver) == ("Intel CBDMA", "dmadev_ioat", "ioatdma")
    assert device.details == {"pci_id": "8086:2021", "iommu_group": "12"}
    assert device.problem == "the kernel's ioatdma has it"
    assert device.commands == (f"sudo modprobe vfio-pci && sudo dpdk-devbind.py -b vfio-pci {CBDMA}",)


def test_no_modprobe_where_vfio_pci_is_there(host: Host) -> None:
    host.write("sys/module/vfio_pci/refcnt", "0")
    host.pci(CBDMA, "8086:2021")
    device = only(survey(host.root, ALL_PMDS), "pci")
    assert device.problem == "no driver has it"
    assert device.commands == (f"sudo dpdk-devbind.py -b vfio-pci {CBDMA}",)


def test_bound_to_vfio_pci_it_can_be_used_as_it_is(host: Host) -> None:
    host.pci(CBDMA, "8086:2021", driver="vfio-pci", numa_node=1)
    assert only(survey(host.root, ALL_PMDS), "pci").problem.startswith("/dev/vfio/12 is not here")
    host.write("dev/vfio/12")
    found = survey(host.root, ALL_PMDS)
    device = only(found, "pci")
    assert (device.problem, device.commands, device.numa_node) == ("", (), 1)
    assert f'device = "{CBDMA}" and eal.pci = true' in str(found)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every file: needs an ordinary user")
def test_a_file_that_this_user_may_not_open_comes_with_the_command(host: Host) -> None:
    host.pci(CBDMA, "8086:2021", driver="vfio-pci")
    host.write("dev/vfio/12").chmod(0)
    device = only(survey(host.root, ALL_PMDS), "pci")
    assert device.problem == "this user may not open /dev/vfio/12"
    assert device.commands == ('sudo chown "$USER" /dev/vfio/12',)


def test_another_driver_will_do_when_the_pmd_takes_it(host: Host) -> None:
    host.pci(CBDMA, "8086:2021", driver="uio_pci_generic")
    host.pci(DSA, driver="uio_pci_generic")
    problems = {device.device: device.problem for device in survey(host.root, ALL_PMDS).devices}
    assert problems[CBDMA] == ""
    assert problems[DSA] == "the kernel's uio_pci_generic has it"


def test_without_an_iommu_that_comes_first(host: Host) -> None:
    host.pci(CBDMA, "8086:2021", driver="ioatdma", group=None, numa_node=-1)
    device = only(survey(host.root, ALL_PMDS), "pci")
    assert "intel_iommu=on" in device.problem
    assert (device.details["iommu_group"], device.numa_node) == (None, None)


def test_dsa_with_idxd_points_to_its_work_queues_and_is_shown_without_its_pmd(host: Host) -> None:
    host.pci(DSA, driver="idxd")
    device = only(survey(host.root, ALL_PMDS), "pci")
    assert device.name == "Intel DSA"
    assert "work queues" in device.problem
    assert DSA in device.commands[0]
    device = only(survey(host.root, plugins(IOAT)), "pci")
    assert (device.pmd, device.certain, device.problem) == (None, True, NO_PMD)


def test_an_engine_that_only_its_pmd_knows_has_the_name_of_that(host: Host) -> None:
    host.pci("0002:01:00.1", "177d:a081", pci_class="080100")
    assert only(survey(host.root, plugins(CNXK)), "pci").name == "cnxk_dmadev_pci_driver"


def test_an_engine_of_the_kernel_is_certain_whatever_its_class(host: Host) -> None:
    real = host.pci("0000:05:00.2", "1022:1498", pci_class="108000", driver="ccp")
    (real / "dma" / "dma0chan0").mkdir(parents=True)
    device = only(survey(host.root, ALL_PMDS), "pci")
    assert (device.certain, device.name, device.problem) == (True, "unknown", NO_PMD)


def test_a_class_alone_is_a_guess_and_takes_one_line(host: Host) -> None:
    for number in range(20):
        host.pci(f"0000:00:{number:02x}.0", "8086:2014", pci_class=("080100", "088000")[number % 2])
    host.pci("0000:01:00.0", "8086:1572", pci_class="020000", driver="i40e")
    found = survey(host.root, ALL_PMDS)
    assert [device.certain for device in found.devices if device.kind == "pci"] == [False] * 20
    (line,) = [line for line in str(found).splitlines() if "0000:00:" in line]
    assert line.endswith("0000:00:02.0 and 17 more")


def test_a_work_queue_made_for_dpdk_can_be_used(host: Host) -> None:
    host.dsa()
    host.queue()
    found = survey(host.root, ALL_PMDS)
    queue = only(found, "work_queue")
    assert (queue.device, queue.problem, queue.commands, queue.numa_node) == ("wq0.0", "", (), 1)
    assert "name dpdk_app1, state enabled, type user, mode dedicated, size 16" in str(found)
    assert '      device = "wq0.0"' in str(found)
    without_pmd = only(survey(host.root, plugins(SKELETON)), "work_queue")
    assert (without_pmd.pmd, without_pmd.problem) == (None, NO_PMD)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("type", "kernel", "type is kernel and not user"),
        ("mode", "shared", "mode is shared and not dedicated"),
        ("name", "app1", "name is app1 and not dpdk_*"),
        ("name", "", "name is empty and not dpdk_*"),
    ],
)
def test_an_enabled_queue_that_is_not_for_dpdk_is_made_anew(host: Host, key: str, value: str, problem: str) -> None:
    host.dsa()
    host.queue(values={key: value})
    queue = only(survey(host.root, ALL_PMDS), "work_queue")
    assert queue.problem == problem
    assert queue.commands == (
        "sudo accel-config disable-wq dsa0/wq0.0",
        "sudo accel-config config-wq dsa0/wq0.0 --type=user --mode=dedicated --name=dpdk_wq0.0 --priority=10 "
        "--max-batch-size=1024",
        "sudo accel-config enable-wq dsa0/wq0.0",
    )


def test_a_queue_that_only_is_disabled_is_only_enabled(host: Host) -> None:
    host.dsa(values={"state": "disabled"})
    host.queue(values={"state": "disabled"})
    queue = only(survey(host.root, ALL_PMDS), "work_queue")
    assert queue.problem == "state is disabled and not enabled"
    steps = ("enable-device dsa0", "enable-wq dsa0/wq0.0")
    assert queue.commands == tuple(f"sudo accel-config {step}" for step in steps)


def test_a_device_without_queues_says_how_to_make_one(host: Host) -> None:
    (host.root / "usr/bin/accel-config").unlink()
    host.dsa(3, {"max_batch_size": "512"})
    for number in range(8):
        host.queue(f"wq3.{number}", UNSET | {"driver_name": ""})
    queue = only(survey(host.root, ALL_PMDS), "work_queue")
    assert (queue.device, queue.problem) == ("wq3.0", "no queue of dsa3 is configured; for one:")
    assert queue.commands == (
        "sudo apt-get install accel-config",
        "sudo accel-config disable-device dsa3",
        "sudo accel-config config-engine dsa3/engine3.0 --group-id=0",
        "sudo accel-config config-wq dsa3/wq3.0 --group-id=0 --wq-size=16 --type=user --mode=dedicated "
        "--name=dpdk_wq3.0 --priority=10 --max-batch-size=512 --driver-name=user",
        "sudo accel-config enable-device dsa3",
        "sudo accel-config enable-wq dsa3/wq3.0",
    )


def test_queues_that_nobody_configured_and_those_of_iax_are_left_out(host: Host) -> None:
    host.dsa()
    host.queue("wq0.10")
    host.queue("wq0.2")
    host.queue("wq0.3", UNSET)
    host.write("sys/bus/dsa/devices/iax1/state", "enabled")
    host.queue("wq1.0")
    queues = [device.device for device in survey(host.root, ALL_PMDS).devices if device.kind == "work_queue"]
    assert queues == ["wq0.2", "wq0.10"]


def test_what_no_configuration_helps_against_comes_without_commands(host: Host) -> None:
    host.dsa()
    host.queue(values={"clients": "1"})
    host.queue("wq0.1")
    (host.root / "dev/dsa/wq0.1").unlink()
    host.dsa(1, {"pasid_enabled": "0"})
    host.queue("wq1.0", UNSET)
    queues = [device for device in survey(host.root, ALL_PMDS).devices if device.kind == "work_queue"]
    wanted = ("another process has it", "/dev/dsa/wq0.1 is not here", "shared virtual memory")
    for queue, problem in zip(queues, wanted, strict=True):
        assert problem in queue.problem
        assert queue.commands == ()


def test_a_tree_that_is_half_there_is_no_failure(host: Host) -> None:
    real = host.pci(DSA)
    for name in ("numa_node", "class", "iommu_group", "subsystem_vendor"):
        (real / name).unlink()
    (real / "driver").mkdir()
    (real / "numa_node").mkdir()
    (host.root / "sys/bus/pci/devices/0000:99:00.0").symlink_to("nowhere")
    host.pci("0000:00:05.0", "zzzz:0b25", pci_class="nonsense")
    host.write("sys/bus/dsa/devices/dsa0/max_work_queues", "0010")
    host.write("sys/bus/dsa/devices/wq0.0/name").write_bytes(b"\xff\xfe\n")
    found = survey(host.root, ALL_PMDS)
    assert only(found, "pci").device == DSA
    assert only(found, "work_queue").device == "wq0.0"
    assert str(found)
    assert survey(host.root / "nothing", ALL_PMDS).devices[0].kind == "software"


def test_pmds_of_another_release_are_a_fault(host: Host) -> None:
    stranger = Plugin(Path("/pmds/librte_dma_ioat.so.24.0"), (IOAT,), "librte_eal.so.24")
    found = survey(host.root, Plugins("librte_eal.so.23", Path("/pmds"), (stranger,)))
    assert "were built for librte_eal.so.24, but librte_eal.so.23 is loaded" in found.faults[0]
    assert "fault: 1 of 1 PMDs" in str(found)


def test_text_and_json_hold_all_of_it_the_text_in_100_columns(host: Host) -> None:
    host.pci("10000:e1:1f.7", "177d:a081", driver="uio_pci_generic", group="1234")
    host.dsa()
    host.queue(values={"type": "kernel", "driver_name": "", "name": "a_long_name_" * 5})
    found = survey(host.root, plugins(CNXK, IDXD, SKELETON))
    data = json.loads(json.dumps(found.to_dict()))
    assert [device["kind"] for device in data["devices"]] == ["pci", "work_queue", "software"]
    assert max(map(len, str(found).splitlines())) <= 100
    as_pasted = " ".join(str(found).replace("\\\n", " ").split())
    for device in data["devices"]:
        assert device["problem"] in as_pasted
        assert all(command in as_pasted for command in device["commands"])


def test_this_host_can_be_surveyed() -> None:
    found = survey()
    assert not found.faults
    assert "dma_skeleton0" in {device.device for device in found.devices}
