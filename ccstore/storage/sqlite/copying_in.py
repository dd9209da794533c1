"""Copying another store into this one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeVar

from twisted.internet.defer import Deferred, fail

from ccstore.batch import Batch
from ccstore.interfaces import StoreUnavailable
from ccstore.message import STORED_KINDS
from ccstore.storage.counting import count_messages
from ccstore.storage.sqlite.local_writer import LocalWriter
from ccstore.storage.sqlite.packed_rows import count_packed
from ccstore.storage.sqlite.views import STORED_ROWS
from ccstore.storage.sqlite.writer_thread import WriterThread

_Result = TypeVar("_Result")


class CopyingIn:
    """See :class:`ccstore.interfaces.ICopyTarget`. It takes a writer in this process.

    :param now: the time in nanoseconds since the epoch.
    """

    def __init__(self, thread: WriterThread, now: Callable[[], int]) -> None:
        self._thread = thread
        self._now = now

    def prepare(self) -> Deferred[None]:
        """Make room for notes of how far a store has been copied."""
        return self._do(_make_copied)

    def copied(self, source: str) -> Deferred[Mapping[str, int]]:
        """See :meth:`ccstore.interfaces.ICopyTarget.copied`."""

        def find(local: LocalWriter) -> Mapping[str, int]:
            rows = local.writer.connection.execute(
                "SELECT kind, last FROM copied WHERE source = ?", (source,)
            )
            return dict(rows.fetchall())

        return self._do(find)

    def copy_in(self, messages: Batch, source: str, last: int) -> Deferred[None]:
        """See :meth:`ccstore.interfaces.ICopyTarget.copy_in`."""
        position = (source, messages.series[0].kind, last)

        def note(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO copied VALUES (?, ?, ?)", position)

        def write(local: LocalWriter) -> None:
            local.writer.write(messages, note)
            if local.state.is_full:
                local.housekeeping.tend(self._now())

        return self._do(write)

    def count(self) -> Deferred[Mapping[tuple[str, str], int]]:
        """See :meth:`ccstore.interfaces.ICopyTarget.count`."""
        return self._do(_count)

    def _do(self, work: Callable[[LocalWriter], _Result]) -> Deferred[_Result]:
        try:
            writer = self._thread.writer
        except StoreUnavailable:
            return fail()
        assert isinstance(writer, LocalWriter), "copied into by another process"
        return self._thread.do(work, writer)


def _make_copied(local: LocalWriter) -> None:
    # Only where a store is copied into this one: what is not used needs no version of the schema.
    local.writer.connection.execute(
        "CREATE TABLE IF NOT EXISTS copied (source TEXT, kind TEXT, last INTEGER, PRIMARY KEY (source, kind))"
    )


def _count(local: LocalWriter) -> Mapping[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for kind in STORED_KINDS:
        rows = local.writer.connection.execute(count_messages(STORED_ROWS[kind], "stream", "TRUE"))
        found.update({(cluster, kind): count for cluster, count in rows})
        for cluster, count in count_packed(local.writer.connection, kind).items():
            found[cluster, kind] = found.get((cluster, kind), 0) + count
    return found
