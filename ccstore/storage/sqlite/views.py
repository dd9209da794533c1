"""Views for whoever opens the file with other programs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

from ccstore.message import STORED_KINDS, Kind
from ccstore.storage.columns import STREAM_COLUMNS
from ccstore.storage.dbfile.sql import Say, identifier, literal
from ccstore.storage.reading.dialect import Terms
from ccstore.storage.sqlite.expiry import has_expired, has_period_left, terms_of

#: SELECTs in one UNION ALL; SQLite takes 500.
_UNION: Final = 200
#: The time in nanoseconds, and up to two milliseconds more: it is not known better, and must not be early.
_NOW: Final = "(CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) + 2) * 1000000"
#: By kind, the views of what is stored, also of what has expired since the daemon last looked.
STORED_ROWS: Final[Mapping[Kind, str]] = {"event": "ccstore_event_stored", "log": "ccstore_log_stored"}


def refresh_rows_views(connection: sqlite3.Connection) -> None:
    """Per kind, one view over all segments; where they are many, over views over them.

    What has expired is left out: by what is noted, and by the time at which somebody reads.
    """
    wanted: dict[str, str] = {}
    for kind in STORED_KINDS:
        found = connection.execute(
            "SELECT id FROM segment WHERE kind = ? AND packed = 0 ORDER BY first_id", (kind,)
        )
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
        select = " UNION ALL ".join(parts.values())
        wanted |= _views_of_kind(kind, select, has_expired(connection, kind), terms_of(connection))
    statements = {name: f"CREATE VIEW {name} AS {select}" for name, select in wanted.items()}
    # Not a cluster's view, whatever the cluster is called: that ends in neither way.
    standing = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'view' AND ("
        + " OR ".join(
            f"name IN ('{STORED_ROWS[kind]}', 'ccstore_{kind}_rows')"
            f" OR name GLOB 'ccstore_{kind}_rows_*[0-9]'"
            for kind in STORED_KINDS
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


def _views_of_kind(kind: Kind, select: str, expired: str, terms: Terms) -> dict[str, str]:
    """The views of what is stored of a kind, and of what is seen of it.

    :param expired: a condition on a message, see :func:`has_expired`.
    """
    stored, seen = STORED_ROWS[kind], f"ccstore_{kind}_rows"
    if terms.are_by_stream(kind):
        return {
            stored: f"SELECT * FROM ({select}) WHERE NOT {expired}",
            seen: f"SELECT * FROM {stored} WHERE {has_period_left(kind, _NOW)}",
        }
    if kind == "log":
        return {seen: select, stored: f"SELECT * FROM {seen}"}
    return {
        stored: f"SELECT * FROM ({select}) WHERE NOT {expired}",
        seen: f"SELECT * FROM {stored} WHERE time > (SELECT {_NOW} - nanoseconds FROM retention)",
    }


#: What SQLite says of a name that it keeps to itself.
_RESERVED: Final = "reserved for internal use"


def refresh_cluster_views(
    connection: sqlite3.Connection, clusters: Iterable[tuple[str, str]], say: Say, *, most_names: int
) -> None:
    """The views a site's own SQL relies on: ``<cluster>_events`` and ``<cluster>_logs``.

    :param most_names: that the schema may have; see :attr:`SegmentSizes.names`.
    """
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
        if len(taken) >= most_names:
            return
        taken[_folded(name)] = name
        if len(taken) == most_names:
            say(f"no views after {name!r}: there are too many clusters")
        columns = ", ".join(f"s.{column}" for column in STREAM_COLUMNS)
        try:
            connection.execute(
                f"CREATE VIEW {identifier(name)} AS "
                f"SELECT r.id, r.time / 1000000000 AS timestamp, {columns}, r.othertags, r.text AS field "
                f"FROM ccstore_{kind}_rows r JOIN stream s ON s.id = r.stream "
                f"WHERE s.cluster = {literal(cluster)} AND s.kind = '{kind}'"
            )
        except sqlite3.OperationalError as error:
            # SQLite keeps some names to itself, and the messages are stored all the same. Whatever else goes
            # wrong goes wrong for them, too: they are written again, with the view.
            if _RESERVED not in str(error):
                raise
            say(f"no view {name!r} for cluster {cluster!r}: {error}")


def _folded(name: str) -> bytes:
    return name.encode().lower()
