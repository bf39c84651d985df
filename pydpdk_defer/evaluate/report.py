# SPDX-License-Identifier: BSD-3-Clause
"""An evaluation as one HTML file that needs nothing else: Plotly's script is in it."""

from collections.abc import Iterator, Mapping
from errno import EINVAL
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs

from pydpdk_defer.errors import DeferError
from pydpdk_defer.evaluate import plots
from pydpdk_defer.evaluate.comparison import families
from pydpdk_defer.evaluate.evaluation import Evaluation
from pydpdk_defer.evaluate.summary import details_of, table_of

__all__ = ["html", "write"]

_CONFIG = {"displaylogo": False, "responsive": True}


def html(evaluation: Evaluation) -> str:
    """The report. `DeferError` when nothing was measured."""
    if not any(not repetition.failure for repetition in evaluation.repetitions):
        raise DeferError(f"{evaluation.folder} holds no good repetition: nothing to report", EINVAL, "see its logs")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pydpdk_defer.evaluate", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    sections = [
        {"verdict": verdict, "charts": list(_charts(family, number))}
        for number, (verdict, family) in enumerate(zip(evaluation.verdicts, families(evaluation.figures), strict=True))
    ]
    return environment.get_template("report.html.j2").render(
        evaluation=evaluation,
        sections=sections,
        table=table_of(evaluation),
        details=details_of(evaluation),
        fingerprint=list(_flat({**evaluation.header.host, "DMA device": evaluation.header.devices})),
        script=get_plotlyjs(),
    )


def write(evaluation: Evaluation, path: Path) -> None:
    """The report into a file; `DeferError` when it cannot be written."""
    text = html(evaluation)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeferError(
            f"cannot write {path}: {error.strerror}",
            error.errno or EINVAL,
            f"report {evaluation.folder} --html FILE writes it elsewhere",
        ) from error


def _charts(family: plots.Family, number: int) -> Iterator[Mapping[str, str]]:
    for at, (title, plot) in enumerate(plots.CHARTS.items()):
        figure = plot(family)
        drawn = figure.to_html(
            full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=f"chart-{number}-{at}", default_width="100%"
        )
        yield {"title": title, "caption": (plot.__doc__ or "").strip(), "html": drawn}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}".replace("_", " "), "not told" if value is None else str(value)
