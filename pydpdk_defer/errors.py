# SPDX-License-Identifier: BSD-3-Clause
"""The exceptions of the control path.

Whatever DPDK, the operating system or a topology refuses arrives as one of these: what failed, its errno, and
a hint about what to do. Wrong arguments are `ValueError` and `TypeError` instead, and the data path raises
nothing at all. `UsageError` is the `ValueError` for an invalid argument on a command line; the verbs report it as
wrong use. Any other `ValueError` is a bug and keeps its traceback.

The native code looks these classes up by name and calls them with `(message, errno, hint)`, by position.
"""

from errno import EINVAL
from typing import Any

__all__ = ["DeferError", "DmaError", "EalError", "TopologyError", "UsageError", "VhostError"]


class DeferError(OSError):
    """Something on the control path failed; the base of every error that this package raises itself.

    Attributes:
        errno: a positive error number as in the `errno` module; `EINVAL` unless told otherwise.
        strerror: what failed, in words.
        hint: what would help, or an empty string.

    `str(error)` is the message, followed by the hint in parentheses when there is one.
    """

    errno: int
    strerror: str
    hint: str

    def __init__(self, message: str, errno: int = EINVAL, hint: str = "") -> None:
        super().__init__(errno, message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.strerror} ({self.hint})" if self.hint else self.strerror

    def __repr__(self) -> str:
        hint = f", hint={self.hint!r}" if self.hint else ""
        return f"{type(self).__name__}({self.strerror!r}, errno={self.errno}{hint})"

    def __reduce__(self) -> tuple[Any, ...]:
        # OSError rebuilds itself from (errno, strerror), which is not the order of this constructor.
        return type(self), (self.strerror, self.errno, self.hint), self.__dict__


class UsageError(ValueError):
    """An invalid argument. The message names the argument, its value, and a valid one."""


class EalError(DeferError):
    """DPDK's environment refused to start: memory, hugepages, cores, a second start in one process."""


class DmaError(DeferError):
    """A DMA device is not there, lacks a capability, or failed."""


class VhostError(DeferError):
    """A vhost-user socket or device failed, or its guest did not come in time."""


class TopologyError(DeferError):
    """A topology is wrong, unreadable, or asks for what this host does not have; `errno` is `EINVAL`.

    The message holds one line for each fault, and each line names the key as TOML does (`port.vm0.copy`,
    `pmd[0].rxqs[1]`), the value, and what would do.
    """
