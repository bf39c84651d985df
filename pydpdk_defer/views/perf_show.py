# SPDX-License-Identifier: BSD-3-Clause
"""What PMD threads did, in the layout of Open vSwitch 3.1's `ovs-appctl dpif-netdev/pmd-perf-show`.

Lines on its flow caches are left out. The block on deferred work is that of its design "Userspace deferral of work".
"""

from collections.abc import Mapping

from pydpdk_defer.stats import Pmd, Snapshot

__all__ = ["deferral_block", "perf_show", "thread_block"]


def perf_show(snapshot: Snapshot, nodes: Mapping[int, int], clock: str) -> str:
    """Every PMD thread. `nodes`: NUMA nodes of cores; `clock`: the time of day."""
    head = f"Time: {clock}\nMeasurement duration: {snapshot.seconds:.3f} s\n\n"
    return "\n".join(head + thread_block(pmd, snapshot, nodes.get(pmd.core, 0)) for pmd in snapshot.pmds)


def thread_block(pmd: Pmd, snapshot: Snapshot, node: int) -> str:
    """One PMD thread: every line ends with a newline."""
    us_per_cycle = 1e6 / snapshot.tsc_hz
    used = pmd.idle_cycles + pmd.busy_cycles
    idle_iterations = pmd.iterations - pmd.busy_iterations
    sleep_us = pmd.sleep_cycles * us_per_cycle
    passed = snapshot.seconds * snapshot.tsc_hz
    lines = [
        f"pmd thread numa_id {node} core_id {pmd.core}:",
        "",
        _line("Iterations:", pmd.iterations, f"({_ratio(used * us_per_cycle, pmd.iterations):.2f} us/it)"),
        _line("- Used TSC cycles:", used, f"({_percent(used, passed)} of total cycles)"),
        _line("- idle iterations:", idle_iterations, f"({_percent(pmd.idle_cycles, used)} of used cycles)"),
        _line("- busy iterations:", pmd.busy_iterations, f"({_percent(pmd.busy_cycles, used)} of used cycles)"),
        _line(
            "- sleep iterations:",
            pmd.sleep_iterations,
            f"({_percent(pmd.sleep_iterations, pmd.iterations)} of iterations)",
        ),
        _line(
            "Sleep time (us):", round(sleep_us), f"({_ratio(sleep_us, pmd.sleep_iterations):3.0f} us/iteration avg.)"
        ),
        *_packets(pmd, snapshot.seconds),
    ]
    return "\n".join([*lines, *deferral_block(pmd), ""])


def _packets(pmd: Pmd, seconds: float) -> list[str]:
    if pmd.rx_packets:
        kpps, cycles = _ratio(pmd.rx_packets / 1000, seconds), pmd.busy_cycles / pmd.rx_packets
        # A packet passes once: nothing recirculates.
        lines = [
            _line("Rx packets:", pmd.rx_packets, f"({kpps:.0f} Kpps, {cycles:.0f} cycles/pkt)"),
            _line("Datapath passes:", pmd.rx_packets, f"({1:.2f} passes/pkt)"),
        ]
    else:
        lines = [_line("Rx packets:", 0)]
    if not pmd.tx_packets:
        return [*lines, _line("Tx packets:", 0), ""]
    return [
        *lines,
        _line("Tx packets:", pmd.tx_packets, f"({_ratio(pmd.tx_packets / 1000, seconds):.0f} Kpps)"),
        _line("Tx batches:", pmd.tx_batches, f"({_ratio(pmd.tx_packets, pmd.tx_batches):.2f} pkts/batch)"),
    ]


def deferral_block(pmd: Pmd) -> list[str]:
    """The lines on deferred work. Checks are those in progress and those that found work done."""
    if not pmd.work_deferred:
        return [f"  Work deferred:     {0:12}", ""]
    checks = pmd.work_in_progress + pmd.work_done
    return [
        f"  Work deferred:                   {pmd.work_deferred:12}",
        f"  - Deferred work done:            {pmd.work_done:12}",
        f"  - Work completion checks:        {checks:12}  ({_ratio(checks, pmd.work_done):.2f} checks/work item)",
        f"  - Ring full when deferring work: {pmd.work_ring_full:12}",
        f"  - Deferred work dropped:         {pmd.work_dropped:12}",
    ]


def _line(label: str, value: int, remark: str = "") -> str:
    return f"  {label:<20}{value:12}" + (f"  {remark}" if remark else "")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _percent(part: float, whole: float) -> str:
    return f"{100 * _ratio(part, whole):5.1f} %"
