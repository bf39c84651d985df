# SPDX-License-Identifier: BSD-3-Clause
"""What all datapath tests share: short socket paths, and a look at what they leave behind."""

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import delivery
import pytest
from processes import runtime_folders_of_the_dead

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which tests failed, for the fixture below."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture
def folder() -> Iterator[Path]:
    """A fresh folder whose path leaves room for a socket's name (107 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="pd-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a failed test leaves is removed, and is no failure of its own."""
    before = runtime_folders_of_the_dead()
    pages_before = _pages_of_datapaths()
    yield
    left = runtime_folders_of_the_dead() - before
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    if not request.node.stash.get(_FAILED, False):
        assert left == set()
        assert _pages_of_datapaths() == pages_before


def _pages_of_datapaths() -> set[Path]:
    """Files of hugepages that this project's processes left: pages without a file go with the process that has them."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " hugetlbfs " in line]
    return {path for mount in mounts for path in Path(mount).glob("pydpdk_defer*")}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which cells of test_matrix.py ran, and which deliveries needed the lower rate."""
    reports = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    cells = [value for report in reports for name, value in report.user_properties if name == "cell"]
    if cells:
        terminalreporter.section(f"{len(cells)} cells of the matrix ran and passed")
        for cell in cells:
            terminalreporter.write_line(cell)
    if delivery.repeated:
        terminalreporter.section(f"{len(delivery.repeated)} deliveries dropped frames, and were repeated slower")
        for line in delivery.repeated:
            terminalreporter.write_line(line)
