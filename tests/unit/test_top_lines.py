# SPDX-License-Identifier: BSD-3-Clause
"""What `top` shows of two looks and of its keys, without a terminal."""

import re

import pytest
from telemetry_lists import lists

from pydpdk_defer.stats import Snapshot
from pydpdk_defer.views.top import KEYS, Look, Top

FIRST = {"pmd__rx_packets": 5000, "pmd__busy_cycles": 10**8, "txq__submitted": 4900, "txq__completed": 4900}
SECOND = {
    "pmd__rx_packets": 7000,
    "pmd__tx_packets": 1900,
    "pmd__busy_cycles": 3 * 10**8,
    "pmd__idle_cycles": 2 * 10**9 - 2 * 10**8,
    "pmd__work_deferred": 105,
    "pmd__work_done": 100,
    "pmd__work_in_progress": 300,
    "txq__submitted": 6900,
    "txq__completed": 6890,
    "txq__in_flight": 10,
    "txq__bytes_dma": 10**6,
    "drop__ring_full": 60,
    "drop__no_guest": 40,
    "dma__submitted": 6900,
    "dma__completed": 6890,
}


def top(*looks: dict[str, int], seconds: float = 2.0) -> Top:
    shown = Top("pydpdk_defer_7 (process 7)")
    for number, counters in enumerate(looks):
        shown.look(Look(lists(10 + number * seconds, **counters)))
    return shown


def line_of(shown: Top, start: str, width: int = 120) -> str:
    [line] = [line for line in shown.lines(width, 40) if line.strip().startswith(start)]
    return line


def words(line: str) -> str:
    return " ".join(line.split())


def test_rates_are_right_from_the_second_look_on() -> None:
    assert "-" in line_of(top(FIRST), "core 1").split()
    shown = top(FIRST, SECOND)
    assert words(line_of(shown, "core 1")) == "core 1 1.00 kpps 950 pps 10.0 % 90.0 % 100000 4.00 5/127"
    assert words(line_of(shown, "vm0:0")) == "vm0:0 0 pps 995 pps 10 100 ring_full dma"
    assert words(line_of(shown, "copier")).startswith("copier 3.44 k/s 10 0 in use ")
    assert "up 0:00:12  by name" in shown.lines(120, 40)[0]
    assert shown.lines(120, 40)[-1] == KEYS


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (60, 12)])
def test_it_fits(width: int, height: int) -> None:
    lines = top(FIRST, SECOND).lines(width, height)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)


PMD_COLUMNS = ["PMD", "rx", "tx", "busy", "idle", "cyc/pkt", "chk/item", "ring"]
QUEUE_COLUMNS = ["queue", "in", "out", "in flight", "dropped", "most by", "copied by"]
DMA_COLUMNS = ["DMA", "copies", "in flight", "errors", "state", "device"]


def grown(magnitude: int) -> dict[str, int]:
    """Two seconds in which all counters grew by about `magnitude`, so that every cell is as long as it can be."""
    return {
        "pmd__rx_packets": 2 * magnitude,
        "pmd__tx_packets": 2 * magnitude,
        "pmd__busy_cycles": 2468 * magnitude,
        "pmd__idle_cycles": 2468 * magnitude,
        "pmd__work_deferred": 127,
        "pmd__work_done": 1,
        "pmd__work_in_progress": magnitude,
        "rxq__packets": 2 * magnitude,
        "txq__completed": 2 * magnitude,
        "txq__in_flight": magnitude,
        "txq__bytes_dma": magnitude,
        "drop__ring_full": magnitude,
        "dma__submitted": 3 * magnitude,
        "dma__completed": 2 * magnitude,
        "dma__errors": magnitude,
    }


