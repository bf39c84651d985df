# SPDX-License-Identifier: BSD-3-Clause
"""Which PMD thread polls which rxq and what each costs, in the layout of Open vSwitch's `dpif-netdev/pmd-rxq-show`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["rxq_show"]

_STEP_SECONDS, _STEPS = 5, 12


def rxq_show(lists: Mapping[str, Iterable[Mapping[str, Any]]], nodes: Mapping[int, int]) -> str:
    """`lists`: records of telemetry, as `Attached.look` gives them; `nodes`: NUMA nodes of cores.

    An rxq's usage is what its packets cost in the last minute, of all cycles of its thread in that time; right after
    the start in the whole steps of 5 s that there were. A thread's overhead is what else it was busy with.
    """
    [general] = lists["datapath"]
    steps = min(_STEPS, int(general["uptime_us"] / 1e6 / _STEP_SECONDS))
    cycles = steps * _STEP_SECONDS * general["tsc_hz"]

    def spent(recent: Sequence[int]) -> int:
        return sum(recent[-steps:])

    def usage(spent_cycles: int) -> str:
        return f"{round(100 * max(spent_cycles, 0) / cycles):2} %" if steps else "NOT AVAIL"

    lines = [f"Displaying last {_STEPS * _STEP_SECONDS} seconds pmd usage %"]
    for pmd in lists["pmd"]:
        core = pmd["core"]
        lines += [f"pmd thread numa_id {nodes.get(core, 0)} core_id {core}:", "  isolated : false"]
        rxqs = sorted(_polled_by(core, lists["rxqs"]), key=lambda rxq: (rxq["port"], rxq["qid"]))
        for rxq in rxqs:
            of_rxq = usage(spent(rxq["recent_cycles"]))
            lines.append(f"  port: {rxq['port']:<16}  queue-id: {rxq['qid']:2} (enabled)   pmd usage: {of_rxq}")
        rest = spent(pmd["recent_busy_cycles"]) - sum(spent(rxq["recent_cycles"]) for rxq in rxqs)
        lines.append(f"  overhead: {usage(rest)}")
    nobodys = _polled_by(None, lists["rxqs"])
    lines += [f"polled by no thread: port: {rxq['port']:<16}  queue-id: {rxq['qid']:2}" for rxq in nobodys]
    return "\n".join(lines) + "\n"


def _polled_by(core: int | None, rxqs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [rxq for rxq in rxqs if rxq.get("core") == core]
