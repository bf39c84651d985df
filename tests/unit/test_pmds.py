# SPDX-License-Identifier: BSD-3-Clause
"""The plug-ins of the installed DPDK: as they are, and in copies with other bytes."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydpdk_defer.host.pmds import Driver, PciId, Plugin, Plugins, find_plugins, loaded_eal, plugin_folder

pytestmark = pytest.mark.rights

PMDINFO = shutil.which("dpdk-pmdinfo.py")


@pytest.fixture(scope="module")
def eal() -> Path:
    path = loaded_eal()
    assert path is not None
    return path


@pytest.fixture(scope="module")
def installed(eal: Path) -> Plugins:
    return find_plugins(eal)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for plug-ins whose path is no longer than the one compiled into librte_eal, whatever TMPDIR says."""
    path = Path(tempfile.mkdtemp(prefix="pd-", dir="/tmp"))
    (path / "pmds").mkdir()
    yield path / "pmds"
    shutil.rmtree(path)


@pytest.fixture
def other_eal(eal: Path, folder: Path) -> Path:
    """A copy of librte_eal that loads its plug-ins from `folder`."""
    old = os.fsencode(str(plugin_folder(eal)))
    copy = folder.parent / eal.name
    copy.write_bytes(eal.read_bytes().replace(old + b"\0", os.fsencode(folder).ljust(len(old), b"\0") + b"\0"))
    return copy


def copy_into(folder: Path, installed: Plugins, name: str, old: bytes = b"", new: bytes = b"") -> Path:
    """A copy of an installed plug-in with some of its bytes replaced by as many others."""
    file = next(p.file for p in installed.plugins if p.file.name.startswith(f"lib{name}.so"))
    content = file.read_bytes()
    assert len(old) == len(new)
    assert old in content
    copy = folder / file.name
    copy.write_bytes(content.replace(old, new))
    return copy


def test_the_loaded_eal_names_the_folder_of_its_plugins(eal: Path, installed: Plugins) -> None:
    assert eal.name.startswith("librte_eal.so.")
    assert installed.folder is not None
    assert installed.folder.is_dir()
    assert installed.eal is not None
    assert eal.name.startswith(installed.eal)


def test_every_plugin_is_there_once_and_fits(installed: Plugins) -> None:
    names = [plugin.file.name.partition(".so")[0] for plugin in installed.plugins]
    assert len(names) == len(set(names))
    assert {"librte_dma_skeleton", "librte_net_null", "librte_net_virtio"} <= set(names)
    assert {plugin.eal for plugin in installed.plugins} == {installed.eal}
    assert installed.faults() == []


def test_drivers_can_be_chosen_by_the_name_of_their_file(eal: Path, installed: Plugins) -> None:
    dma = {driver.name: driver for driver in installed.drivers("librte_dma_")}
    assert dma["dma_skeleton"].params == "lcore=<uint16>"
    assert dma["dma_skeleton"].pci_ids == ()
    assert "net_null" not in dma
    assert "net_null" in {driver.name for driver in installed.drivers()}
    only_dma = find_plugins(eal, prefix="librte_dma_")
    assert tuple(only_dma.drivers()) == tuple(installed.drivers("librte_dma_"))


@pytest.mark.skipif(PMDINFO is None, reason="dpdk-pmdinfo.py is not there (Debian: dpdk)")
def test_it_is_what_dpdk_pmdinfo_says(installed: Plugins) -> None:
    files = [str(p.file) for p in installed.plugins if p.file.name.startswith("librte_dma_")]
    said = subprocess.run([sys.executable, str(PMDINFO), *files], capture_output=True, text=True, check=True)
    lines = {driver["name"]: driver for driver in json.loads(said.stdout)}
    for driver in installed.drivers("librte_dma_"):
        line = lines[driver.name]
        assert driver.params == line.get("params", "").strip()
        assert driver.kmod == line.get("kmod", "")
        ids = [(f"{i.vendor:04x}", f"{i.device:04x}") for i in driver.pci_ids]
        assert ids == [(i["vendor"], i["device"]) for i in line.get("pci_ids", ())]


