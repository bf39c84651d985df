# SPDX-License-Identifier: BSD-3-Clause
"""From an evaluation to a topology that makes use of it, ready for `run`."""

import math
from collections.abc import Sequence
from typing import Any

from pydpdk_defer.errors import UsageError
from pydpdk_defer.evaluate.comparison import PointFigures, families
from pydpdk_defer.evaluate.evaluation import Evaluation
from pydpdk_defer.evaluate.verdict import Verdict
from pydpdk_defer.topology import Topology

__all__ = ["recommended", "recommended_toml"]

_SOCKET = "/tmp/vm0.sock"
_GATHER_US = 50
# Copies by software share a CPU: looks are many there, and a limit in looks must be large.
_SOFTWARE_ATTEMPTS = 2**31
_BETTER_BY = 0.97  # of two families one must cost so much less to be preferred to the one that came first


def recommended(evaluation: Evaluation) -> tuple[Topology, list[str]]:
    """The topology, and why it is so, a sentence each. Of families that were measured it takes the cheapest.

    `ValueError` for an evaluation that measured nothing.
    """
    pairs = list(zip(evaluation.verdicts, families(evaluation.figures), strict=True))
    if not pairs:
        raise UsageError(f"the evaluation in {evaluation.folder} has no measurement to recommend a topology by")
    verdict, points = pairs[0]
    for other, its in pairs[1:]:
        if _cost(its) < _BETTER_BY * _cost(points):
            verdict, points = other, its
    reasons = [verdict.headline]
    if len(pairs) > 1:
        reasons.append(f"of {len(pairs)} combinations the cheapest for the PMD thread: {verdict.family}")
    copy = {"from": "auto", "always": "dma", "between": "auto", "never": "cpu", "cannot tell": "auto"}[verdict.kind]
    threshold = round(verdict.crossover.value) if verdict.crossover else 0
    if copy == "auto":
        reasons.append(
            "dma_min_bytes is the crossover" if threshold else "dma_min_bytes = 0: it is learned while running"
        )
    if copy != "cpu" and "model" in evaluation.header.devices[verdict.device]["table"]:
        reasons.append("the model that was laid over the device is left out")
    flush_us = _flush_interval(evaluation.verdicts, verdict)
    if flush_us:
        reasons.append(f"tx_flush_interval_us = {flush_us}: DMA pays in large batches sooner than in small ones")
    return _topology(evaluation, verdict, copy, threshold, flush_us), reasons


def recommended_toml(evaluation: Evaluation) -> str:
    """The same as a TOML file, with the reasons at its head."""
    topology, reasons = recommended(evaluation)
    head = [f"Recommended by an evaluation of {evaluation.header.started}.", *reasons]
    head.append("Change the socket, and the generator for the port that packets really come from.")
    return "".join(f"# {line}\n" for line in head) + "\n" + topology.to_toml()


def _topology(evaluation: Evaluation, verdict: Verdict, copy: str, threshold: int, flush_us: int) -> Topology:
    header = evaluation.header
    device = header.devices[verdict.device]
    kind, _, paced = verdict.policy.partition("+")
    vhost: dict[str, Any] = {"kind": "vhost", "socket": _SOCKET, "queues": verdict.queues, "copy": copy}
    dma: dict[str, Any] = {}
    if copy != "cpu":
        vhost["dma"] = [verdict.device]
        dma = {verdict.device: {key: value for key, value in device["table"].items() if key != "model"}}
    if copy == "auto":
        vhost["dma_min_bytes"] = threshold
    queues = range(verdict.queues)
    deferral: dict[str, Any] = {"policy": kind, "paced": bool(paced)}
    if not device.get("is_hardware"):
        deferral["attempt_limit"] = _SOFTWARE_ATTEMPTS
    return Topology.from_dict(
        {
            "eal": {"pci": bool(device.get("on_pci"))},
            "dma": dma,
            "port": {
                "src": {
                    "kind": "generator",
                    "frame_size": "imix",
                    "rate_pps": 100_000,
                    "burst": verdict.burst,
                    "queues": verdict.queues,
                },
                "vm0": vhost,
            },
            "pmd": [
                {
                    "core": header.cores["pmd"],
                    "rxqs": [f"{port}:{qid}" for port in ("src", "vm0") for qid in queues],
                    "tx_flush_interval_us": flush_us,
                }
            ],
            "deferral": deferral,
            "forward": {"wires": [["src", "vm0"]]},
        }
    )


def _cost(points: Sequence[PointFigures]) -> float:
    """Geometric mean of cycles per packet, by the better engine at each point; infinite when nothing was measured."""
    costs = [
        min(values)
        for figures in points
        if (values := [i.value for engine in figures.engines if (i := figures.interval("cycles", engine)) is not None])
    ]
    return math.exp(sum(map(math.log, costs)) / len(costs)) if costs else math.inf


def _flush_interval(verdicts: Sequence[Verdict], chosen: Verdict) -> int:
    """Gathering pays when DMA pays later, or not at all, in the smallest batches that were measured."""
    same = [v for v in verdicts if (v.queues, v.policy, v.device) == (chosen.queues, chosen.policy, chosen.device)]
    small, large = min(same, key=lambda v: v.burst), max(same, key=lambda v: v.burst)
    if small.burst == large.burst or large.kind not in ("from", "always"):
        return 0
    if small.kind == "never":
        return _GATHER_US
    later = small.crossover and large.crossover and small.crossover.low > large.crossover.high
    return _GATHER_US if later else 0
