# SPDX-License-Identifier: BSD-3-Clause
"""What an evaluation makes of measurements, on a fake measurer with known answers, without EAL."""

from random import Random
from typing import Any

import pytest
from fake_measurer import CROSSOVER, HZ, FakeMeasurer, cycles_of

from pydpdk_defer.evaluate.axes import Axes, Engine, Point, parse_sizes
from pydpdk_defer.evaluate.comparison import figures
from pydpdk_defer.evaluate.intervals import crossing, crossing_interval, median_interval
from pydpdk_defer.evaluate.no_loss import no_loss_rate
from pydpdk_defer.evaluate.records import Repetition
from pydpdk_defer.evaluate.schedule import Schedule
from pydpdk_defer.evaluate.sweep import CorruptionError, Sweep
from pydpdk_defer.evaluate.verdict import Verdict, verdicts

AXES = Axes(frames=(*parse_sizes("64:9000:x2"), "imix"))
SOFTWARE = {"copier": {"origin": "software: dma_skeleton", "is_hardware": False, "modelled": False}}


def sweep(measurer: FakeMeasurer, axes: Axes = AXES, rounds: int = 10, forks: int = 1, **more: Any) -> list[Repetition]:
    kept: list[Repetition] = []
    Sweep(
        axes, Schedule(forks=forks, rounds=rounds, full_rounds=6), measurer, kept.append, evaluation="e", **more
    ).run()
    return kept


def verdict_of(measurer: FakeMeasurer, axes: Axes = AXES, rounds: int = 10, forks: int = 1) -> Verdict:
    [verdict] = verdicts(figures(sweep(measurer, axes, rounds, forks)), SOFTWARE)
    return verdict


# ---- verdicts ----


@pytest.mark.parametrize("seed", range(10))
def test_the_crossover_is_found_through_noise_and_drift(seed: int) -> None:
    verdict = verdict_of(FakeMeasurer(noise=0.05, drift=0.02, seed=seed))
    assert verdict.kind == "from"
    assert verdict.crossover is not None
    assert verdict.crossover.holds(CROSSOVER) or abs(verdict.crossover.value / CROSSOVER - 1) < 0.1


def test_the_headline_says_it_all() -> None:
    verdict = verdict_of(FakeMeasurer(noise=0.01))
    assert verdict.headline.startswith("DMA pays from 1,")
    assert verdict.headline.endswith(
        "saves 72 % of the PMD's cycles at 9,000 bytes, costs 9.0 us at p99; below, CPU copy wins"
    )
    assert verdict.at_full_load.startswith("At full load DMA delivers more from 1,")
    assert "software that plays a DMA engine" in verdict.worth
    assert verdict.auto.startswith("auto needs")


def test_dma_that_never_pays() -> None:
    verdict = verdict_of(FakeMeasurer(cost=lambda engine, size: 300 if engine == "cpu" else 600, noise=0.02))
    assert (verdict.kind, verdict.crossover) == ("never", None)
    assert verdict.headline.startswith("never on this host: up to 9,000 bytes DMA pays nowhere; there it costs ")
    assert "At full load DMA delivers more at no size" in verdict.at_full_load


def test_dma_that_always_pays() -> None:
    verdict = verdict_of(FakeMeasurer(cost=lambda engine, size: 600 if engine == "cpu" else 300, noise=0.02))
    assert verdict.kind == "always"
    assert verdict.headline.startswith("DMA pays at every size measured, from 64 bytes up: saves ")


def test_dma_that_always_pays_from_a_size_whose_logarithm_is_not_exact() -> None:
    measurer = FakeMeasurer(cost=lambda engine, size: 600 if engine == "cpu" else 300, noise=0.02)
    assert verdict_of(measurer, Axes(frames=(100, 400, 9000))).kind == "always"


@pytest.mark.parametrize(("forks", "text"), [(2, "2 forks"), (4, "4 forks")])
def test_few_forks_tell_nothing(forks: int, text: str) -> None:
    verdict = verdict_of(FakeMeasurer(noise=0.01), rounds=4, forks=forks)
    assert verdict.headline == f"cannot tell: {text} are too few for an interval, which needs 5"


def test_auto_has_no_say_in_who_wins_of_the_others() -> None:
    def cost(engine: Engine, size: float) -> float:
        return {"cpu": 1000.0, "dma": 900.0, "auto": 100.0 + 4000 * random.random()}[engine]

    random = Random(3)
    [point] = figures(sweep(FakeMeasurer(cost=cost, noise=0.01), Axes(frames=(1500,))))
    compared = point.compare("cycles", "dma", "cpu")
    assert compared is not None
    assert compared.winner == "dma"
    interval = point.interval("cycles", "dma")
    assert interval is not None
    assert interval.half_width / interval.value < 0.03


