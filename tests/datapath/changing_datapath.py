# SPDX-License-Identifier: BSD-3-Clause
"""A datapath that changes again and again while packets pass; a process of its own, for test_changes.py.

    python changing_datapath.py JSON      {"topology": ..., "cores": [two], "socket": of vm1, "changes": N, "seed": N}

A paced stream goes to a guest on vm0 all the time, by whatever threads and channels there are. Prints a line of JSON:
the final figures, what was changed how often, and the resident memory in MB after each change.
"""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pydpdk_defer as pd

PAGE_MB = 4096 / 2**20
COPIES: tuple[Literal["dma", "cpu", "auto"], ...] = ("dma", "cpu", "auto")
SLEEP_MAX_US = 200  # threads on all CPUs leave some of them to the guest


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB


class Changes:
    """Each method is a change; which are possible depends on what the datapath is like."""

    def __init__(self, dp: pd.Datapath, cores: list[int], socket: str, seed: int) -> None:
        self.dp = dp
        self._cores = cores
        self._socket = socket
        self._random = random.Random(seed)
        self._added = 0

    def possible(self) -> Iterator[Callable[[], None]]:
        topology = self.dp.topology
        cores = [pmd.core for pmd in topology.pmd]
        yield from (self.other_rules, self.other_engine)
        yield self.add_thread if len(cores) == 1 else self.remove_thread
        if len(cores) == 2:
            yield self.move_rxq
        yield self.remove_ports if len(topology.port) > 2 else self.add_ports
        if len(topology.port) > 2:
            yield self.swap_wires

    def one(self) -> str:
        change = self._random.choice(list(self.possible()))
        change()
        return change.__name__

    def other_rules(self) -> None:
        policy = self._random.choice(["fifo", "per_queue"])
        options = {**self.dp.topology.deferral.model_dump(), "policy": policy, "paced": self._random.random() < 0.5}
        self.dp.set_deferral(pd.DeferralOptions(**options))

    def other_engine(self) -> None:
        now = self.dp.snapshot().ports["vm0"].copy
        self.dp.set_copy("vm0", self._random.choice([copy for copy in COPIES if copy != now]))

    def add_thread(self) -> None:
        rxqs = self._random.choice([(), ("src:0",)])
        self.dp.add_pmd(self._other(self.dp.topology.pmd[0].core), rxqs, sleep_max_us=SLEEP_MAX_US)

    def remove_thread(self) -> None:
        self._random.shuffle(cores := [pmd.core for pmd in self.dp.topology.pmd])
        self.dp.remove_pmd(cores[0], to=cores[1])

    def move_rxq(self) -> None:
        rxq = self._random.choice([rxq for pmd in self.dp.topology.pmd for rxq in pmd.rxqs])
        now = next(pmd.core for pmd in self.dp.topology.pmd if rxq in pmd.rxqs)
        self.dp.move_rxq(rxq, self._other(now))

    def _other(self, core: int) -> int:
        return sum(self._cores) - core

    def add_ports(self) -> None:
        self._added += 1
        tables = self.dp.topology.to_dict()
        tables["port"] |= {
            "more": {"kind": "generator", "rate_pps": 5000, "frame_size": "imix"},
            "null": {"kind": "ethdev", "device": f"net_null{self._added}"},
            "vm1": {"kind": "vhost", "socket": self._socket, "dma": ["copier"]},
        }
        tables["forward"]["wires"].append(["more", "null"])
        self._random.choice(tables["pmd"])["rxqs"] += ["more:0", "null:0"]
        self.dp.change(pd.Topology.from_dict(tables))

    def remove_ports(self) -> None:
        for port in ("more", "null", "vm1"):
            self.dp.remove_port(port)

    def swap_wires(self) -> None:
        to_guest = ["more", "vm1"] not in map(list, self.dp.topology.forward.wires)
        tables = self.dp.topology.to_dict()
        tables["forward"]["wires"] = [["src", "vm0"], ["more", "vm1" if to_guest else "null"]]
        for pmd in tables["pmd"]:
            pmd["rxqs"] = [rxq for rxq in pmd["rxqs"] if rxq != "null:0"]
        self.dp.change(pd.Topology.from_dict(tables))


def main(task: dict[str, Any]) -> None:
    done: Counter[str] = Counter()
    resident = []
    with pd.Datapath(pd.Topology.from_dict(task["topology"])) as dp:
        dp.wait_for_guest("vm0", 60)
        dp.start_traffic()
        changes = Changes(dp, task["cores"], task["socket"], task["seed"])
        for _ in range(task["changes"]):
            time.sleep(0.05)
            done[changes.one()] += 1
            resident.append(resident_mb())
        dp.run(seconds=0.2)
        counters = dp.vhost_counters("vm0")
    final = dp.snapshot()
    report = {
        "faults": final.faults(stopped=True),
        "changes": done,
        "resident_mb": resident,
        "vhost_counters": counters,
    }
    print(json.dumps(final.to_dict() | report), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
