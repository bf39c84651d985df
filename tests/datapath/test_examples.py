# SPDX-License-Identifier: BSD-3-Clause
"""The topologies of examples/ run as their comments say, on sockets and files of the test's own."""

from pathlib import Path

import pytest
from pcap import write_pcap
from processes import HUGEPAGES, Guest, Run, dropped, reached

from pydpdk_defer.topology import Topology

pytestmark = pytest.mark.timeout(120)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FRAMES = 5000


@pytest.mark.pages
@pytest.mark.rights
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_example_runs(folder: Path, path: Path) -> None:
    text = path.read_text().replace("/tmp/", f"{folder}/")
    tables = Topology.loads(text).to_dict()
    tables["eal"]["hugepages"] = HUGEPAGES
    write_pcap(folder / "frames.pcap", [bytes([n % 256]) * (60 + n) for n in range(FRAMES)])
    vhost = tables["port"].get("vm0")
    with Run(folder, tables, "--packets", str(FRAMES), "--duration", "60", "--wait-guest", "60") as run:
        if vhost is None:
            figures = run.result()
            assert figures["pmds"][0]["work_done"] == figures["pmds"][0]["work_deferred"] > 0
            assert figures["pmds"][0]["work_in_progress"] > 0
            return
        arguments = ["--queues", str(vhost["queues"])] + (["--server"] if vhost["mode"] == "client" else [])
        role = "sink" if "file" in tables["port"] else "verify"
        with Guest(folder, folder / "vm0.sock", *arguments, role=role) as guest:
            figures = run.result()
            report = guest.report()
    assert report["received"] == reached(figures, "vm0") == FRAMES - dropped(figures, "vm0") > 0
