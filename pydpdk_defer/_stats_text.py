# SPDX-License-Identifier: BSD-3-Clause
"""A snapshot as text: the table that a run ends with, and the line that it shows while it works."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydpdk_defer.stats import Dma, Pmd, PortCounters, Rxq, Snapshot, Txq

__all__ = ["live_line", "rate", "rows", "table", "who_copied"]


def rate(count: float, seconds: float, unit: str = "pps") -> str:
    """A count over a time: "1.25 Mpps"."""
    value = count / seconds if seconds > 0 else 0.0
    for prefix, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.2f} {prefix}{unit}"
    return f"{value:.0f} {unit}"


def _per(total: float, count: float) -> str:
    return f"{total / count:.0f}" if count else "-"


def _mega(cycles: int) -> str:
    return f"{cycles / 1e6:.0f}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def rows(cells_by_row: Sequence[Sequence[str]]) -> Iterable[str]:
    """Rows of a table, indented; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in cells_by_row) for column in range(len(cells_by_row[0]))]
    for row in cells_by_row:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        yield "  " + "  ".join(cells).rstrip()


def who_copied(port: "PortCounters", devices: Iterable["Dma"]) -> str:
    """Who of these moved a port's bytes, in words: "DMA (software: dma_skeleton, modelled: 30 GB/s, 2 us)"."""
    dma = sum(txq.bytes_by_engine["dma"] for txq in port.txqs)
    cpu = sum(txq.bytes_by_engine["cpu"] for txq in port.txqs)
    engines = []
    if dma:
        engines.append(f"DMA ({'; '.join(sorted({device.origin for device in devices}))})")
    if cpu:
        engines.append("CPU")
    return " and ".join(engines) or "nobody"


def table(snapshot: "Snapshot") -> str:
    """The whole snapshot for a person."""
    memory = "hugepages" if snapshot.eal.hugepages else "ordinary memory"
    lines = [f"{snapshot.seconds:.1f} s on DPDK {snapshot.eal.dpdk_loaded}, {memory}", "", "PMD threads"]
    lines += rows([_PMD_HEAD, *(_pmd_row(pmd) for pmd in snapshot.pmds)])
    elsewhere = [line for pmd in snapshot.pmds for line in _elsewhere(pmd)]
    lines += ["", "Packets that went another way", *elsewhere] if elsewhere else []
    lines += ["", "Deferred work"]
    lines += rows([_WORK_HEAD, *(_work_row(pmd) for pmd in snapshot.pmds)])
    lines += ["", "Receive queues"]
    lines += rows([_RXQ_HEAD, *(_rxq_row(f"{name}:{qid}", rxq) for name, qid, rxq in snapshot.rxqs())])
    lines += ["", "Transmit queues"]
    lines += rows([_TXQ_HEAD, *(_txq_row(name, qid, txq) for name, qid, txq in snapshot.txqs())])
    loads = [
        f"  {name}:{qid}  {_mega(sum(rxq.recent_cycles))}  {' '.join(map(_mega, rxq.recent_cycles))}"
        for name, qid, rxq in snapshot.rxqs()
        if any(rxq.recent_cycles)
    ]
    lines += (
        ["", "Millions of cycles for each receive queue in the last minute, and in its steps of 5 s", *loads]
        if loads
        else []
    )
    drops = [
        f"  {name}:{qid}  {reason}  {count}"
        for name, qid, txq in snapshot.txqs()
        for reason, count in txq.drops.items()
        if count
    ]
    lines += ["", "Drops by reason", *drops] if drops else ["", "Drops by reason: none"]
    missed = [
        f"  {name}:{qid}  {rxq.rate_missed} packets were due by its rate_pps, and the thread was too late to make them"
        for name, qid, rxq in snapshot.rxqs()
        if rxq.rate_missed
    ]
    lines += ["", "Rate missed", *missed] if missed else []
    chosen = [
        f"  {name}:{qid}  {txq.engine_changes} changes of the engine, DMA "
        + (f"from {txq.dma_min_bytes} bytes on" if txq.dma_min_bytes else "not found cheaper at any size")
        for name, qid, txq in snapshot.txqs()
        if snapshot.ports[name].copy == "auto"
    ]
    lines += ["", 'Chosen by copy = "auto"', *chosen] if chosen else []
    retried = [f"  {name}:{qid}  {txq.retries}" for name, qid, txq in snapshot.txqs() if txq.retries]
    lines += ["", "Rests of batches tried again", *retried] if retried else []
    vhost = [(name, port) for name, port in snapshot.ports.items() if port.kind == "vhost"]
    if vhost:
        lines += ["", "Bytes moved by"]
        lines += [f"  {name}: {who_copied(port, snapshot.dma.values())}" for name, port in vhost]
        lines += ["", "Guests"]
        lines += [
            f"  {name}: {port.guest_connects} connected, {port.guest_disconnects} disconnected" for name, port in vhost
        ]
    failed = [f"  {name}: {port.guest_failures}" for name, port in vhost if port.guest_failures]
    lines += ["", "Connections that were no guests, or sent what was refused", *failed] if failed else []
    lines += ["", "Mempools"]
    lines += [f"  {name}: {pool.available} of {pool.size} mbufs free" for name, pool in snapshot.mempools.items()]
    if snapshot.dma:
        lines += ["", "DMA devices"]
        for name, dma in snapshot.dma.items():
            lines += [
                f"  {name}: {dma.device} ({dma.driver or 'no driver'}, {'hardware' if dma.is_hardware else 'software'})"
                f", {dma.submitted} copies submitted, {dma.completed} completed, {dma.errors} errors"
            ]
            lines += _model_lines(dma)
    return "\n".join(lines)


