# SPDX-License-Identifier: BSD-3-Clause
"""Changes that a running datapath refuses, each with its reason; a process of its own, for test_changes.py.

python refused_changes.py JSON      {"topology": ..., "core": of a thread, "folder": of its sockets}
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pydpdk_defer as pd


def refused(change: Callable[[], Any], *texts: str) -> None:
    """It is refused, and the reason names these."""
    with pytest.raises(pd.DeferError) as caught:
        change()
    assert all(text in str(caught.value) for text in texts), caught.value


def main(task: dict[str, Any]) -> None:
    folder, core = Path(task["folder"]), task["core"]
    with pd.Datapath(pd.Topology.from_dict(task["topology"])) as dp:
        dp.wait_for_guest("vm0", 60)
        before = dp.topology

        def with_tables(**changes: Any) -> pd.Topology:
            return pd.Topology.from_dict(before.to_dict() | changes)

        refused(lambda: dp.change(with_tables(eal={"memory_mb": 1024})), "eal", "cannot change")
        refused(
            lambda: dp.change(with_tables(port=before.to_dict()["port"] | {"src": {"kind": "generator"}})), "port.src"
        )
        refused(lambda: dp.add_port("vm0", {"kind": "generator"}), "port.vm0", "is there already")
        refused(lambda: dp.add_port("vm1", {"kind": "vhost", "socket": str(folder / "no" / "vm1.sock")}), "vm1.sock")
        refused(lambda: dp.add_port("vm1", {"kind": "vhost", "socket": str(folder / "vm0.sock")}), "port.vm1.socket")
        refused(lambda: dp.add_port("eth", {"kind": "ethdev", "device": "net_nul0"}), "net_nul0")
        refused(lambda: dp.remove_port("vm9"), "no port 'vm9'", "vm0")
        refused(lambda: dp.move_rxq("src:0", 99), "no PMD thread on core 99")
        refused(lambda: dp.add_pmd(core), "core")
        refused(lambda: dp.add_pmd(4095), "4095")
        refused(lambda: dp.remove_pmd(core), "[[pmd]]")
        assert dp.topology is before
        assert list(dp.snapshot().ports) == ["src", "vm0"]
        dp.run(packets=2000)
    final = dp.snapshot()
    print(json.dumps(final.to_dict() | {"faults": final.faults(stopped=True)}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
