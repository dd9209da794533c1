"""Views for a site's own SQL: ``<cluster>_events`` and ``<cluster>_logs``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import psycopg2
from twisted.logger import Logger

from ccstore.message import STORED_KINDS
from ccstore.storage.columns import STREAM_COLUMNS
from ccstore.storage.postgres.connections import Session
from ccstore.storage.postgres.database import LOCK, identifier
from ccstore.storage.postgres.driver_errors import one_line
from ccstore.storage.postgres.expiry import IS_HELD, has_expired

#: Bytes of a name; PostgreSQL cuts longer ones short.
_LONGEST_NAME: Final = 63
#: Views above which clusters get none: what is called a cluster is up to the senders.
_MOST_VIEWS: Final = 4000
_LOCK_WAIT: Final = 500
_NOW: Final = "(extract(epoch FROM statement_timestamp()) * 1000000000)::bigint"
#: By what is noted, and by the time at which somebody reads; who may read the view needs no right to these.
#: The first condition lets partitions be left out.
_SEEN: Final[Mapping[str, str]] = {
    "event": (
        f" AND r.time >= (SELECT least({_NOW} + 1 - greatest(nanoseconds, (SELECT max(nanoseconds) FROM "
        "ccstore_retention_rule WHERE kind = 'event')), (SELECT min(begins_at) FROM ccstore_hold)) "
        f"FROM ccstore_retention) AND (r.time > {_NOW} - coalesce(s.keeps, (SELECT nanoseconds FROM "
        f"ccstore_retention)) OR {IS_HELD}) AND NOT {has_expired('event')}"
    ),
    "log": (f" AND (s.keeps IS NULL OR r.time > {_NOW} - s.keeps OR {IS_HELD}) AND NOT {has_expired('log')}"),
}
#: Instead of its kind: a view of an earlier version, which shows what has expired.
_OUTDATED: Final = ""


class Views:
    """Makes the views of clusters that have none."""

    log = Logger()

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    @property
    def count(self) -> int:
        """Pairs of a cluster and a kind, each a table in the historical view."""
        return len(self._seen)

    def are_there(self, clusters: Iterable[tuple[str, str]]) -> bool:
        """Whether all of these clusters and kinds have been looked at."""
        return self._seen.issuperset(clusters)

    async def load(self, session: Session) -> None:
        """Look at all clusters there are."""
        await self.make(session, await session.execute("SELECT DISTINCT cluster, kind FROM ccstore_stream"))

    async def make(self, session: Session, clusters: Iterable[tuple[str, str]]) -> None:
        """Make views for these clusters and kinds; where that fails, messages are stored all the same."""
        wanted = {
            f"{cluster}_{kind}s": (cluster, kind)
            for cluster, kind in sorted(clusters)
            if kind in STORED_KINDS and (cluster, kind) not in self._seen
        }
        if not wanted:
            return
        there: dict[str, str] = dict(
            await session.execute(
                "SELECT relname, CASE WHEN relkind = 'v' AND oid NOT IN "
                "(SELECT r.ev_class FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid "
                "WHERE d.refobjid = 'ccstore_held'::regclass) THEN '' ELSE relkind::text END "
                "FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
                r"AND (relname LIKE '%\_events' OR relname LIKE '%\_logs')"
            )
        )
        if len(self._seen) + len(wanted) > 2 * _MOST_VIEWS:
            self._seen.clear()
        for name, (cluster, kind) in wanted.items():
            self._seen.add((cluster, kind))
            if len(name.encode()) > _LONGEST_NAME:
                self._none(name, f"PostgreSQL's names have at most {_LONGEST_NAME} bytes")
            elif there.get(name, "v") not in ("v", _OUTDATED):
                self._none(name, "something else is called so")
            elif name not in there and len(there) >= _MOST_VIEWS:
                self._none(name, "there are too many clusters")
            elif there.get(name, _OUTDATED) == _OUTDATED:
                await self._make(session, name, cluster, kind)
                there[name] = "v"

    def _none(self, name: str, why: str) -> None:
        self.log.warn("no view {name!r}: {why}", name=name, why=why)

    async def _make(self, session: Session, name: str, cluster: str, kind: str) -> None:
        columns = ", ".join(f"s.{column}" for column in STREAM_COLUMNS)
        await session.execute("BEGIN")
        try:
            # Two daemons may learn of a cluster at the same time.
            await session.execute(f"SET LOCAL lock_timeout = {_LOCK_WAIT}")
            await session.execute("SELECT pg_advisory_xact_lock(%s, 1)", LOCK)
            await session.execute(
                f"CREATE OR REPLACE VIEW {identifier(name).replace('%', '%%')} AS "
                f"SELECT r.id, r.time / 1000000000 AS timestamp, {columns}, r.othertags, r.text AS field "
                f"FROM ccstore_{kind} r JOIN ccstore_stream s ON s.id = r.stream "
                f"WHERE s.cluster = %s AND s.kind = %s{_SEEN[kind]}",
                cluster,
                kind,
            )
        except psycopg2.Error as error:
            await session.execute("ROLLBACK")
            self._none(name, one_line(error))
        else:
            await session.execute("COMMIT")
