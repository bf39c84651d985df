# SPDX-License-Identifier: BSD-3-Clause
"""Text tables that fit a given width: a number is shown whole, or its column is left out with a mark."""

from collections.abc import Iterator, Sequence

__all__ = ["LEFT_OUT", "fitted", "shortened"]

LEFT_OUT = "..."  # ends the head of a table that lacks columns, and a text that was cut
_INDENT, _GAP = "  ", "  "
_LONGEST_TEXT = 24


def shortened(text: str, length: int = _LONGEST_TEXT) -> str:
    """`text` cut to `length` characters, with a mark at the end if something is missing."""
    return text if len(text) <= length else text[: max(0, length - len(LEFT_OUT))] + LEFT_OUT


def fitted(
    head: Sequence[str], rows: Sequence[Sequence[str]], width: int, leave_out: Sequence[str] = ()
) -> Iterator[str]:
    """The lines of a table of at most `width` characters; the first column is aligned to the left.

    Columns are left out in the order of `leave_out`, and after those from the right, until the others fit. The first
    column always stays; its cells are shortened if nothing else helps.
    """
    order = [*map(head.index, leave_out), *(at for at in reversed(range(1, len(head))) if head[at] not in leave_out)]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    kept = list(range(len(head)))
    while len(kept) > 1 and _needed(kept, widths) > width:
        kept.remove(order.pop(0))
    mark = _GAP + LEFT_OUT if len(kept) < len(head) else ""
    widths[0] = min(widths[0], width - len(_INDENT + mark))
    for row in (head, *rows):
        first, *others = kept
        cells = [shortened(row[first], widths[first]).ljust(widths[first])]
        cells += [row[column].rjust(widths[column]) for column in others]
        yield (_INDENT + _GAP.join(cells) + (mark if row is head else "")).rstrip()


def _needed(kept: Sequence[int], widths: Sequence[int]) -> int:
    mark = len(_GAP + LEFT_OUT) if len(kept) < len(widths) else 0
    return len(_INDENT) + sum(widths[column] for column in kept) + len(_GAP) * (len(kept) - 1) + mark
