"""Queries as SQL."""

from __future__ import annotations

from typing import Final

from ccstore.query import Query

#: Columns of a stream after its cluster and kind, in the order of :attr:`ccstore.message.Series.stream`.
STREAM_COLUMNS: Final = ("name", "hostname", "type", "typeid", "stype", "stypeid")


def cutoff_at(now: float, retention: float) -> int:
    """The time in nanoseconds at or before which events have expired, which is one that a database takes.

    :param now: in seconds, as is the retention time.
    """
    return max(int((now - retention) * 1e9), -(2**63))


def stream_condition(query: Query, placeholder: str) -> tuple[str, list[str]]:
    """An SQL condition on the columns of ``stream``, and its parameters."""
    given = {"cluster": query.cluster, "kind": query.kind}
    for column in STREAM_COLUMNS:
        value = getattr(query, column)
        if value is not None:
            given[column] = value
    return " AND ".join(f"{column} = {placeholder}" for column in given), list(given.values())