def test_dma_that_pays_in_the_middle_only() -> None:
    def cost(engine: Engine, size: float) -> float:
        return 300 if engine == "dma" and size in (1024, 2048) else 500 if engine == "cpu" else 800

    verdict = verdict_of(FakeMeasurer(cost=cost, noise=0.02))
    assert verdict.kind == "between"
    assert "DMA pays at 1,024, 2,048 bytes, but not surely at the largest size, 9,000 bytes" in verdict.headline


def test_what_cannot_be_told_says_why() -> None:
    def kind_and_text(measurer: FakeMeasurer, **more: Any) -> tuple[str, str]:
        verdict = verdict_of(measurer, **more)
        return verdict.kind, verdict.headline

    assert kind_and_text(FakeMeasurer(), rounds=3) == (
        "cannot tell",
        "cannot tell: 3 rounds are too few for an interval, which needs 5",
    )
    kind, text = kind_and_text(FakeMeasurer(fallback_share=0.4))
    assert (kind, text) == ("cannot tell", "cannot tell: in the slices of DMA the CPU moved 40 % of the bytes")
    kind, text = kind_and_text(FakeMeasurer(fails=lambda _: True))
    assert kind == "cannot tell"
    assert "no round of both CPU and DMA copy succeeded" in text
    kind, text = kind_and_text(FakeMeasurer(cost=lambda *_: 500, noise=0.3, seed=3))
    assert kind == "cannot tell"
    assert "the intervals of both overlap" in text
    assert kind_and_text(FakeMeasurer(), axes=Axes(frames=("imix",)))[0] == "cannot tell"


def test_equal_engines_are_no_difference_at_95_of_100_points() -> None:
    equal = winners = 0
    for seed in range(20):
        for point in figures(sweep(FakeMeasurer(cost=lambda *_: 500, noise=0.05, drift=0.02, seed=seed))):
            for quantity in ("cycles", "rate"):
                compared = point.compare(quantity, "dma", "cpu")
                assert compared is not None
                winners += 1
                equal += compared.winner == "no difference"
    assert equal / winners >= 0.95


@pytest.mark.parametrize(
    ("rounds", "forks", "noise", "fork_noise"),
    [(10, 1, 0.05, 0.0), pytest.param(2, 5, 0.03, 0.05, marks=pytest.mark.full)],
)
def test_two_evaluations_of_the_same_agree(rounds: int, forks: int, noise: float, fork_noise: float) -> None:
    agreed = 0
    for pair in range(20):
        seeds = (2 * pair, 2 * pair + 1)
        measurers = (FakeMeasurer(noise=noise, fork_noise=fork_noise, seed=seed) for seed in seeds)
        one, other = (verdict_of(measurer, rounds=rounds, forks=forks).crossover for measurer in measurers)
        agreed += one is not None and other is not None and one.holds(other.value) and other.holds(one.value)
    assert agreed >= 18


def test_what_forks_have_in_common_is_not_taken_for_certain() -> None:
    """Ten rounds of one process seem to tell what those of five do not."""
    cost = {"cpu": 500.0, "dma": 500.0, "auto": 500.0}
    won = {}
    for rounds, forks in ((10, 1), (2, 5)):
        won[forks] = sum(
            compared is not None and compared.winner != "no difference"
            for seed in range(40)
            for point in figures(
                sweep(
                    FakeMeasurer(cost=lambda engine, _: cost[engine], noise=0.01, fork_noise=0.05, seed=seed),
                    Axes(frames=(1500,)),
                    rounds,
                    forks,
                )
            )
            if (compared := point.compare("cycles", "dma", "cpu"))
        )
    assert won[1] >= 20
    assert won[5] <= 4


def test_an_interval_is_free_of_what_weighs_on_all_engines() -> None:
    [point] = figures(sweep(FakeMeasurer(noise=0.01, drift=0.05), Axes(frames=(9000,), engines=("cpu", "dma"))))
    values = [r.cycles_per_packet or 0 for r in point.of("paced", "dma")]
    interval = point.interval("cycles", "dma")
    assert interval is not None
    assert interval.high - interval.low < (max(values) - min(values)) / 3


# ---- the order of things ----


