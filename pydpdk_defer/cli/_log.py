# SPDX-License-Identifier: BSD-3-Clause
"""What the verbs say on stderr, as text or as a JSON object a line: the log, and errors without a traceback."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from pydpdk_defer.errors import DeferError

__all__ = ["print_error", "print_fault", "print_note", "to_stderr"]

_logger = logging.getLogger("pydpdk_defer")
_dpdk_logger = logging.getLogger("pydpdk_defer.dpdk")
_fields_of_each_record = frozenset(vars(logging.makeLogRecord({}))) | {"message"}


class _Text(logging.Formatter):
    """ "warning: port vm0: ..."."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {super().format(record)}"


class _Json(logging.Formatter):
    """An object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and what else the record carries."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _fields_of_each_record}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def to_stderr(level: int, style: str) -> None:
    """Show what the package logs from this level on; `style` is "text" or "json".

    DPDK's own lines are in the JSON log alone: in text they would drown the figures.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if style == "json" else _Text())
    _logger.handlers[:] = [handler]
    _logger.setLevel(level)
    _logger.propagate = False
    _dpdk_logger.propagate = style == "json"


def print_note(text: str) -> None:
    """Print what was asked for and is no event."""
    if _is_json():
        _logger.info("%s", text)
    else:
        print(text, file=sys.stderr, flush=True)


def print_fault(text: str, hint: str = "") -> None:
    """Print what failed and what would help."""
    if _is_json():
        _logger.error("%s", text, extra={"hint": hint} if hint else None)
        return
    print(f"error: {text}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)


def print_error(error: Exception) -> None:
    """Print what failed and what would help, by an exception."""
    print_fault(error.strerror if isinstance(error, DeferError) else str(error), getattr(error, "hint", ""))


def _is_json() -> bool:
    return any(isinstance(handler.formatter, _Json) for handler in _logger.handlers)
