"""What the writer knows of the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from ccstore.batch import Batch
from ccstore.permissions import PRIVATE
from ccstore.storage.sqlite.housekeeping import Housekeeping
from ccstore.storage.sqlite.sizes import SIZES
from ccstore.storage.sqlite.versions import DATABASE
from ccstore.storage.sqlite.writer import Writer
from tests.support.stores import NOW, message


def open_writer(connection: sqlite3.Connection) -> tuple[Writer, Housekeeping]:
    """A writer that has read the file."""
    writer = Writer(connection, lambda: NOW, print, SIZES.segments)
    housekeeping = Housekeeping(writer, 10**12, None, lambda: NOW, print)
    writer.load()
    return writer, housekeeping


@settings(deadline=None)  # it syncs a file
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("begin", "undo", "write", "fail", "seal")),
            st.lists(st.tuples(st.sampled_from(("event", "log")), st.integers(0, 3)), max_size=4),
        ),
        max_size=12,
    )
)
def test_what_is_begun_and_undone_leaves_no_trace(steps: list[tuple[str, list[tuple[Any, int]]]]) -> None:
    """The writer knows of the file what another one finds in it, and the file has what was written."""
    with (
        TemporaryDirectory() as directory,
        closing(sqlite3.connect(path := Path(directory, "x.db"), isolation_level=None)) as connection,
    ):
        DATABASE.prepare(connection, path, PRIVATE, print)
        writer, housekeeping = open_writer(connection)
        begun: list[str] = []
        written: list[str] = []
        for step, chosen in steps:
            batch = Batch.of([message("t", NOW + host, kind, hostname=f"h{host}") for kind, host in chosen])
            told = [f"{kind} h{host}" for kind, host in chosen]
            if step == "begin":
                writer.begin(batch)
                begun += told
            elif step == "write":
                writer.write(batch)
                written += begun + told
                begun = []
            else:
                if step == "fail":
                    with pytest.raises(UnicodeEncodeError):
                        writer.begin(Batch.of([message("\ud800", kind="log")]))
                elif step == "undo":
                    writer.undo()
                else:
                    writer.undo()
                    housekeeping.seal("event")
                begun = []
        writer.undo()
        another, _ = open_writer(connection)
        assert writer.state.lasts == another.state.lasts
        assert writer.state.active_tables == another.state.active_tables
        assert {
            kind: evolve(each, written_at=0) for kind, each in writer.segments.copy().items()
        } == another.segments.copy()
        found = connection.execute(
            "SELECT s.kind || ' ' || s.hostname FROM stream s JOIN"
            " (SELECT stream FROM ccstore_event_rows UNION ALL SELECT stream FROM ccstore_log_rows) r"
            " ON s.id = r.stream"
        )
        assert sorted(text for (text,) in found) == sorted(written)
        assert writer.state.writes == len(written)
