# SPDX-License-Identifier: BSD-3-Clause
"""Each counter that a snapshot has, by its one definition in `stats.py`, is told by a view for people: when it changes,
so does what one of them prints."""

from dataclasses import fields
from typing import Any

import pytest
from telemetry_lists import lists

from pydpdk_defer.attach import snapshot_of
from pydpdk_defer.stats import Dma, Pmd, PortCounters, Rxq, Txq
from pydpdk_defer.views.perf_show import perf_show
from pydpdk_defer.views.rxq_show import rxq_show
from pydpdk_defer.views.top import Look, Top

BEFORE, AFTER = 10, 70
OF_RECORD = {Pmd: ("pmd", 0), Rxq: ("rxqs", 1), Txq: ("txqs", 0), PortCounters: ("ports", 1), Dma: ("dma", 0)}
# What is no counter, or has another place in telemetry.
NO_COUNTER = {"core", "kind", "copy", "rxqs", "txqs", "vhost_counters", "in_flight_time", "model"}
CASES = [(record, f.name) for record in OF_RECORD for f in fields(record) if f.name not in NO_COUNTER]


def looked_at(record: type, name: str, value: Any) -> dict[str, list[dict[str, Any]]]:
    busy = {"pmd__busy_cycles": 10**9, "pmd__idle_cycles": 10**9, "pmd__rx_packets": 10**6, "pmd__iterations": 10**6}
    work = {"pmd__work_deferred": 10**4, "pmd__work_done": 9000, "pmd__busy_iterations": 10**5, "dma__modelled": 1}
    queue = {"rxq__packets": 10**4, "rxq__batches": 10**3}
    answer = lists(AFTER, **busy, **work, **queue)
    kind, number = OF_RECORD[record]
    answer[kind][number][name] = value
    return answer


def told(answer: dict[str, list[dict[str, Any]]]) -> str:
    """All that the views print, the detail of a queue too."""
    snapshot = snapshot_of(answer)
    top = Top("somebody")
    top.look(Look(lists(BEFORE)))
    top.look(Look(answer))
    screens = [top.lines(200, 100)]
    top.key("enter")
    screens.append(top.lines(200, 100))
    texts = [str(snapshot), perf_show(snapshot, {1: 0}, "12:34:56.789"), rxq_show(answer, {1: 0})]
    return "\n".join(texts + ["\n".join(screen) for screen in screens])


@pytest.mark.parametrize(("record", "name"), CASES, ids=[f"{record.__name__}.{name}" for record, name in CASES])
def test_it_is_told(record: type, name: str) -> None:
    kind, number = OF_RECORD[record]
    before = looked_at(record, "", 0)[kind][number][name]
    after: Any
    if isinstance(before, list):
        after = [10**9] * len(before)
    elif isinstance(before, dict):
        after = dict.fromkeys(before, 10**6)
    elif isinstance(before, str):
        after = "another"
    else:
        after = 1 - before if name in ("is_hardware", "out_of_use", "modelled") else before + 10**6
    assert told(looked_at(record, name, after)) != told(looked_at(record, name, before))
