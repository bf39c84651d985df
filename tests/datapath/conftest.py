# SPDX-License-Identifier: BSD-3-Clause
"""What all datapath tests share: short socket paths, and a look at what they leave behind."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import HUGEPAGES

from pydpdk_defer.host import runtime_dir


def _orphaned_runtime_folders() -> set[str]:
    """Runtime folders of DPDK processes of ours that are gone."""
    folders = [path for root in runtime_dir.roots() for path in root.glob("pydpdk_*_*")]
    return {str(path) for path in folders if not Path("/proc", path.name.rpartition("_")[2]).exists()}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A fresh folder whose path leaves room for a socket's name (107 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="pd-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    before = _orphaned_runtime_folders()
    free_before = _free_hugepages()
    yield
    assert _orphaned_runtime_folders() - before == set()
    if HUGEPAGES:
        assert _free_hugepages() == free_before


def _free_hugepages() -> int:
    path = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
    return int(path.read_text()) if path.exists() else 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which cells of test_matrix.py ran."""
    reports = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    cells = [value for report in reports for name, value in report.user_properties if name == "cell"]
    if cells:
        terminalreporter.section(f"{len(cells)} cells of the matrix ran and passed")
        for cell in cells:
            terminalreporter.write_line(cell)
