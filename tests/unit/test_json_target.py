# SPDX-License-Identifier: BSD-3-Clause
"""Where `--json` may write: told before a run, with nothing changed."""

import argparse
import os
from pathlib import Path

import pytest

from pydpdk_defer.cli._arguments import json_target

pytestmark = pytest.mark.rights


def test_stdout_and_special_files_are_taken_as_they_are(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody reads: opening it would wait
    for target in ("-", "/dev/null", str(pipe)):
        assert json_target(target) == target


def test_a_new_file_is_not_left_behind(tmp_path: Path) -> None:
    assert json_target(str(tmp_path / "new.json")) == str(tmp_path / "new.json")
    assert list(tmp_path.iterdir()) == []


def test_an_old_report_is_kept_until_there_is_a_new_one(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("{}")
    json_target(str(old))
    assert old.read_text() == "{}"


def test_a_link_that_leads_to_nothing_yet_stays(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to("new.json")
    json_target(str(link))
    assert link.is_symlink()
    assert list(tmp_path.iterdir()) == [link]


@pytest.mark.parametrize("target", ["", ".", "none/x.json", "file/x.json", "file/", "x" * 300])
def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(argparse.ArgumentTypeError, match=r"cannot write .*; give a file, or -"):
        json_target(target)
