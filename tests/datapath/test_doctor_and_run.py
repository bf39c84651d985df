# SPDX-License-Identifier: BSD-3-Clause
"""What the doctor says of a topology is what `run` then does, on this machine, with hugepages and without."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import Process, topology

from pydpdk_defer import Topology

FREE_HUGEPAGES_MB = 2 * int((Path("/sys/kernel/mm/hugepages/hugepages-2048kB") / "free_hugepages").read_text())
Tables = dict[str, Any]


def nothing(_tables: Tables) -> None: ...


def no_such_core(tables: Tables) -> None:
    tables["pmd"][0]["core"] = 4095


def too_much_memory(tables: Tables) -> None:
    tables["eal"]["memory_mb"] = 900_000


def hugepages(tables: Tables) -> None:
    tables["eal"]["hugepages"] = True


def more_hugepages_than_there_are(tables: Tables) -> None:
    tables["eal"] |= {"hugepages": True, "memory_mb": 16_384}


def no_folder(tables: Tables) -> None:
    tables["port"]["vm0"]["socket"] = "/nowhere/vm0.sock"


def no_queue(tables: Tables) -> None:
    tables["dma"]["copier"]["device"] = "wq9.9"


def no_pci_device(tables: Tables) -> None:
    tables["eal"]["pci"] = True
    tables["dma"]["copier"]["device"] = "0000:ff:1f.7"


def no_driver(tables: Tables) -> None:
    tables["port"]["src"] = {"kind": "ethdev", "device": "net_nothing0"}


@pytest.mark.pages
@pytest.mark.rights
@pytest.mark.parametrize(
    ("change", "runs"),
    [
        (nothing, True),
        (no_such_core, False),
        (too_much_memory, False),
        (hugepages, FREE_HUGEPAGES_MB >= 256),
        (more_hugepages_than_there_are, False),
        (no_folder, False),
        (no_queue, False),
        (no_pci_device, False),
        (no_driver, False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_the_doctor_says_is_what_run_does(folder: Path, change: Callable[[Tables], None], runs: bool) -> None:
    tables = topology(folder / "vm0.sock")
    change(tables)
    (folder / "t.toml").write_text(Topology.from_dict(tables).to_toml())
    command = [sys.executable, "-m", "pydpdk_defer"]
    with Process(folder, "doctor", [*command, "doctor", str(folder / "t.toml")]) as doctor:
        said = doctor.finish()
    with Process(folder, "run", [*command, "run", str(folder / "t.toml"), "--duration", "0.2", "--quiet"]) as run:
        did = run.finish()
    assert (said == 0, did == 0) == (runs, runs), f"{doctor.stdout}\n{run.stderr}"
    assert doctor.stdout.splitlines()[-1].startswith("yes" if runs else "no")
