# SPDX-License-Identifier: BSD-3-Clause
"""What telemetry would answer: records of a datapath with a generator, a vhost port of two queue pairs, and DMA."""

from dataclasses import fields
from typing import Any

from pydpdk_defer.stats import Dma, Pmd, PortCounters, Rxq, Txq

DROPS = ("no_guest", "ring_full")
HZ = 10**9


def lists(seconds: float, **counters: int) -> dict[str, list[dict[str, Any]]]:
    """All counters are 0 but those given: `pmd__NAME`, `dma__NAME`, and `txq__`, `rxq__` and `drop__NAME` of vm0:0."""

    def of(record: type, prefix: str, *without: str) -> dict[str, Any]:
        names = [f.name for f in fields(record) if f.name not in without]
        return {name: counters.get(f"{prefix}__{name}", 0) for name in names}

    def queue(port: str, qid: int) -> dict[str, Any]:
        return {"port": port, "qid": qid}

    def txq(port: str, qid: int) -> dict[str, Any]:
        is_first = (port, qid) == ("vm0", 0)
        known = of(Txq, "txq" if is_first else "", "in_flight_time")
        drops = {reason: counters.get(f"drop__{reason}", 0) if is_first else 0 for reason in DROPS}
        bytes_by_engine = {"dma": counters.get("txq__bytes_dma", 0) if is_first else 0, "cpu": 0}
        return queue(port, qid) | known | {"drops": drops, "bytes_by_engine": bytes_by_engine}

    def rxq(port: str, qid: int) -> dict[str, Any]:
        known = of(Rxq, "rxq" if (port, qid) == ("vm0", 0) else "")
        return queue(port, qid) | {"core": 1} | known | {"recent_cycles": [0] * 12}

    pmd = of(Pmd, "pmd") | {"core": 1, "recent_busy_cycles": [0] * 12}
    pending = pmd["work_deferred"] - pmd["work_done"] - pmd["work_dropped"]
    counts = [f.name for f in fields(PortCounters) if f.name.startswith("guest_")]
    dma = {"dma": "copier", "device": "dma_skeleton0", "driver": "dma_skeleton"}
    return {
        "datapath": [
            {
                "pid": 1,
                "uptime_us": round(seconds * 1e6),
                "tsc_hz": HZ,
                "dpdk_compiled": "22.11.11",
                "dpdk_loaded": "22.11.11",
                "hugepages": 0,
            }
        ],
        "pmd": [pmd],
        "deferral": [{"core": 1, "work_pending": pending, "ring_size": 128}],
        "ports": [
            {"port": "src", "kind": "generator", "rxqs": 1, "txqs": 0},
            {"port": "vm0", "kind": "vhost", "rxqs": 2, "txqs": 2, "copy": "dma", **dict.fromkeys(counts, 1)},
        ],
        "rxqs": [rxq("src", 0), rxq("vm0", 0), rxq("vm0", 1)],
        "txqs": [txq("vm0", 0), txq("vm0", 1)],
        "dma": [dma | of(Dma, "dma", "device", "driver", "model")],
        "mempools": [{"mempool": "mbufs", "size": 8191, "available": 8000}],
    }
