"""All that is counted of sealed segments, their censuses and their templates: it comes and goes together."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ccstore.storage.census import PackedCensus
from ccstore.storage.sqlite import enumerating, templating


def forget(connection: sqlite3.Connection, segments: Sequence[int]) -> None:
    """Segments are gone, or have other messages; inside of the transaction in which they do."""
    enumerating.forget(connection, segments)
    templating.forget(connection, segments)


def unite(connection: sqlite3.Connection, sources: Sequence[int], target: int, census: PackedCensus) -> None:
    """Segments become one; inside of the transaction in which they do.

    :param census: of all of them.
    """
    enumerating.forget(connection, sources)
    enumerating.keep(connection, target, census)
    templating.move(connection, sources, target)