def _model_lines(dma: "Dma") -> Iterable[str]:
    if dma.modelled:
        yield f"    modelled: {dma.model_history}"
        yield (
            f"    made by the model: {dma.stalls_injected} stalls, {dma.fulls_injected} times a full ring, "
            f"{dma.errors_injected} errors"
        )
        if dma.late_copies:
            yield f"    {dma.late_copies} copies took the device longer than the model: it is slower than what it plays"


_PMD_HEAD = (
    "core",
    "rx packets",
    "tx packets",
    "tx batches",
    "iterations",
    "busy",
    "busy cycles",
    "cycles/packet",
    "wasted",
    "in sends",
)
_WORK_HEAD = (
    "core",
    "deferred",
    "done",
    "dropped",
    "in-progress checks",
    "checks/item",
    "ring full",
    "longest stall",
)
_RXQ_HEAD = ("rxq", "packets", "bytes", "packets/batch", "cycles/packet", "in checks", "no mbufs")
_TXQ_HEAD = (
    "txq",
    "submitted",
    "completed",
    "in flight",
    "given up",
    "dropped",
    "submit",
    "complete",
    "cycles/packet",
    "in flight p50",
    "p99",
)


def _pmd_row(pmd: "Pmd") -> tuple[str, ...]:
    return (
        str(pmd.core),
        str(pmd.rx_packets),
        str(pmd.tx_packets),
        str(pmd.tx_batches),
        str(pmd.iterations),
        _percent(pmd.busy_iterations, pmd.iterations),
        _percent(pmd.busy_cycles, pmd.busy_cycles + pmd.idle_cycles),
        _per(pmd.busy_cycles, pmd.rx_packets),
        _percent(pmd.wasted_cycles, pmd.busy_cycles),
        _percent(pmd.wasted_send_cycles, pmd.busy_cycles),
    )


def _elsewhere(pmd: "Pmd") -> Iterable[str]:
    told = {
        "handed to the threads that own their txqs": pmd.handed_over,
        "copies for every other port": pmd.flooded,
        "filtered, as their way leads back or their header is not whole": pmd.filtered,
        "from ports that no wire leads away from": pmd.unwired_drops,
    }
    return (f"  core {pmd.core}: {count} {what}" for what, count in told.items() if count)


def _rxq_row(name: str, rxq: "Rxq") -> tuple[str, ...]:
    return (
        name,
        str(rxq.packets),
        str(rxq.bytes),
        _per(rxq.packets, rxq.batches),
        _per(rxq.processing_cycles, rxq.packets),
        _per(rxq.deferred_cycles, rxq.packets),
        str(rxq.no_mbufs),
    )


def _work_row(pmd: "Pmd") -> tuple[str, ...]:
    return (
        str(pmd.core),
        str(pmd.work_deferred),
        str(pmd.work_done),
        str(pmd.work_dropped),
        str(pmd.work_in_progress),
        f"{(pmd.work_in_progress + pmd.work_done) / pmd.work_done:.2f}" if pmd.work_done else "-",
        str(pmd.work_ring_full),
        f"{pmd.longest_stall_us:.0f} us",
    )


def _txq_row(name: str, qid: int, txq: "Txq") -> tuple[str, ...]:
    return (
        f"{name}:{qid}",
        str(txq.submitted),
        str(txq.completed),
        str(txq.in_flight),
        str(txq.given_up),
        str(sum(txq.drops.values())),
        _per(txq.submit_cycles, txq.submitted),
        _per(txq.complete_cycles, txq.completed),
        _per(txq.submit_cycles + txq.complete_cycles, txq.completed),
        *(f"{us:.1f} us" if txq.in_flight_time.count else "-" for us in txq.in_flight_time.percentiles_us((50, 99))),
    )


def live_line(difference: "Snapshot", elapsed: float) -> str:
    """One line about the time between two snapshots."""
    seconds = difference.seconds
    received = sum(pmd.rx_packets for pmd in difference.pmds)
    busy = sum(pmd.busy_cycles for pmd in difference.pmds)
    cycles = busy + sum(pmd.idle_cycles for pmd in difference.pmds)
    completed = sum(txq.completed for _, _, txq in difference.txqs())
    in_flight = sum(txq.in_flight for _, _, txq in difference.txqs())
    dropped = max(0, sum(sum(txq.drops.values()) + txq.given_up for _, _, txq in difference.txqs()))
    return (
        f"{elapsed:7.1f} s  in {rate(received, seconds):>12}  out {rate(completed, seconds):>12}  "
        f"in flight {in_flight:5d}  dropped {dropped:8d}  busy {_percent(busy, cycles):>7}  "
        f"{_per(busy, received):>5} cycles/packet"
        f"{'  (modelled DMA)' if any(dma.modelled for dma in difference.dma.values()) else ''}"
    )
