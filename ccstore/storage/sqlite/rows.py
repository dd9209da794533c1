"""INSERT of many rows in few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Final

#: Rows of an INSERT: powers of two, so that any number takes few statements, and few have to be prepared.
_STATEMENT_ROWS: Final = tuple(2**power for power in range(9, -1, -1))


def insert_rows(
    connection: sqlite3.Connection,
    table: str,
    columns: Sequence[str],
    flat: Sequence[object],
    same: Sequence[tuple[str, object]] = (),
) -> None:
    """Insert rows whose values stand one behind the other.

    :param same: further columns, with the value that all rows have there. To bind it once takes less.
    """
    width = len(columns)
    names = ", ".join([*columns, *[name for name, _ in same]])
    more = [value for _, value in same]
    position = 0
    for rows in _STATEMENT_ROWS:
        while len(flat) - position >= width * rows:
            values = f"VALUES {placeholders(rows, width)}"
            if same:
                given = ", ".join([f"column{number}" for number in range(1, width + 1)] + ["?"] * len(same))
                values = f"SELECT {given} FROM ({values})"
            connection.execute(
                f"INSERT INTO {table} ({names}) {values}", [*more, *flat[position : position + width * rows]]
            )
            position += width * rows


@cache
def placeholders(rows: int, columns: int) -> str:
    """For the values of so many rows."""
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)
