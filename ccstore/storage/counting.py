"""How messages are counted, in any database."""

from __future__ import annotations


def count_messages(rows: str, streams: str, condition: str) -> str:
    """The statement for the messages of each cluster: rows of its name and their number.

    :param rows: the table or view of them, in which a message is ``r``.
    :param streams: the table of their streams.
    :param condition: which of them are counted.
    """
    # By stream first, so that only a few rows have to be joined.
    return (
        f"SELECT s.cluster, sum(r.n) FROM (SELECT stream, count(*) AS n FROM {rows} r WHERE {condition} "
        f"GROUP BY stream) r JOIN {streams} s ON s.id = r.stream GROUP BY s.cluster"
    )
