"""Tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ccstore.client.terminal import clean


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
