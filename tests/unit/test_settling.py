# SPDX-License-Identifier: BSD-3-Clause
"""When a datapath counts as quiet: not while a thread's counters stand still because the thread itself does."""

import itertools
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pydpdk_defer.datapath import Datapath
from pydpdk_defer.topology import Topology

TOPOLOGY = Topology.from_dict(
    {
        "port": {"src": {"kind": "generator"}, "out": {"kind": "ethdev", "device": "net_null0"}},
        "pmd": [{"core": 0, "rxqs": ["src:0"]}],
        "forward": {"wires": [["src", "out"]]},
    }
)


def settle(
    monkeypatch: pytest.MonkeyPatch, iterations: Callable[[int], int], patience: float, in_flight: int = 0
) -> tuple[float, int]:
    """Settle on snapshots whose only change is in the iterations of the second of two threads: seconds, looks."""
    looks = itertools.count()
    seen = 0

    def snapshot(_self: Datapath) -> Any:
        nonlocal seen
        seen = next(looks)
        txq = SimpleNamespace(submitted=100, completed=100 - in_flight, given_up=0, in_flight=in_flight, waiting=0)
        pmds = [
            SimpleNamespace(core=core, iterations=count) for core, count in enumerate((1024 * seen, iterations(seen)))
        ]
        return SimpleNamespace(pmds=pmds, txqs=lambda: iter([("out", 0, txq)]))

    monkeypatch.setattr(Datapath, "snapshot", snapshot)
    start = time.monotonic()
    Datapath(TOPOLOGY)._settle(patience)
    return time.monotonic() - start, seen


def test_threads_that_publish_the_same_counters_are_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settle(monkeypatch, lambda look: 1024 * look, patience=60)[1] == 2


def test_a_thread_that_publishes_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settle(monkeypatch, lambda look: 1024 * max(0, look - 10), patience=60)[1] == 12


def test_one_publication_may_have_begun_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, _ = settle(monkeypatch, lambda look: 1024 * (look > 0), patience=0.3)
    assert seconds >= 0.3


def test_what_stays_in_flight_is_waited_for_as_long_as_patience_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, _ = settle(monkeypatch, lambda look: 1024 * look, patience=0.3, in_flight=1)
    assert seconds >= 0.3
