# SPDX-License-Identifier: BSD-3-Clause
"""Evaluations as tables of a DuckDB: for `compare`, for export, and for questions of one's own."""

import json
from collections.abc import Iterable
from errno import EINVAL
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np

from pydpdk_defer.errors import DeferError
from pydpdk_defer.evaluate.evaluation import Evaluation
from pydpdk_defer.evaluate.histograms import percentiles_us
from pydpdk_defer.evaluate.records import Repetition

__all__ = ["connect", "export"]

_TIMES = ("latency", "in_flight")
_PARTS = ("receive", "submit", "complete", "wasted", "rest", "busy", "passed")
_NAMES = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "max"}
_COLUMNS = {
    "side": "VARCHAR",
    "evaluation": "VARCHAR",
    "schema_version": "INTEGER",
    "frames": "VARCHAR",
    "burst": "INTEGER",
    "queues": "INTEGER",
    "policy": "VARCHAR",
    "device": "VARCHAR",
    "phase": "VARCHAR",
    "engine": "VARCHAR",
    "round": "INTEGER",
    "fork": "INTEGER",
    "failure": "VARCHAR",
    "offered_pps": "DOUBLE",
    "seconds": "DOUBLE",
    "delivered_seconds": "DOUBLE",
    "sent": "BIGINT",
    "delivered": "BIGINT",
    "delivered_pps": "DOUBLE",
    "cycles_per_packet": "DOUBLE",
    "receive_cycles": "BIGINT",
    "submit_cycles": "BIGINT",
    "complete_cycles": "BIGINT",
    "wasted_cycles": "BIGINT",
    "rest_cycles": "BIGINT",
    "busy_cycles": "BIGINT",
    "passed_cycles": "BIGINT",
    "idle_share": "DOUBLE",
    "checks": "BIGINT",
    "work_items": "BIGINT",
    "engine_changes": "BIGINT",
    "dropped": "BIGINT",
    "drops": "VARCHAR",
    "bytes_by_dma": "BIGINT",
    "bytes_by_cpu": "BIGINT",
    "moved_by": "VARCHAR",
    **{f"{time}_{name}_us": "DOUBLE" for time in _TIMES for name in _NAMES},
    **{f"{time}_histogram": "VARCHAR" for time in _TIMES},
    "steal": "DOUBLE",
    "foreign_load": "DOUBLE",
    "mhz_low": "DOUBLE",
    "mhz_high": "DOUBLE",
    "throttled": "BIGINT",
}


def connect(**sides: Evaluation) -> duckdb.DuckDBPyConnection:
    """A database in memory with the table `repetitions`, a row each; `side` is the name given here."""
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE repetitions ({', '.join(f'{name} {kind}' for name, kind in _COLUMNS.items())})")
    rows = [_row(side, repetition) for side, found in sides.items() for repetition in _last_ones(found)]
    if rows:
        # One insert from arrays: a thousand rows of bound parameters take a second.
        columns = {
            name: np.array(values, dtype=object) for name, values in zip(_COLUMNS, zip(*rows, strict=True), strict=True)
        }
        connection.register("columns", columns)
        connection.execute("INSERT INTO repetitions SELECT * FROM columns")
        connection.unregister("columns")
    return connection


def export(evaluation: Evaluation, path: Path, kind: Literal["csv", "parquet"]) -> None:
    """All repetitions as a table; `DeferError` when it cannot be written."""
    options = "(FORMAT csv, HEADER)" if kind == "csv" else "(FORMAT parquet)"
    target = str(path).replace("'", "''")
    try:
        with connect(here=evaluation) as connection:
            connection.execute(f"COPY (SELECT * EXCLUDE side FROM repetitions) TO '{target}' {options}")
    except duckdb.Error as error:
        raise DeferError(f"cannot write {path}: {error}", EINVAL, "give a path that you may write") from error


def _last_ones(found: Evaluation) -> Iterable[Repetition]:
    """Failed ones, and of those that were measured again the last."""
    last = {(r.point, r.phase, r.engine, r.round, r.failure): r for r in found.repetitions}
    return last.values()


def _row(side: str, repetition: Repetition) -> tuple[object, ...]:
    point, cycles, noise = repetition.point, repetition.cycles, repetition.noise
    times = [percentiles_us([getattr(repetition, time)]) for time in _TIMES]
    return (
        side,
        repetition.evaluation,
        repetition.schema_version,
        str(point.frames),
        point.burst,
        point.queues,
        point.policy,
        point.device,
        repetition.phase,
        repetition.engine,
        repetition.round,
        repetition.fork,
        repetition.failure,
        repetition.offered_pps,
        repetition.seconds,
        repetition.delivered_seconds,
        repetition.sent,
        repetition.delivered,
        repetition.delivered_pps,
        repetition.cycles_per_packet,
        *(getattr(cycles, part) if cycles else None for part in _PARTS),
        repetition.idle_share,
        repetition.checks,
        repetition.work_items,
        repetition.engine_changes,
        sum(repetition.drops.values()),
        json.dumps(dict(repetition.drops)),
        repetition.bytes_by_engine.get("dma", 0),
        repetition.bytes_by_engine.get("cpu", 0),
        repetition.moved_by,
        *(found[name] if found else None for found in times for name in _NAMES.values()),
        *(getattr(repetition, time) for time in _TIMES),
        noise.steal if noise else None,
        noise.foreign_load if noise else None,
        *(noise.mhz if noise and noise.mhz else (None, None)),
        noise.throttled if noise else None,
    )