def test_engines_take_turns_and_all_send_at_one_rate() -> None:
    measurer = FakeMeasurer()
    sweep(measurer, Axes(frames=(64, 9000), engines=("cpu", "dma")))
    of_large = [what for name, what in measurer.log if name == "measure" and what[0] == 9000]
    assert [engine for _, engine, _ in of_large[2:10]] == ["cpu", "dma", "dma", "cpu", "cpu", "dma", "dma", "cpu"]
    paced = {rate for _, _, rate in of_large if rate}
    assert len(paced) == 1
    assert paced.pop() == pytest.approx(2e9 / 2550 / 2, rel=0.01)  # half of what the slower one can


def test_nothing_is_kept_of_warming_up() -> None:
    kept = sweep(FakeMeasurer(), Axes(frames=(64,)))
    assert [(r.phase, r.engine, r.round) for r in kept].count(("paced", "cpu", 0)) == 1
    assert len(kept) == 3 * (10 + 6)


def test_a_device_that_corrupts_ends_it() -> None:
    measurer = FakeMeasurer(corrupts="dma")
    with pytest.raises(CorruptionError, match=r"by dma copy, 64 bytes.*3 frames corrupt"):
        sweep(measurer)
    assert measurer.slices == 0


def test_a_corruption_is_the_verdict() -> None:
    kept: list[Repetition] = []
    with pytest.raises(CorruptionError):
        Sweep(AXES, Schedule(), FakeMeasurer(corrupts="dma"), kept.append, evaluation="e").run()
    [verdict] = verdicts(figures(kept), SOFTWARE)
    assert verdict.headline.startswith("cannot tell: the evaluation ends, as data is not what it was: by dma copy")


def test_a_slice_that_fails_is_marked_and_the_sweep_goes_on() -> None:
    measurer = FakeMeasurer(fails=lambda number: number == 40)
    kept = sweep(measurer)
    failed = [repetition for repetition in kept if repetition.failure]
    assert [repetition.failure for repetition in failed] == ["the guest process has ended"]
    assert ("recover", None) in measurer.log
    assert {r.point.frames for r in kept} == set(AXES.frames)
    assert verdicts(figures(kept), SOFTWARE)[0].kind == "from"


def test_a_slower_fork_has_a_rate_that_it_can_carry() -> None:
    speed = {"of": 1.0}
    measurer = FakeMeasurer(cost=lambda engine, size: speed["of"] * cycles_of(engine, size))
    renew = measurer.renew

    def slower() -> None:
        renew()
        speed["of"] *= 4

    measurer.renew = slower  # type: ignore[method-assign]
    kept = sweep(measurer, Axes(frames=(9000,)), rounds=2, forks=2)
    rates = {r.fork: r.offered_pps for r in kept if r.phase == "paced"}
    assert rates[1] == pytest.approx(rates[0] / 4, rel=0.01)


def test_one_bad_slice_makes_no_low_rate_for_all() -> None:
    """Something else had the CPU while a fork measured full load: its other slices, and the first fork, tell."""
    measurer = FakeMeasurer()
    measure = measurer.measure
    full = iter(range(10**6))

    def disturbed(point: Point, engine: Engine, rate_pps: float, seconds: float) -> Any:
        found = dict(measure(point, engine, rate_pps, seconds))
        if rate_pps == 0 and next(full) in (4, 9):
            found["delivered"] //= 300
        return found

    measurer.measure = disturbed  # type: ignore[method-assign]
    kept: list[Repetition] = []
    axes = Axes(frames=(1500,))
    Sweep(axes, Schedule(forks=2, rounds=2, full_rounds=1), measurer, kept.append, evaluation="e").run()
    slowest = min(HZ / cycles_of(engine, 1500) for engine in ("cpu", "dma"))
    [rate] = {r.offered_pps for r in kept if r.phase == "paced"}
    assert rate == pytest.approx(slowest / 2, rel=0.01)


def test_what_is_done_is_not_measured_again() -> None:
    whole = sweep(FakeMeasurer(), Axes(frames=(64, 1500)))
    part = whole[:-5]  # a round, and of another two slices, are missing
    measurer = FakeMeasurer()
    more = sweep(measurer, Axes(frames=(64, 1500)), done=part)
    assert {r.point.frames for r in more} == {1500}
    assert sorted({r.round for r in more}) == [8, 9]
    assert len(more) == 6
    assert {r.offered_pps for r in more} == {whole[-1].offered_pps}


