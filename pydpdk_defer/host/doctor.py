# SPDX-License-Identifier: BSD-3-Clause
"""Can this host do it? Looks, changes nothing, and needs no rights."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from pydpdk_defer.host import dma_devices, runtime_dir
from pydpdk_defer.host.checks import ALL_CHECKS, Check, Host
from pydpdk_defer.host.pmds import Plugins, find_plugins
from pydpdk_defer.topology import Topology

__all__ = ["Check", "Diagnosis", "examine"]

_WIDTH = 100


@dataclass(frozen=True)
class Diagnosis:
    """What was found; `print` it. `subject`: the topology's file, or "this host"."""

    subject: str
    checks: tuple[Check, ...]

    @property
    def fit(self) -> bool:
        """Whether nothing that is needed fails."""
        return not any(check.status == "FAIL" for check in self.checks)

    @property
    def verdict(self) -> str:
        """A plain yes or no."""
        failed = [check.name for check in self.checks if check.status == "FAIL"]
        can = f"run {self.subject}" if self.subject != "this host" else "run datapaths"
        if failed:
            return f"no: this host cannot {can}: {', '.join(failed)}"
        warned = sum(check.status == "WARN" for check in self.checks)
        return f"yes: this host can {can}" + (f" ({warned} warning{'s' * (warned > 1)})" if warned else "")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "subject": self.subject,
            "fit": self.fit,
            "verdict": self.verdict,
            "checks": [*map(asdict, self.checks)],
        }

    def __str__(self) -> str:
        width = max((len(check.name) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            head = f"{check.status:<4}  {check.name:<{width}}  "
            lines += wrap(head + check.found, _WIDTH, subsequent_indent=" " * len(head), drop_whitespace=True)
            if check.status != "OK":
                lines += wrap(check.why, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
                lines += [f"        {command}" for command in check.commands]
        return "\n".join([*lines, "", self.verdict])


def examine(
    topology: Topology | None = None,
    subject: str = "this host",
    root: Path = Path("/"),
    *,
    plugins: Plugins | None = None,
    uid: int | None = None,
    cpus: frozenset[int] | None = None,
) -> Diagnosis:
    """Look at the host below `root`, for just what a topology needs, or without one at everything.

    `plugins`, `uid`, `cpus`: of another host than this one, as `root` is. What this user may not read counts as not
    there.
    """
    plugins = plugins or find_plugins()
    survey = dma_devices.survey(root, plugins)
    host = Host(
        root=root,
        uid=os.geteuid() if uid is None else uid,
        plugins=plugins,
        devices=survey.devices,
        dpdk_compiled=survey.dpdk_compiled,
        dpdk_loaded=survey.dpdk_loaded,
        runtime_folder=runtime_dir.of_prefix("x").parent,
        topology=topology,
        cpus=frozenset(os.sched_getaffinity(0)) if cpus is None else cpus,
    )
    return Diagnosis(subject, tuple(check for look in ALL_CHECKS for check in look(host)))
