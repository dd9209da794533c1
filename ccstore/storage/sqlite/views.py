"""Views for whoever opens the file with other programs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from ccstore.message import STORED_KINDS
from ccstore.storage.columns import STREAM_COLUMNS
from ccstore.storage.sqlite.file import Say, identifier, literal

#: SELECTs in one UNION ALL; SQLite takes 500.
_UNION: Final = 200
#: Names in the schema above which clusters get no views: SQLite reads all of it whenever it changes, and what
#: is called a cluster is up to the senders.
_MOST_NAMES: Final = 2000


def refresh_rows_views(connection: sqlite3.Connection) -> None:
    """Per kind, one view over all segments; where they are many, over views over them."""
    wanted: dict[str, str] = {}
    for kind in STORED_KINDS:
        found = connection.execute("SELECT id FROM segment WHERE kind = ? ORDER BY first_id", (kind,))
        parts = {
            number: f"SELECT id, stream, time, text, othertags FROM {kind}_{number}" for (number,) in found
        }
        level = 0
        while len(parts) > _UNION:
            # By number, so that few views change when a segment comes or goes.
            level += 1
            groups: dict[int, list[str]] = {}
            for number, part in parts.items():
                groups.setdefault(number // _UNION, []).append(part)
            names = {group: f"ccstore_{kind}_rows_{level}_{group}" for group in groups}
            wanted |= {names[group]: " UNION ALL ".join(groups[group]) for group in groups}
            parts = {group: f"SELECT * FROM {names[group]}" for group in groups}
        wanted[f"ccstore_{kind}_rows"] = " UNION ALL ".join(parts.values())
    statements = {name: f"CREATE VIEW {name} AS {select}" for name, select in wanted.items()}
    # Not a cluster's view, whatever the cluster is called: that ends in neither way.
    standing = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'view' AND ("
        + " OR ".join(
            f"name = 'ccstore_{kind}_rows' OR name GLOB 'ccstore_{kind}_rows_*[0-9]'" for kind in STORED_KINDS
        )
        + ")"
    ).fetchall()
    for name, statement in standing:
        if statements.get(name) == statement:
            del statements[name]
        else:
            connection.execute(f"DROP VIEW {identifier(name)}")
    for statement in statements.values():
        connection.execute(statement)


def refresh_cluster_views(
    connection: sqlite3.Connection, clusters: Iterable[tuple[str, str]], say: Say
) -> None:
    """The views a site's own SQL relies on: ``<cluster>_events`` and ``<cluster>_logs``."""
    if not clusters:
        return
    # Names are compared as SQLite does it, which knows of upper and lower case in ASCII alone.
    taken = {_folded(name): name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    for cluster, kind in sorted(clusters):
        name = f"{cluster}_{kind}s"
        other = taken.get(_folded(name))
        if other is not None:
            if other != name:
                say(f"no view {name!r}: SQLite cannot tell it from {other!r}")
            continue
        if len(taken) >= _MOST_NAMES:
            return
        taken[_folded(name)] = name
        if len(taken) == _MOST_NAMES:
            say(f"no views after {name!r}: there are too many clusters")
        columns = ", ".join(f"s.{column}" for column in STREAM_COLUMNS)
        try:
            connection.execute(
                f"CREATE VIEW {identifier(name)} AS "
                f"SELECT r.id, r.time / 1000000000 AS timestamp, {columns}, r.othertags, r.text AS field "
                f"FROM ccstore_{kind}_rows r JOIN stream s ON s.id = r.stream "
                f"WHERE s.cluster = {literal(cluster)} AND s.kind = '{kind}'"
            )
        except sqlite3.Error as error:
            # SQLite keeps some names to itself. The messages are stored all the same.
            say(f"no view {name!r} for cluster {cluster!r}: {error}")


def _folded(name: str) -> bytes:
    return name.encode().lower()