def test_one_plugin_of_another_release_is_a_fault(installed: Plugins, folder: Path, other_eal: Path) -> None:
    soname = str(installed.eal).encode()
    copy_into(folder, installed, "rte_dma_skeleton")
    copy_into(folder, installed, "rte_net_null", soname + b"\0", soname[:-2] + b"19\0")
    found = find_plugins(other_eal)
    assert found.folder == folder
    assert [plugin.eal for plugin in found.plugins] == [installed.eal, f"{str(installed.eal)[:-2]}19"]
    (line,) = [line for line in found.faults() if "built for" in line]
    assert line.startswith(f"1 of 2 PMDs in {folder} were built for librte_eal.so.19, but {installed.eal} is")
    assert "librte_net_null.so" in line


def test_many_strangers_take_one_line(tmp_path: Path) -> None:
    plugins = tuple(Plugin(tmp_path / f"librte_net_{n}.so", (), "librte_eal.so.22") for n in range(100))
    (line,) = [f for f in Plugins("librte_eal.so.23", tmp_path, plugins).faults() if "built" in f]
    assert line.endswith("librte_net_0.so and 99 more")


@pytest.mark.parametrize("content", [b"", b"no library", b"\x7fELF\x02\x01\x01" + b"\xff" * 200])
def test_a_file_that_is_no_library_is_a_fault(folder: Path, other_eal: Path, content: bytes) -> None:
    (folder / "librte_net_broken.so").write_bytes(content)
    found = find_plugins(other_eal)
    assert found.plugins[0].drivers == ()
    assert f"{folder}/librte_net_broken.so: cannot be read as a shared library" in found.faults()[0]


def test_only_what_eal_would_load_counts(eal: Path, installed: Plugins, folder: Path, other_eal: Path) -> None:
    real = copy_into(folder, installed, "rte_dma_skeleton")
    (folder / "librte_dma_skeleton.so").symlink_to(real.name)
    (folder / "librte_dma_skeleton.so.9").symlink_to(real.name)
    (folder / "librte_net_old.so.9.0").write_bytes(b"of a release that was here before")
    (folder / "librte_net_gone.so").symlink_to("nowhere")
    (folder / "librte_net_folder.so").mkdir()
    assert [plugin.file for plugin in find_plugins(other_eal).plugins] == [real]


def test_no_folder_and_an_empty_one_are_faults(folder: Path, other_eal: Path) -> None:
    assert "has no PMD" in find_plugins(other_eal).faults()[0]
    folder.rmdir()
    assert "is not there" in find_plugins(other_eal).faults()[0]


def test_a_folder_that_everybody_may_write_is_a_fault(installed: Plugins, folder: Path, other_eal: Path) -> None:
    copy_into(folder, installed, "rte_dma_skeleton")
    folder.parent.chmod(0o777)
    assert any(fault.endswith(f"may write {folder.parent}") for fault in find_plugins(other_eal).faults())


@pytest.mark.parametrize(("old", "new"), [(b'{"name"', b'{"nome"'), (b'"pci_ids": []', b'"pci_ids": 17')])
def test_a_driver_that_says_nothing_useful_is_left_out(
    installed: Plugins, folder: Path, other_eal: Path, old: bytes, new: bytes
) -> None:
    copy_into(folder, installed, "rte_dma_skeleton", old, new)
    (plugin,) = find_plugins(other_eal).plugins
    assert (plugin.drivers, plugin.problem) == ((), "")


def test_without_a_librte_eal_there_are_no_plugins(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r--p 00000000 00:00 0 \n7f00-7f01 r--p 00000000 08:01 7  /usr/lib/libc.so.6\n")
    assert loaded_eal(maps) is None
    assert find_plugins(tmp_path / "librte_eal.so.23.0") == Plugins(None, None)
    assert Plugins(None, None).faults() == []


def test_an_eal_that_was_replaced_meanwhile_is_still_found(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r--p 0 08:01 7    /opt/my dpdk/librte_eal.so.25.0 (deleted)\n")
    assert loaded_eal(maps) == Path("/opt/my dpdk/librte_eal.so.25.0")


def test_pci_ids_match_with_ffff_for_any() -> None:
    device = PciId(0x8086, 0x0B25, 0x8086, 0)
    assert PciId(0x8086, 0x0B25).matches(device)
    assert PciId(0x8086, 0xFFFF).matches(device)
    assert PciId(0x8086, 0x0B25, 0x8086, 0).matches(device)
    assert not PciId(0x8086, 0x0B25, 0x15D9).matches(device)
    assert not PciId(0x8086, 0x0B26).matches(device)


def test_kernel_drivers_are_words() -> None:
    assert Driver("x", kmod="* igb_uio | vfio-pci").kernel_drivers == ("igb_uio", "vfio-pci")
    assert Driver("x").kernel_drivers == ()
