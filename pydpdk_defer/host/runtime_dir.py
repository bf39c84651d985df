# SPDX-License-Identifier: BSD-3-Clause
"""A place for DPDK's runtime folder when the user is not root.

DPDK makes `dpdk/PREFIX` in `XDG_RUNTIME_DIR`, or in `/tmp` when that is not set: there the folder `dpdk` may be
another user's. Services, containers and `su` often come without `XDG_RUNTIME_DIR`, or with somebody else's.
"""

import os
import stat
from errno import EACCES
from pathlib import Path

from pydpdk_defer.errors import EalError

__all__ = ["ensure", "of_prefix", "roots"]

_VARIABLE = "XDG_RUNTIME_DIR"


def ensure() -> None:
    """Set `XDG_RUNTIME_DIR` to a private folder unless it is a folder that this user can write.

    Does nothing for root, who has `/var/run`. Raises `EalError` when the private folder is not this user's alone.
    """
    if os.geteuid() == 0:
        return
    given = os.environ.get(_VARIABLE)
    if given and Path(given).is_dir() and os.access(given, os.W_OK | os.X_OK):
        return
    os.environ[_VARIABLE] = str(_private_folder(Path("/tmp"), os.geteuid()))


def of_prefix(prefix: str) -> Path:
    """The folder that DPDK will make for a file prefix. After `ensure`."""
    root = "/var/run" if os.geteuid() == 0 else os.environ.get(_VARIABLE) or "/tmp"
    return Path(root) / "dpdk" / prefix


def roots() -> list[Path]:
    """Where runtime folders of this user's and of root's DPDK processes are, those that are there."""
    given = os.environ.get(_VARIABLE)
    places = ["/var/run", *([given] if given else []), "/tmp", str(_private_path(Path("/tmp"), os.geteuid()))]
    return [folder for place in dict.fromkeys(places) if (folder := Path(place) / "dpdk").is_dir()]


def _private_path(parent: Path, uid: int) -> Path:
    return parent / f"pydpdk-defer-{uid}"


def _private_folder(parent: Path, uid: int) -> Path:
    """The folder of this user in a folder that all can write; made when missing."""
    folder = _private_path(parent, uid)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise _refuse(f"the folder {folder} cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid or status.st_mode & 0o077:
        raise _refuse(f"{folder} is not a folder that only user {uid} can use")
    return folder


def _refuse(text: str) -> EalError:
    return EalError(
        f"no place for DPDK's runtime folder: {text}", EACCES, f"set {_VARIABLE} to a folder that you may write"
    )
