# SPDX-License-Identifier: BSD-3-Clause
"""Slices of one datapath with 64 vhost ports, of which as many are polled and have traffic as a slice is about."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import _bare_loop
from ring_guests import ring_guests

from pydpdk_defer import Datapath, Topology, _native

__all__ = ["BURST", "ENGINES", "PORTS", "TOTAL_PPS", "Bench", "Engine", "Load", "Slice", "datapath_with_guests"]

PMD_CORE = 1
OTHER_CORE = 0
PORTS = 64
BURST = 32
# What one port carries: by DMA the copying thread shares a CPU with the guests, which then come late for their rings.
TOTAL_PPS = {"cpu": 1_000_000, "dma": 200_000}
GUEST_TIMEOUT_SECONDS = 60
# Of a slice, in which the thread may have waited for its CPU; and how often one that has more is taken.
WAITED_SHARE = 0.005
TRIES = 4

Engine = Literal["cpu", "dma"]
ENGINES: tuple[Engine, ...] = ("cpu", "dma")


@dataclass(frozen=True)
class Load:
    """What a slice is about: how many vhost ports and generators are polled, and how many of these have traffic."""

    ports: int
    generators: int
    busy: int
    together: bool = False

    @property
    def name(self) -> str:
        """Its key in the results."""
        if self.busy == self.ports:
            return f"{'together' if self.together else 'in_turn'}_{self.ports}"
        return "beside_silent" if self.generators == self.ports else "beside_silent_guests"


@dataclass(frozen=True)
class Slice:
    """What one slice gave."""

    offered: int
    delivered: int
    busy_cycles: int
    idle_cycles: int
    idle_rounds: int
    busy_rounds: int
    waited_share: float

    @property
    def disturbance(self) -> float:
        """How little it is worth: the thread's wait for its CPU; more than all when the guests got nothing."""
        return self.waited_share if self.delivered > 0 or self.offered == 0 else 2

    @property
    def cycles_per_packet(self) -> float:
        return self.busy_cycles / self.delivered if self.delivered else float("nan")

    @property
    def cycles_per_idle_round(self) -> float:
        """Of a slice without traffic: there the time off the CPU is known to be idle time."""
        return self.idle_cycles * (1 - self.waited_share) / self.idle_rounds


