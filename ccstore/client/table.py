"""Tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ccstore.client.terminal import Output, clean

#: Where a terminal is narrow, so many characters are shown all the same of what is cut.
_LEAST: Final = 30


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows in columns as wide as what is in them.

    Numbers stand to the right, and control characters are escaped.
    """
    kept = [list(row) for row in rows]
    is_number = [
        bool(kept) and all(isinstance(row[place], (int, float)) for row in kept) for place in range(len(head))
    ]
    cells = [list(head), *[[clean(str(cell)) for cell in row] for row in kept]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    return "".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        + "\n"
        for row in cells
    )


def fitted(head: Sequence[str], rows: Iterable[Sequence[object]], output: Output, column: str) -> str:
    """The same; on a terminal, a column with long texts is cut so that all of it fits."""
    kept = [list(row) for row in rows]
    place = head.index(column)
    widths = [max(len(clean(str(row[each]))) for row in (head, *kept)) for each in range(len(head))]
    room = output.width - (sum(widths) - widths[place] + 2 * (len(head) - 1))
    for row in kept:
        row[place] = cut(str(row[place]), output, room)
    return table(head, kept)


def some(count: int, what: str) -> str:
    """So many of something: ``1 host``, ``2,000 hosts``."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def cut(text: str, output: Output, room: int | None = None) -> str:
    """A text for people, on a terminal no longer than there is room: a line, if nothing else is said."""
    shown = clean(text)
    room = max(_LEAST, output.width if room is None else room)
    return shown if len(shown) <= room or not output.is_terminal else f"{shown[: room - 1]}…"
