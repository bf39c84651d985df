# SPDX-License-Identifier: BSD-3-Clause
"""The order in which a generator takes frame sizes.

A mix is exact in every round of as many frames as its weights add up to, and spread out within the round
(smooth weighted round robin, as nginx calls it): 7:4:1 is no run of seven, four and one.
"""

from collections.abc import Sequence
from typing import Literal

__all__ = ["IMIX", "schedule"]

IMIX: tuple[tuple[int, int], ...] = ((64, 7), (590, 4), (1514, 1))
"""Simple IMIX, 7:4:1: IP packets of 40, 576 and 1500 bytes in Ethernet, without FCS, the smallest padded to 64."""


def schedule(frame_size: int | Literal["imix"] | Sequence[tuple[int, int]]) -> list[int]:
    """Frame sizes in bytes, one round of the mix: `frame_size` is a size, "imix", or (size, weight) pairs."""
    if isinstance(frame_size, int):
        return [frame_size]
    mix = IMIX if frame_size == "imix" else tuple(frame_size)
    total = sum(weight for _, weight in mix)
    credit = [0] * len(mix)
    order = []
    for _ in range(total):
        credit = [have + weight for have, (_, weight) in zip(credit, mix, strict=True)]
        chosen = max(range(len(mix)), key=credit.__getitem__)
        credit[chosen] -= total
        order.append(mix[chosen][0])
    return order
