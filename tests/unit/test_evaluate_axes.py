# SPDX-License-Identifier: BSD-3-Clause
"""Lists and ranges as people write them, and the points that they span."""

import re
from typing import Any

import pytest

from pydpdk_defer.evaluate import Axes, parse_engines, parse_numbers, parse_policies, parse_sizes


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("64", (64,)),
        ("64,256,1500", (64, 256, 1500)),
        ("64:9000:x2", (64, 128, 256, 512, 1024, 2048, 4096, 8192, 9000)),
        ("64:512:x2", (64, 128, 256, 512)),
        ("1000:1500:+128", (1000, 1128, 1256, 1384, 1500)),
        ("64:64:x2", (64,)),
        ("1500, 64:128:+64, imix", (1500, 64, 128, "imix")),
        ("64,64:128:x2", (64, 128)),
    ],
)
def test_sizes(text: str, sizes: tuple[Any, ...]) -> None:
    assert parse_sizes(text) == sizes


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "a frame size is missing"),
        ("64,,128", "'64,,128' lacks a frame size"),
        ("59", "59 is not a frame size: it must be from 60 to 16128"),
        ("20000", "20000 is not"),
        ("big", "'big' is not a frame size: a whole number from 60 to 16128"),
        ("-64", "'-64' is not"),
        ("64:1500", "'64:1500' is not a range: write 64:9000:x2"),
        ("64:1500:2", "is not a range"),
        ("64:1500:x", "is not a range"),
        ("1500:64:x2", "is empty: 1500 is more than 64"),
        ("64:1500:x1", "never ends"),
        ("64:1500:+0", "never ends"),
    ],
)
def test_sizes_that_cannot_be(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        parse_sizes(text)


def test_words() -> None:
    assert parse_engines("cpu,dma") == ("cpu", "dma")
    assert parse_policies("fifo,per_queue+paced") == ("fifo", "per_queue+paced")
    with pytest.raises(ValueError, match=r"no copy engine 'dam'.*dma"):
        parse_engines("cpu,dam")
    with pytest.raises(ValueError, match="no policy 'lifo'"):
        parse_policies("lifo")


def test_points_change_the_guest_as_seldom_as_can_be() -> None:
    axes = Axes(frames=(64, 1500), bursts=(1, 32), queues=parse_numbers("1:4:x2", "a number of queues", (1, 16)))
    points = axes.points()
    assert len(points) == len(set(points)) == 12
    assert [point.queues for point in points] == [1] * 4 + [2] * 4 + [4] * 4
    assert str(points[0]) == "64 bytes, burst 1, 1 queue, fifo, copier"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"frames": ()}, "frames is empty"),
        ({"frames": (64, 64)}, "frames has 64 twice"),
        ({"frames": (30,)}, "30 is not a frame size"),
        ({"bursts": (64,)}, "64 is not a burst"),
        ({"queues": (0,)}, "0 is not a number of queues"),
        ({"engines": ("dma",)}, "engines is dma alone"),
        ({"frames": tuple(range(60, 16000)), "bursts": (1,)}, "the axes span 15940 points"),
    ],
)
def test_axes_that_cannot_be(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        Axes(**{"frames": (64,), **changes})