class Bench:
    """Slices of one datapath, whose thread is stopped between them."""

    def __init__(self, datapath: Datapath, slice_ms: int) -> None:
        assert datapath._parts is not None
        parts = datapath._parts
        self._datapath = datapath
        self._topologies: dict[tuple[int, int], Topology] = {}
        [self._pmd] = parts.pmds.values()
        self._dma = parts.dma["copier"]
        self._generators = [port for port in parts.ports.values() if isinstance(port, _native.GeneratorPort)]
        self._vhosts = [port for port in parts.ports.values() if isinstance(port, _native.VhostPort)]
        self._slice_ms = slice_ms
        self._cpus = os.sched_getaffinity(0)
        self._pmd.stop()

    def traffic(self, load: Load, engine: Engine, size: int) -> Slice:
        """Traffic by this load."""
        self._poll(load.ports, load.generators)
        return self._undisturbed(lambda: self._traffic(load, engine, size))

    def bare(self, ports: int, engine: Engine, size: int) -> Slice:
        """The same bursts, in turn to the guests of so many ports, by a bare loop."""
        return self._undisturbed(lambda: self._bare(ports, engine, size))

    def idle(self, ports: int, generators: int) -> Slice:
        """No traffic."""
        self._poll(ports, generators)
        return self._undisturbed(self._idle)

    def _undisturbed(self, take: Callable[[], Slice]) -> Slice:
        os.sched_setaffinity(0, self._cpus - {PMD_CORE})  # this thread's own: it is busy while it starts generators
        slices: list[Slice] = []
        while not slices or (slices[-1].disturbance > WAITED_SHARE and len(slices) < TRIES):
            slices.append(take())
        os.sched_setaffinity(0, self._cpus)
        return min(slices, key=lambda one: one.disturbance)

    def _traffic(self, load: Load, engine: Engine, size: int) -> Slice:
        generators = self._generators[: load.busy]
        total_pps = TOTAL_PPS[engine]
        for generator, vhost in zip(generators, self._vhosts, strict=False):
            generator.set_shape(frame_sizes=[size], rate_pps=total_pps / load.busy, burst=BURST, pattern=False)
            vhost.copy = engine
        before = self._counters()
        if not load.together:
            self._pmd.start()
        start = time.perf_counter()
        for at, generator in enumerate(generators):
            while not load.together and time.perf_counter() < start + at * BURST / total_pps:
                pass
            generator.start_traffic(0)
        if load.together:
            self._pmd.start()  # all take up their traffic in one round, and stay in step
        time.sleep(self._slice_ms / 1000)
        self._datapath.stop_traffic()
        return self._end_slice(before)

    def _bare(self, ports: int, engine: Engine, size: int) -> Slice:
        result = _bare_loop.run(
            vids=[vhost.vid for vhost in self._vhosts[:ports]],
            dma_id=self._dma.dev_id if engine == "dma" else -1,
            pool="mbufs",
            frame_size=size,
            rate_pps=TOTAL_PPS[engine],
            milliseconds=self._slice_ms,
            core=PMD_CORE,
        )
        return Slice(
            offered=result["packets"],
            delivered=result["packets"],
            busy_cycles=result["busy_cycles"],
            idle_cycles=result["cycles"] - result["busy_cycles"],
            idle_rounds=0,
            busy_rounds=0,
            waited_share=0,
        )

    def _idle(self) -> Slice:
        before = self._counters()
        self._pmd.start()
        time.sleep(self._slice_ms / 1000)
        return self._end_slice(before)

    def _end_slice(self, before: dict[str, int]) -> Slice:
        waited_share = waited_for_cpu()
        self._pmd.stop()
        after = self._counters()
        difference = {name: after[name] - before[name] for name in after}
        return Slice(
            offered=difference["rx_packets"],
            delivered=difference["completed"],
            busy_cycles=difference["busy_cycles"],
            idle_cycles=difference["idle_cycles"],
            idle_rounds=difference["iterations"] - difference["busy_iterations"],
            busy_rounds=difference["busy_iterations"],
            waited_share=waited_share,
        )

    def _counters(self) -> dict[str, int]:
        completed = sum(vhost.txq_stats(0)["completed"] for vhost in self._vhosts)
        stats = self._pmd.stats()
        names = ("rx_packets", "busy_cycles", "idle_cycles", "iterations", "busy_iterations")
        return {"completed": completed, **{name: int(stats[name]) for name in names}}

    def _poll(self, ports: int, generators: int) -> None:
        key = ports, generators
        if key not in self._topologies:
            tables = self._datapath.topology.to_dict()
            tables["pmd"][0]["rxqs"] = rxqs(ports, generators)
            self._topologies[key] = Topology.from_dict(tables)
        if self._datapath.topology is not self._topologies[key]:
            self._datapath.change(self._topologies[key])


def waited_for_cpu() -> float:
    """The part of its life in which the PMD thread could have run but was not let."""
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text() == f"pmd-c{PMD_CORE}\n":
            ran, waited, _ = map(int, (task / "schedstat").read_text().split())
            return waited / (ran + waited)
    return 0


def rxqs(ports: int, generators: int) -> list[str]:
    """As a thread polls them."""
    return [f"src{at}:0" for at in range(generators)] + [f"vm{at}:0" for at in range(ports)]


@contextmanager
def datapath_with_guests(largest: int) -> Iterator[Datapath]:
    """All ports with their guests; PMD on one core, guests and copying thread on the other."""
    with tempfile.TemporaryDirectory() as folder:
        sockets = [f"{folder}/vm{at}.sock" for at in range(PORTS)]
        generator = {"kind": "generator", "frame_size": largest, "pattern": False}
        topology = Topology.from_dict(
            {
                "eal": {"memory_mb": 768, "hugepages": False},
                "dma": {"copier": {"device": f"dma_skeleton0,lcore={OTHER_CORE}", "ring_size": 4096}},
                "port": {
                    **{f"src{at}": generator for at in range(PORTS)},
                    **{f"vm{at}": {"kind": "vhost", "socket": sockets[at], "dma": ["copier"]} for at in range(PORTS)},
                },
                "pmd": [{"core": PMD_CORE, "rxqs": rxqs(PORTS, PORTS)}],
                "deferral": {"attempt_limit": 2**31},
                "forward": {"wires": [[f"src{at}", f"vm{at}"] for at in range(PORTS)]},
            }
        )
        with Datapath(topology) as datapath, ring_guests(sockets, core=OTHER_CORE):
            datapath.wait_for_guest(f"vm{PORTS - 1}", GUEST_TIMEOUT_SECONDS)  # the last to connect
            yield datapath
