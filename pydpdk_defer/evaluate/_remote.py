# SPDX-License-Identifier: BSD-3-Clause
"""Questions to a child process and its answers, a line of JSON each; the child ends when its parent does."""

import json
import os
import select
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Any, Self

from pydpdk_defer import errors
from pydpdk_defer.errors import DeferError, UsageError

__all__ = ["Child", "ChildEndedError", "keep_stdout_for_answers", "refuse", "serve"]

_END_SECONDS = 15.0
_TAIL_LINES = 5


class ChildEndedError(DeferError):
    """A process of the evaluation is gone, or did not answer in time and was ended."""


class Child:
    """A process that runs `serve`. A context manager: it is ended by asking, and killed when that does not help.

    What it prints goes to `log`.
    """

    def __init__(self, module: str, setting: Mapping[str, Any], log: Path) -> None:
        self.name = module.rpartition(".")[2].strip("_")
        self._log = log
        self._pending = b""
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, json.dumps(setting)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                start_new_session=True,  # signals to a whole group are the parent's business
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def check(self) -> None:
        """Raise `ChildEndedError` when it is gone."""
        if self._process.poll() is not None:
            raise self._ended("has ended")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, question: str, timeout: float = 60.0, **arguments: Any) -> Any:
        """The answer. Raises what the child raised (`DeferError`, `UsageError`, or `RuntimeError` for anything else).

        `ChildEndedError`: it is gone.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([question, arguments]).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._ended("has ended") from None
        answer = json.loads(self._line(time.monotonic() + timeout, timeout))
        if "error" in answer:
            raise self._error_from(answer["error"])
        return answer["answer"]

    def end(self) -> None:
        """Ask it to end, and see to it."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _line(self, deadline: float, timeout: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self._process.send_signal(SIGKILL)
                raise self._ended(f"did not answer within {timeout:g} s and was ended")
            piece = os.read(descriptor, 1 << 20)
            if not piece:
                raise self._ended("has ended")
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _error_from(self, told: Mapping[str, Any]) -> Exception:
        kind = getattr(errors, told["kind"], None)
        if isinstance(kind, type) and issubclass(kind, DeferError):
            return kind(told["text"], told["errno"], told["hint"])
        if kind is UsageError:
            return UsageError(told["text"])
        return RuntimeError(f"{told['kind']} in the evaluation's {self.name} process: {told['text']} (see {self._log})")

    def _ended(self, how: str) -> ChildEndedError:
        status = self._process.wait(_END_SECONDS)
        said = self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        last_words = f"; it said last: {' / '.join(said)}" if said else ""
        return ChildEndedError(
            f"the evaluation's {self.name} process {how} (status {status}){last_words}", 0, f"see {self._log}"
        )


def serve(answers: Mapping[str, Callable[..., Any]], meanwhile: Callable[[], None] | None = None) -> None:
    """Answer questions from stdin until it is closed; `meanwhile` is called again and again while none is there.

    Everything that others print goes to stderr.
    """
    while True:
        while meanwhile is not None and not select.select([sys.stdin], [], [], 0)[0]:
            meanwhile()
        line = sys.stdin.readline()
        if not line:
            return
        question, arguments = json.loads(line)
        try:
            reply = {"answer": answers[question](**arguments)}
        except Exception as error:
            if not isinstance(error, DeferError | UsageError):
                traceback.print_exc()  # to the log
            reply = _refusal(error)
        _answer(reply)


def refuse(error: DeferError | UsageError) -> None:
    """Answer the first question with this error, in the place of `serve`."""
    if sys.stdin.readline():
        _answer(_refusal(error))


def _refusal(error: Exception) -> dict[str, Any]:
    text = error.strerror if isinstance(error, DeferError) else str(error)
    number, hint = (error.errno, error.hint) if isinstance(error, DeferError) else (0, "")
    return {"error": {"kind": type(error).__name__, "text": text, "errno": number, "hint": hint}}


def _answer(reply: Mapping[str, Any]) -> None:
    os.write(_answers, json.dumps(reply).encode() + b"\n")


_answers = -1


def keep_stdout_for_answers() -> Sequence[str]:
    """Call first in the child: returns the command's arguments. stdout belongs to the answers from then on."""
    global _answers
    _answers = os.dup(1)
    os.dup2(2, 1)
    return sys.argv[1:]
