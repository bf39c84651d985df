# SPDX-License-Identifier: BSD-3-Clause
"""What figures of a host depend on, so that they can be told from those of another."""

import os
import platform
import re
from pathlib import Path
from typing import Any

from pydpdk_defer._loading import dpdk_compiled, dpdk_loaded

__all__ = ["fingerprint"]

_CPU = "sys/devices/system/cpu"
_CPUINFO = {"model": "model name", "microcode": "microcode", "family": "cpu family", "stepping": "stepping"}


def fingerprint(root: Path = Path("/")) -> dict[str, Any]:
    """CPU, frequency policy, NUMA, memory, kernel and versions; `None` for what the host does not tell."""
    from pydpdk_defer import __version__

    return {
        "cpu": _cpu(root),
        "frequency": {
            "driver": _text(root / _CPU / "cpu0/cpufreq/scaling_driver"),
            "governor": _text(root / _CPU / "cpu0/cpufreq/scaling_governor"),
            "turbo_off": _text(root / _CPU / "intel_pstate/no_turbo"),
            "boost": _text(root / _CPU / "cpufreq/boost"),
        },
        "isolated_cpus": _text(root / _CPU / "isolated"),
        "smt": _text(root / _CPU / "smt/control"),
        "numa_nodes": _text(root / "sys/devices/system/node/online"),
        "hugepages": {
            path.name.removeprefix("hugepages-"): _text(path / "nr_hugepages")
            for path in sorted((root / "sys/kernel/mm/hugepages").glob("hugepages-*"))
        },
        "transparent_hugepages": _text(root / "sys/kernel/mm/transparent_hugepage/enabled"),
        "hypervisor": _text(root / "sys/hypervisor/type") or _text(root / "sys/class/dmi/id/product_name"),
        "kernel": platform.release(),
        "kernel_command_line": _text(root / "proc/cmdline"),
        "python": platform.python_version(),
        "pydpdk_defer": __version__,
        "dpdk_compiled": dpdk_compiled(),
        "dpdk_loaded": dpdk_loaded(),
    }


def _cpu(root: Path) -> dict[str, Any]:
    text = _text(root / "proc/cpuinfo") or ""
    values = {name: re.search(rf"^{key}\s*:\s*(.*)$", text, re.MULTILINE) for name, key in _CPUINFO.items()}
    return {**{name: found and found[1] for name, found in values.items()}, "cpus_usable": len(os.sched_getaffinity(0))}


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
