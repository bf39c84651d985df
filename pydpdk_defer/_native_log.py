# SPDX-License-Identifier: BSD-3-Clause
"""What the native code and DPDK said goes to Python's `logging`.

Loggers: `pydpdk_defer` for what happens in a datapath, a record per event; `pydpdk_defer.dpdk` for DPDK's own lines,
each with the level that DPDK gave it (`RTE_LOG_EMERG` to `RTE_LOG_CRIT` are CRITICAL, `RTE_LOG_NOTICE` is INFO).
"""

import logging

from pydpdk_defer._loading import native

__all__ = ["forward"]

_OUR_OWN = logging.getLogger("pydpdk_defer")
_DPDK = logging.getLogger("pydpdk_defer.dpdk")
_DPDK.addHandler(logging.NullHandler())  # a program that sets up no logging does not see DPDK's chatter


def forward() -> None:
    """Log what was said since the last time, with the time when it was said."""
    for level, from_dpdk, time_s, text in native.log_take_records():
        logger = _DPDK if from_dpdk else _OUR_OWN
        if logger.isEnabledFor(level):
            record = logger.makeRecord(logger.name, level, "", 0, text, (), None)
            record.created = time_s
            record.msecs = int(time_s * 1000) % 1000
            logger.handle(record)
