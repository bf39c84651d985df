# SPDX-License-Identifier: BSD-3-Clause
"""The folder of an evaluation: `evaluation.json`, what it is, and `results.jsonl`, a repetition a line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from errno import EEXIST, EINVAL
from os import SEEK_END
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from pydpdk_defer.errors import DeferError
from pydpdk_defer.evaluate.records import SCHEMA_VERSION, Header, Repetition

__all__ = ["HEADER", "RESULTS", "Recorder", "Stored", "check_free", "load"]

HEADER, RESULTS = "evaluation.json", "results.jsonl"
_MAKE_ROOM = "what was measured is kept: make room, and go on with --resume"


@dataclass(frozen=True)
class Stored:
    """What a folder holds. `damaged`: why a line was skipped, one sentence each."""

    folder: Path
    header: Header
    repetitions: tuple[Repetition, ...]
    damaged: tuple[str, ...]


class Recorder:
    """Writes each repetition as it comes: what is written survives a kill. A context manager."""

    def __init__(self, folder: Path, header: Header, *, resume: bool = False) -> None:
        self._path = folder / RESULTS
        make(folder)
        try:
            if not resume:
                check_free(folder)
                (folder / HEADER).write_text(header.model_dump_json(indent=2) + "\n", encoding="utf-8")
            self._file: TextIO = self._path.open("a+", encoding="utf-8")
            self._end_cut_line()
        except OSError as error:
            raise _cannot_write(error, folder, "give a folder on a disk with room") from error

    def _end_cut_line(self) -> None:
        """A killed run may have left half a line: it is damaged, and must not damage the next one."""
        with self._path.open("rb") as file:
            if file.seek(0, SEEK_END) > 0:
                file.seek(-1, SEEK_END)
                if file.read(1) != b"\n":
                    self._file.write("\n")

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            if kind is None:  # else it was told already
                raise _cannot_write(error, self._path, _MAKE_ROOM) from error

    def keep(self, repetition: Repetition) -> None:
        """One line, at once."""
        try:
            self._file.write(repetition.model_dump_json() + "\n")
            self._file.flush()
        except OSError as error:
            raise _cannot_write(error, self._path, _MAKE_ROOM) from error


def make(folder: Path) -> None:
    """The folder, unless it is there. Raises `DeferError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(error, folder, "give a folder that you may write to") from error


def _cannot_write(error: OSError, what: Path, hint: str) -> OSError:
    if isinstance(error, DeferError):
        return error
    return DeferError(f"cannot write {error.filename or what}: {error.strerror}", error.errno or 0, hint)


def check_free(folder: Path) -> None:
    """`DeferError` for a folder that holds an evaluation, or a part of one."""
    if (folder / HEADER).exists():
        raise DeferError(
            f"{folder} holds an evaluation already", EEXIST, "give another folder, or continue that one with --resume"
        )


def load(folder: Path) -> Stored:
    """An evaluation, whole or in part. Raises `DeferError` for a folder that holds none, or one of another version."""
    try:
        header_text = (folder / HEADER).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise DeferError(
            f"{folder} holds no evaluation: cannot read {folder / HEADER}: {reason}",
            EINVAL,
            "give the folder that evaluate wrote to",
        ) from error
    header = _header(folder, header_text)
    damaged: list[str] = []
    repetitions = tuple(_repetitions(folder / RESULTS, header.id, damaged))
    return Stored(folder, header, repetitions, tuple(damaged))


def _header(folder: Path, text: str) -> Header:
    try:
        version = json.loads(text)["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DeferError(
            f"{folder / HEADER} is damaged: {error!r}", EINVAL, "the evaluation must be run again"
        ) from error
    if version != SCHEMA_VERSION:
        raise DeferError(
            f"{folder} is of schema version {version}; this pydpdk-defer reads version {SCHEMA_VERSION}",
            EINVAL,
            "read it with the pydpdk-defer that wrote it, or run the evaluation again",
        )
    try:
        return Header.model_validate_json(text)
    except ValidationError as error:
        raise DeferError(
            f"{folder / HEADER} is damaged: {_first(error)}", EINVAL, "run the evaluation again"
        ) from error


def _repetitions(path: Path, evaluation: str, damaged: list[str]) -> Iterator[Repetition]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, 1):
        try:
            repetition = Repetition.model_validate_json(line)
        except ValidationError as error:
            damaged.append(f"{path}, line {number}: {_first(error)}")
            continue
        if repetition.evaluation != evaluation:
            damaged.append(f"{path}, line {number}: of another evaluation, {repetition.evaluation!r}")
            continue
        yield repetition


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {fault['msg']}" if where else fault["msg"]
