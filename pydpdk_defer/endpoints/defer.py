# SPDX-License-Identifier: BSD-3-Clause
"""Metrics of a running datapath, for DPDK's dpdk-telemetry-exporter.py (from 24.03 on) and for `run --metrics`.

    dpdk-telemetry-exporter.py -p FOLDER_OF_THIS_FILE -e defer -s /run/dpdk/PREFIX/dpdk_telemetry.v2

It needs nothing but Python, as the exporter loads it alone. The exporter puts "dpdk_defer_" in front of each name.
"""

from __future__ import annotations

from typing import Any

PREFIX = "/pydpdk_defer/"
Values = list[tuple[str, float, dict[str, Any]]]

# By list of the telemetry socket: the fields that tell a record from others, and its metrics by field: name, type, what
# it is, and by how much the value is multiplied.
_PMD = {
    "iterations": ("pmd_iterations_total", "counter", "Turns of the PMD thread's loop"),
    "busy_iterations": ("pmd_busy_iterations_total", "counter", "Turns that moved packets or finished deferred work"),
    "idle_cycles": ("pmd_idle_cycles_total", "counter", "TSC cycles in turns that did nothing"),
    "busy_cycles": ("pmd_busy_cycles_total", "counter", "TSC cycles in busy turns"),
    "wasted_cycles": (
        "pmd_wasted_cycles_total",
        "counter",
        "Of the busy cycles, in sends and checks that moved nothing",
    ),
    "wasted_send_cycles": ("pmd_wasted_send_cycles_total", "counter", "Of the wasted cycles, in sends"),
    "sleep_iterations": ("pmd_sleep_iterations_total", "counter", "Turns that the thread slept after"),
    "sleep_cycles": ("pmd_sleep_cycles_total", "counter", "TSC cycles asleep"),
    "rx_packets": ("pmd_rx_packets_total", "counter", "Packets received"),
    "tx_packets": ("pmd_tx_packets_total", "counter", "Packets handed to a port and not dropped there"),
    "tx_batches": ("pmd_tx_batches_total", "counter", "Sends"),
    "handed_over": ("pmd_handed_over_packets_total", "counter", "Packets given to the threads that own their txqs"),
    "flooded": (
        "pmd_flooded_packets_total",
        "counter",
        "Copies of packets that l2 forwarding sent to every other port",
    ),
    "filtered": ("pmd_filtered_packets_total", "counter", "Packets that l2 forwarding dropped"),
    "unwired_drops": ("pmd_unwired_packets_total", "counter", "Packets of ports that no wire leads away from"),
    "work_deferred": ("pmd_work_deferred_total", "counter", "Work items put on the thread's ring"),
    "work_in_progress": ("pmd_work_in_progress_total", "counter", "Checks of work items that found them in progress"),
    "work_ring_full": ("pmd_work_ring_full_total", "counter", "Sends that found the work ring full"),
    "work_done": ("pmd_work_done_total", "counter", "Work items finished"),
    "work_dropped": ("pmd_work_dropped_total", "counter", "Work items given up"),
    "longest_stall_us": ("pmd_longest_stall_seconds", "gauge", "The longest time between two turns of the loop", 1e-6),
}
_DEFERRAL = {
    "work_pending": ("pmd_work_pending", "gauge", "Work items on the thread's ring now"),
    "ring_size": ("pmd_work_ring_size", "gauge", "Slots of the ring, one of which stays free"),
}
_PORTS = {
    "guest_connects": ("port_guest_connects_total", "counter", "Guests that came"),
    "guest_disconnects": ("port_guest_disconnects_total", "counter", "Guests that left"),
    "guest_failures": (
        "port_guest_failures_total",
        "counter",
        "Connections that never became a guest, or were refused",
    ),
}
_RXQS = {
    "packets": ("rxq_packets_total", "counter", "Packets received"),
    "bytes": ("rxq_bytes_total", "counter", "Bytes received"),
    "batches": ("rxq_batches_total", "counter", "Polls that brought packets"),
    "no_mbufs": ("rxq_no_mbufs_total", "counter", "Polls that found no free mbuf"),
    "rate_missed": ("rxq_rate_missed_packets_total", "counter", "Packets that were due by rate_pps and came too late"),
    "processing_cycles": ("rxq_processing_cycles_total", "counter", "TSC cycles in polls and in sends of its packets"),
    "deferred_cycles": ("rxq_deferred_cycles_total", "counter", "TSC cycles in checks of its packets' sends"),
}
_TXQS = {
    "submitted": ("txq_submitted_packets_total", "counter", "Packets that the far side's ring took"),
    "completed": ("txq_completed_packets_total", "counter", "Of these, copied"),
    "in_flight": ("txq_in_flight_packets", "gauge", "Of these, still with the copy engine"),
    "given_up": ("txq_given_up_packets", "gauge", "Given up: lost, unless they are quarantined and complete late"),
    "quarantined": ("txq_quarantined_packets", "gauge", "Given up, and still with the engine"),
    "late_completions": ("txq_late_completions_packets_total", "counter", "Given up, and completed after all"),
    "wedges": ("txq_wedges_total", "counter", "Times that the engine was taken out of use as it handed nothing back"),
    "batches": ("txq_batches_total", "counter", "Sends that the ring took something of"),
    "retries": ("txq_retries_total", "counter", "Times that the rest of a batch was tried again"),
    "bytes_by_engine": ("txq_bytes_total", "counter", "Bytes moved, by the engine that moved them"),
    "engine_changes": ("txq_engine_changes_total", "counter", "Changes of the engine by copy = auto"),
    "dma_min_bytes": ("txq_dma_min_bytes", "gauge", "Mean size from which on copy = auto finds DMA cheaper"),
    "drops": ("txq_dropped_packets_total", "counter", "Packets dropped, by reason"),
    "submit_cycles": ("txq_submit_cycles_total", "counter", "TSC cycles in sends that the ring took something of"),
    "complete_cycles": ("txq_complete_cycles_total", "counter", "TSC cycles in checks that brought completions back"),
    "wasted_cycles": ("txq_wasted_cycles_total", "counter", "TSC cycles in sends and checks that moved nothing"),
    "waiting": ("txq_waiting_packets", "gauge", "Packets on their way from threads that do not own it"),
}
_TIMES = {
    "count": ("txq_in_flight_batches_total", "counter", "Batches that were in progress, and are back"),
    "mean_ns": ("txq_in_flight_mean_seconds", "gauge", "Mean time in flight since the start", 1e-9),
    "p50_ns": ("txq_in_flight_p50_seconds", "gauge", "Median time in flight since the start", 1e-9),
    "p99_ns": ("txq_in_flight_p99_seconds", "gauge", "99th percentile of the time in flight since the start", 1e-9),
    "p999_ns": ("txq_in_flight_p999_seconds", "gauge", "99.9th percentile of it", 1e-9),
    "max_ns": ("txq_in_flight_max_seconds", "gauge", "The longest time in flight since the start", 1e-9),
}
_DMA = {
    "submitted": ("dma_submitted_copies_total", "counter", "Copies given to the device"),
    "completed": ("dma_completed_copies_total", "counter", "Copies that it finished"),
    "errors": ("dma_errors_total", "counter", "Copies that failed"),
    "is_hardware": ("dma_is_hardware", "gauge", "1: hardware, 0: software that plays a device"),
    "out_of_use": ("dma_out_of_use", "gauge", "1: it hung and was stopped"),
    "modelled": ("dma_modelled", "gauge", "1: a model is laid over it"),
    "model_changes": ("dma_model_changes_total", "counter", "How often the model was another"),
    "stalls_injected": ("dma_injected_stalls_total", "counter", "Stalls that the model made"),
    "fulls_injected": ("dma_injected_fulls_total", "counter", "Times that the model declared the ring full"),
    "errors_injected": ("dma_injected_errors_total", "counter", "Copies that the model made fail"),
    "late_copies": ("dma_late_copies_total", "counter", "Copies for which the device was slower than the model"),
}
_MEMPOOLS = {
    "size": ("mempool_size_mbufs", "gauge", "Mbufs of the pool"),
    "available": ("mempool_available_mbufs", "gauge", "Of these, free"),
}
_DATAPATH = {"uptime_us": ("uptime_seconds", "gauge", "Since the datapath came up", 1e-6)}

LISTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "datapath": ((), _DATAPATH),
    "pmd": (("core",), _PMD),
    "deferral": (("core",), _DEFERRAL),
    "ports": (("port", "kind"), _PORTS),
    "rxqs": (("port", "qid"), _RXQS),
    "txqs": (("port", "qid"), _TXQS),
    "in_flight_time": (("port", "qid"), _TIMES),
    "dma": (("dma", "device", "driver"), _DMA),
    "mempools": (("mempool",), _MEMPOOLS),
}
# What the values of a field that is a table are told apart by.
_KEYS = {"bytes_by_engine": "engine", "drops": "reason"}


def info() -> dict[str, tuple[str, str]]:
    """Every metric's description and type."""
    return {name: (text, kind) for _, fields in LISTS.values() for name, kind, text, *_ in fields.values()}


def metrics(sock: Any) -> Values:
    """All values: (name, value, labels) each. `sock.cmd(command, parameter)` asks the datapath."""
    found: Values = []
    for name, (identity, fields) in LISTS.items():
        for record in _records(sock, name):
            labels = {key: record[key] for key in identity}
            for field, (metric, _, _, *factor) in fields.items():
                if field in record:
                    found += _values(metric, record[field], labels, _KEYS.get(field), factor[0] if factor else 1)
    return found


def _values(metric: str, value: Any, labels: dict[str, Any], key: str | None, factor: float) -> Values:
    if key is None:
        return [(metric, value * factor, labels)]
    return [(metric, count * factor, {**labels, key: name}) for name, count in value.items()]


def _records(sock: Any, name: str) -> list[dict[str, Any]]:
    """All of a list, however many answers it takes."""
    found: list[dict[str, Any]] = []
    while answer := sock.cmd(PREFIX + name, len(found) or None):
        found += answer.values()
    return found