@pytest.mark.parametrize("magnitude", [1, 999, 123_456, 12_345_678, 10**12, 10**18])
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_number_is_whole_or_its_column_is_left_out_with_a_mark(width: int, magnitude: int) -> None:
    shown = top({}, grown(magnitude))
    whole = shown.lines(1000, 60)
    cut = shown.lines(width, 60)
    assert len(cut) == 60
    assert all(len(line) <= width for line in cut)
    for columns in (PMD_COLUMNS, QUEUE_COLUMNS, DMA_COLUMNS):
        [head] = [line for line in cut if line.strip().startswith(f"{columns[0]} ")]
        [full_head] = [line for line in whole if line.strip().startswith(f"{columns[0]} ")]
        kept = [column for column in columns if re.search(rf"(?<!\S){re.escape(column)}(?!\S| flight)", head)]
        assert head.endswith("  ...") == (kept != columns), head
        row, full_row = cut[cut.index(head) + 1], whole[whole.index(full_head) + 1]
        cells = dict(zip(columns, re.split(r"  +", full_row.strip()), strict=True))
        assert re.split(r"  +", row.strip()) == [cells[column] for column in kept]
        assert len(kept) >= 3 or magnitude > 10**9


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_detail_of_a_queue_fits_too(width: int) -> None:
    shown = top({}, grown(10**18))
    shown.key("enter")
    times = {("vm0", 0): dict.fromkeys(("count", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"), 10**12)}
    shown.look(Look(lists(14, **grown(10**18)), times))
    lines = shown.lines(width, 60)
    assert all(len(line) <= width for line in lines)
    assert " ".join(" ".join(lines).split()).count("1000000000.0") == 6


def test_usual_figures_fit_80_columns_without_a_mark() -> None:
    """A thread that is 10 % busy, as in any real run."""
    figures = {
        "pmd__rx_packets": 29_760_000,
        "pmd__tx_packets": 29_760_000,
        "pmd__busy_cycles": 3 * 10**8,
        "pmd__idle_cycles": 17 * 10**8,
        "pmd__work_deferred": 227,
        "pmd__work_done": 100,
        "pmd__work_in_progress": 128_267,
        "txq__bytes_dma": 1,
        "drop__ring_full": 12_345,
    }
    lines = top({}, figures).lines(80, 24)
    assert not any(line.endswith("...") for line in lines)
    [pmd] = [line for line in lines if "core 1" in line]
    assert pmd.endswith("127/127")


def test_what_does_not_fit_is_told() -> None:
    shown = top(FIRST, SECOND)
    shown.key("enter")
    assert shown.lines(80, 12)[-2] == "  ... 13 more lines"


def test_a_small_terminal_is_told() -> None:
    assert top(FIRST).lines(59, 40) == ["the terminal is 59x40; top needs 60x12"]


def test_paused_it_stands_still() -> None:
    shown = top(FIRST)
    shown.key("p")
    shown.look(Look(lists(12, **SECOND)))
    assert "PAUSED" in shown.lines(120, 40)[0]
    assert "up 0:00:10" in shown.lines(120, 40)[0]
    shown.key("p")
    shown.look(Look(lists(14, **SECOND)))
    assert "up 0:00:14" in shown.lines(120, 40)[0]
    assert line_of(shown, "vm0:0").split()[3] == "498"  # since what was shown before


def test_drops_are_counted_since_clear() -> None:
    shown = top(FIRST, SECOND)
    shown.key("c")
    shown.look(Look(lists(14, **SECOND | {"drop__ring_full": 61})))
    assert " 1  ring_full" in line_of(shown, "vm0:0")


def test_queues_are_sorted() -> None:
    shown = top(FIRST | {"rxq__packets": 0}, SECOND)
    names = []
    for _ in range(4):
        names.append([line.split()[0] for line in shown.lines(120, 40) if line.strip().startswith("vm0:")])
        shown.key("s")
    assert names[0] == ["vm0:0", "vm0:1"]
    assert all(order[0] == "vm0:0" for order in names[1:])
    assert "by name" in shown.lines(120, 40)[0]


def test_one_queue_in_detail() -> None:
    shown = top(FIRST, SECOND)
    lines = shown.lines(120, 40)
    assert lines[shown.marked(lines) or 0].strip().startswith("vm0:0 ")
    shown.key("down")
    lines = shown.lines(120, 40)
    assert lines[shown.marked(lines) or 0].strip().startswith("vm0:1 ")
    shown.key("up")
    shown.key("enter")
    times = {("vm0", 0): {"count": 5, "mean_ns": 1500, "p50_ns": 1200, "max_ns": 9000}}
    shown.look(Look(lists(14, **SECOND | {"txq__completed": 8890}), times))
    assert line_of(shown, "completed").split() == ["completed", "1.00", "k", "3990", "8890"]
    assert line_of(shown, "in_flight ").split() == ["in_flight", "10"]
    assert line_of(shown, "drops ring_full").split() == ["drops", "ring_full", "0", "60", "60"]
    assert line_of(shown, "in flight, us").endswith("mean 1.5  p50 1.2  max 9.0")
    shown.key("escape")
    assert line_of(shown, "core 1")


def test_many_queues_take_one_difference_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is of the whole datapath: one for each queue that is drawn would be too much."""
    made = 0
    subtract = Snapshot.__sub__

    def counted(now: Snapshot, before: Snapshot) -> Snapshot:
        nonlocal made
        made += 1
        return subtract(now, before)

    monkeypatch.setattr(Snapshot, "__sub__", counted)
    shown = top(FIRST, SECOND)
    made = 0
    shown.sort = "drops"
    shown.lines(120, 40)
    shown.key("down")
    assert made == 0
