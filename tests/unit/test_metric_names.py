# SPDX-License-Identifier: BSD-3-Clause
"""Metrics: each counter of a snapshot has one, with a unit in its name, and values come through."""

import json
import re
from dataclasses import fields
from importlib import resources
from typing import Any

import pytest
from telemetry_lists import lists

from pydpdk_defer.endpoints import defer
from pydpdk_defer.stats import Dma, Mempool, Pmd, PortCounters, Rxq, Txq
from pydpdk_defer.views.openmetrics import NAMESPACE

# What a snapshot has that is no figure, or that telemetry has in another place.
ELSEWHERE = {
    Pmd: {"core", "recent_busy_cycles"},
    Rxq: {"recent_cycles"},
    Txq: {"in_flight_time"},
    PortCounters: {"kind", "copy", "rxqs", "txqs", "vhost_counters"},
    Dma: {"device", "driver", "model"},
    Mempool: {"repeated"},
}
LIST_OF = {Pmd: "pmd", Rxq: "rxqs", Txq: "txqs", PortCounters: "ports", Dma: "dma", Mempool: "mempools"}


class FakeSocket:
    """Answers with lists from memory, two records at a time."""

    def __init__(self, answers: dict[str, list[dict[str, Any]]]) -> None:
        self._answers = answers

    def cmd(self, command: str, first: int | None = None) -> dict[str, Any]:
        records = self._answers.get(command.removeprefix(defer.PREFIX), [])
        start = first or 0
        return {str(number): record for number, record in enumerate(records[start : start + 2], start)}


@pytest.mark.parametrize("record", LIST_OF)
def test_each_counter_has_a_metric(record: type) -> None:
    counters = {f.name for f in fields(record)} - ELSEWHERE[record]
    assert defer.LISTS[LIST_OF[record]][1].keys() == counters


def test_names_are_as_openmetrics_has_them() -> None:
    for name, (text, kind) in defer.info().items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert name.endswith("_total") == (kind == "counter"), name
        assert text
        assert not re.search(r"_(us|ns|ms)(_|$)", name)
    names = [name for _, of_list in defer.LISTS.values() for name, *_ in of_list.values()]
    assert len(names) == len(set(names))


def test_values_and_labels() -> None:
    sock = FakeSocket(lists(2.5, pmd__rx_packets=7, txq__completed=5, txq__bytes_dma=500, drop__ring_full=3))
    found = {(name, tuple(sorted(labels.items()))): value for name, value, labels in defer.metrics(sock)}
    vm0 = (("port", "vm0"), ("qid", 0))
    assert found["pmd_rx_packets_total", (("core", 1),)] == 7
    assert found["txq_completed_packets_total", vm0] == 5
    assert found["txq_bytes_total", (("engine", "dma"), *vm0)] == 500
    assert found["txq_dropped_packets_total", (*vm0, ("reason", "ring_full"))] == 3
    assert found["uptime_seconds", ()] == pytest.approx(2.5)
    assert found["rxq_packets_total", (("port", "vm0"), ("qid", 1))] == 0  # the third of its list
    assert {name for name, _ in found} <= defer.info().keys()


def test_the_dashboard_asks_for_metrics_that_are_there() -> None:
    board = json.loads(resources.files("pydpdk_defer.endpoints").joinpath("grafana-dashboard.json").read_text())
    asked = {name for target in all_targets(board) for name in re.findall(rf"{NAMESPACE}(\w+)", target["expr"])}
    assert asked <= defer.info().keys()
    for of_all in ("pmd_busy_cycles_total", "txq_dropped_packets_total", "dma_completed_copies_total"):
        assert of_all in asked
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels)


def test_legends_name_labels_that_metrics_have() -> None:
    board = json.loads(resources.files("pydpdk_defer.endpoints").joinpath("grafana-dashboard.json").read_text())
    labels = {key for keys, _ in defer.LISTS.values() for key in keys} | {"reason", "engine"}
    for target in all_targets(board):
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels


def all_targets(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [target for panel in board["panels"] for target in panel["targets"]]
