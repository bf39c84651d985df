# SPDX-License-Identifier: BSD-3-Clause
"""Each Python and TOML block of README and docs runs, in a folder of the test's own in place of /tmp."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from processes import Guest, Process

from pydpdk_defer.topology import Topology

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[pytest.param]:  # type: ignore[valid-type]
    found = []
    for page in PAGES:
        text = page.read_text()
        for block in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, block.start()) + 1
            marks = [pytest.mark.full] if "pd.evaluate(" in block[1] else []
            found.append(pytest.param(block[1], id=f"{page.name}:{line}", marks=marks))
    return found


@pytest.mark.parametrize("text", blocks("toml"))
def test_toml(text: str) -> None:
    """A whole topology, or tables that take the place of some in the example."""
    tables = tomllib.loads(text)
    if "pmd" not in tables:
        example = Topology.load(ROOT / "examples" / "generator-to-vm.toml").to_dict()
        tables = {
            name: {**table, **tables.get(name, {})} if name != "pmd" else table for name, table in example.items()
        }
    Topology.from_dict(tables)


@pytest.mark.parametrize("text", blocks("python"))
def test_python(folder: Path, text: str) -> None:
    shutil.copytree(ROOT / "examples", folder / "examples")
    for path in (folder / "examples").glob("*.toml"):
        path.write_text(path.read_text().replace("/tmp/", f"{folder}/"))
    script = folder / "block.py"
    script.write_text(f"import os\nos.chdir({str(folder)!r})\n" + text.replace("/tmp/", f"{folder}/"))
    with Process(folder, "script", [sys.executable, str(script)], {"PLOTLY_RENDERER": "json"}) as run:
        if "wait_for_guest" in text:
            with Guest(folder, folder / "vm0.sock", "--virtio", "queue_size=16384"):
                assert run.finish(seconds=180) == 0, run.stderr
        else:
            assert run.finish(seconds=180) == 0, run.stderr
