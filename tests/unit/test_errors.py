# SPDX-License-Identifier: BSD-3-Clause
"""Errors as their catchers see them: type, errno, text, and the way through pickle."""

import copy
import errno
import pickle
import traceback

import pytest

from pydpdk_defer.errors import DeferError, DmaError, EalError, TopologyError, VhostError

KINDS = [DeferError, EalError, DmaError, VhostError, TopologyError]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_an_os_error_and_a_defer_error(kind: type[DeferError]) -> None:
    with pytest.raises(OSError, match="no memory") as caught:
        raise kind("no memory", errno.ENOMEM, "set eal.memory_mb higher")
    assert isinstance(caught.value, DeferError)
    assert type(caught.value) is kind


def test_attributes_hold_what_was_given_by_position() -> None:
    error = DmaError("dma_skeleton0: no such device", errno.ENODEV, "pydpdk-defer devices lists them")
    assert error.errno == errno.ENODEV
    assert error.strerror == "dma_skeleton0: no such device"
    assert error.hint == "pydpdk-defer devices lists them"


def test_only_the_message_is_needed() -> None:
    error = TopologyError("wrong")
    assert error.errno == errno.EINVAL
    assert error.hint == ""
    assert str(error) == "wrong"


def test_text_is_message_and_hint() -> None:
    assert str(VhostError("no guest came", errno.ETIMEDOUT)) == "no guest came"
    assert str(VhostError("no guest came", hint="start one")) == "no guest came (start one)"


def test_an_errno_does_not_turn_it_into_another_class() -> None:
    error = DeferError("gone", errno.ENOENT)
    assert type(error) is DeferError
    assert not isinstance(error, FileNotFoundError)


def test_repr_shows_all_that_was_given() -> None:
    assert repr(EalError("no", 12, "yes")) == "EalError('no', errno=12, hint='yes')"
    assert repr(EalError("no", 12)) == "EalError('no', errno=12)"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_brings_everything_back(kind: type[DeferError], protocol: int) -> None:
    error = kind("what failed", errno.EBUSY, "what helps")
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is kind
    assert (again.strerror, again.errno, again.hint) == ("what failed", errno.EBUSY, "what helps")
    assert str(again) == str(error)


def test_notes_survive_pickle_and_copy() -> None:
    error = DeferError("what failed")
    error.add_note("while stopping")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while stopping"]
    assert copy.copy(error).__notes__ == ["while stopping"]


def test_traceback_text_holds_the_hint() -> None:
    lines = traceback.format_exception_only(EalError("no hugepages", hint='set hugepages = "auto"'))
    assert lines == ['pydpdk_defer.errors.EalError: no hugepages (set hugepages = "auto")\n']


def test_a_subclass_keeps_its_way_through_pickle() -> None:
    assert isinstance(pickle.loads(pickle.dumps(DmaError("x"))), DmaError)


@pytest.mark.parametrize("arguments", [(), ("a", 1, "b", "c")])
def test_wrong_arguments_are_a_type_error(arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        DeferError(*arguments)  # type: ignore[arg-type]