def test_each_fork_is_measured_by_new_processes() -> None:
    measurer = FakeMeasurer()
    kept = sweep(measurer, Axes(frames=(64, 1500)), rounds=2, forks=3)
    assert [name for name, _ in measurer.log].count("renew") == 1 + 2  # once when it was made
    assert {(r.fork, r.round) for r in kept if r.phase == "paced"} == {(n // 2, n) for n in range(6)}
    assert {(r.fork, r.round) for r in kept if r.phase == "full"} == {(n // 6, n) for n in range(18)}
    assert len({r.offered_pps for r in kept if r.phase == "paced" and r.point.frames == 64}) == 1
    verified = [what[:2] for name, what in measurer.log if name == "verify"]
    assert verified == 3 * [(frames, engine) for frames in (64, 1500) for engine in ("cpu", "dma", "auto")]


def test_a_fork_that_is_done_starts_nothing() -> None:
    whole = sweep(FakeMeasurer(), Axes(frames=(64,)), rounds=2, forks=3)
    part = [repetition for repetition in whole if repetition.fork != 1]
    measurer = FakeMeasurer()
    more = sweep(measurer, Axes(frames=(64,)), rounds=2, forks=3, done=part)
    assert {r.fork for r in more} == {1}
    assert sorted((r.phase, r.engine, r.round) for r in whole) == sorted(
        (r.phase, r.engine, r.round) for r in part + more
    )


def test_it_ends_when_asked() -> None:
    measurer = FakeMeasurer()
    kept = sweep(measurer, until=lambda: measurer.slices >= 20)
    assert 0 < len(kept) <= 20


@pytest.mark.parametrize(("engine", "frames"), [("cpu", 64), ("cpu", 9000), ("dma", 9000)])
def test_the_rate_without_loss_is_what_the_engine_can(engine: Engine, frames: int) -> None:
    found = no_loss_rate(
        FakeMeasurer(),
        Point(frames, 32, 1, "fifo", "copier"),
        engine,
        loss_ratio=0.0,
        highest_pps=HZ / 200,
        seconds=0.1,
    )
    # A hundredth of a trial's frames may be missing at its ends.
    assert found == pytest.approx(HZ / cycles_of(engine, frames), rel=0.06)


def test_a_search_is_written_down() -> None:
    kept: list[Repetition] = []
    schedule = Schedule(no_loss=0.0)
    Sweep(Axes(frames=(1500,)), schedule, FakeMeasurer(), kept.append, evaluation="e").run()
    found = {r.engine: r.offered_pps for r in kept if r.phase == "no_loss"}
    assert found.keys() == {"cpu", "dma", "auto"}
    assert found["cpu"] == pytest.approx(HZ / cycles_of("cpu", 1500), rel=0.06)
    more: list[Repetition] = []
    Sweep(Axes(frames=(1500,)), schedule, FakeMeasurer(), more.append, evaluation="e", done=kept).run()
    assert more == []


# ---- medians and crossings ----


def test_median_interval() -> None:
    interval = median_interval({0: [1.0, 2.0, 3.0, 4.0, 100.0]})
    assert interval.low <= interval.value == 3.0 <= interval.high
    assert median_interval({0: [7.0]}).low == median_interval({0: [7.0]}).high == 7.0
    narrow = median_interval({0: [1.0, 1.1] * 10})
    wide = median_interval({fork: [1 + fork / 10] * 4 for fork in range(5)})
    assert narrow.half_width < 0.06 < wide.half_width
    uneven = median_interval({0: [1.0], 3: [2.0, 3.0, 4.0]})
    assert uneven.low == 1.0 <= uneven.value == 2.5 <= uneven.high
    with pytest.raises(ValueError, match="no values"):
        median_interval({})


def test_crossing_is_interpolated_in_logarithms() -> None:
    assert crossing({100: 2.0, 400: 0.5}) == pytest.approx(200)
    assert crossing({100: 0.5, 400: 0.2}) == 100
    assert crossing({70: 0.5}) == 70
    assert crossing({100: 2.0, 400: 1.0}) is None
    assert crossing({64: 0.9, 100: 2.0, 400: 0.5}) == pytest.approx(200)  # from the largest size downwards
    assert crossing_interval({100: {0: [2.0] * 5}, 400: {0: [1.5] * 5}}) is None


def test_forks_that_lack_a_size_are_drawn_for_the_others() -> None:
    below = {fork: [1.5 + fork / 20] for fork in range(6)}
    above = {fork: [0.6 + fork / 20] for fork in range(1, 6)}
    interval = crossing_interval({500: below, 4000: above})
    assert interval is not None
    assert 500 < interval.low <= interval.value <= interval.high < 4000
