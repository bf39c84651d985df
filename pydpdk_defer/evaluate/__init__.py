# SPDX-License-Identifier: BSD-3-Clause
"""From which frame size on does DMA-offloaded vhost pay here?

`evaluate` measures CPU copy against DMA in slices that take turns in one process; `load` reads an evaluation's folder.
The package itself can be called: `pydpdk_defer.evaluate("64:9000:x2")` is `pydpdk_defer.evaluate.evaluate(...)`.
"""

import sys
from types import ModuleType

from pydpdk_defer.evaluate.axes import Axes, Point, parse_engines, parse_numbers, parse_policies, parse_sizes
from pydpdk_defer.evaluate.evaluation import Evaluation, Options, evaluate, load
from pydpdk_defer.evaluate.schedule import QUICK, Schedule
from pydpdk_defer.evaluate.sweep import CorruptionError
from pydpdk_defer.evaluate.verdict import Verdict

__all__ = [
    "QUICK",
    "Axes",
    "CorruptionError",
    "Evaluation",
    "Options",
    "Point",
    "Schedule",
    "Verdict",
    "evaluate",
    "load",
    "parse_engines",
    "parse_numbers",
    "parse_policies",
    "parse_sizes",
]


class _Callable(ModuleType):
    __call__ = staticmethod(evaluate)


sys.modules[__name__].__class__ = _Callable
