"""An index of the texts, by three letters at a time, so that for a word not every text has to be read.

It is a GIN index of the extension ``pg_trgm`` on each partition. It makes writing a good deal slower, so it
is made only where somebody wishes it; once it is there, all daemons use it, and new partitions have it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import psycopg2
from psycopg2.errors import LockNotAvailable, UndefinedTable
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ccstore.interfaces import StoreError
from ccstore.storage.postgres.connections import Link, Session
from ccstore.storage.postgres.database import (
    LOCK,
    Address,
    BlockingSession,
    at_once,
    complaint_about,
    connected,
)
from ccstore.storage.postgres.driver_errors import one_line, translate
from ccstore.storage.postgres.pools import Pools

#: What is indexed. Of upper case only ASCII's is made lower, as conditions on texts have it.
EXPRESSION: Final = 'lower(text COLLATE "C")'
#: For the one who makes it, on whichever daemon.
_INDEXING: Final = LOCK + 1
_KINDS: Final = ("event", "log")
#: Milliseconds that a table is waited for: whoever writes waits behind that.
_LOCK_WAIT: Final = 200
#: Seconds between two looks at what there is of it.
_EVERY: Final = 30.0

_STATE: Final = (
    "SELECT count(*), coalesce(bool_and(indisvalid), false) FROM pg_index "
    "WHERE indexrelid IN (to_regclass('ccstore_event_by_text'), to_regclass('ccstore_log_by_text'))"
)
_EXTENSION: Final = (
    "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace "
    "WHERE extname = 'pg_trgm'"
)
#: Partitions that have no part in it yet, the last made first, and what there is of an index on them.
_MISSING: Final = (
    "SELECT t.relname, i.relname, x.indisvalid FROM pg_inherits h JOIN pg_class t ON t.oid = h.inhrelid "
    "LEFT JOIN (pg_index x JOIN pg_class i ON i.oid = x.indexrelid) "
    "ON x.indrelid = t.oid AND i.relname = t.relname || '_by_text' "
    "WHERE h.inhparent = to_regclass(%s) AND NOT EXISTS ("
    "SELECT 1 FROM pg_index p JOIN pg_inherits c ON c.inhrelid = p.indexrelid "
    "WHERE p.indrelid = t.oid AND c.inhparent = to_regclass(%s)) ORDER BY t.oid DESC"
)
_MAY_BE_MADE: Final = (
    "SELECT (SELECT bool_or(trusted) FROM pg_available_extension_versions WHERE name = 'pg_trgm'), "
    "has_database_privilege(current_database(), 'CREATE'), "
    "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
)


class TextIndex:
    """The index, if there is one.

    :param pools: an index of large partitions takes hours, and nobody waits for the connection that makes it.
    :param is_wanted: it is made where it is missing.
    :ivar is_there: at least in part: statements are written so that it is used.
    """

    log = Logger()

    def __init__(self, pools: Pools, reactor: Any, *, is_wanted: bool) -> None:
        self._pools = pools
        self._reactor = reactor
        self._is_wanted = is_wanted
        self._making: Deferred[None] | None = None
        self._looks_at = 0.0
        self._trouble = ""
        self._is_ended = False
        self.is_there = False
        self._is_complete = False

    async def look(self, session: Session) -> None:
        """See what there is of it; another daemon may have made it."""
        ((count, is_valid),) = await session.execute(_STATE)
        self.is_there = count == len(_KINDS)
        self._is_complete = self.is_there and is_valid

    async def tend(self) -> None:
        """Now and then, begin to make it, if it is missing and nobody is at it."""
        now = self._reactor.seconds()
        if now < self._looks_at:
            return
        self._looks_at = now + _EVERY
        async with self._pools.keeping.connection() as link:
            await self.look(link)
        if self._is_wanted and not self._is_complete and self._making is None:
            self._making = Deferred.fromCoroutine(self._make_in_time())

    def end(self) -> None:
        """Begin nothing more, and say nothing of what is cut off: it is gone on with at the next start."""
        self._is_wanted = False
        self._is_ended = True

    async def _make_in_time(self) -> None:
        try:
            await self.make()
            self._trouble = ""
        except Exception as error:
            trouble = translate(error, self._pools.address)
            if self._is_ended:
                pass
            elif not isinstance(trouble, StoreError):
                self.log.failure("cannot make the index of the texts")
            elif str(trouble) != self._trouble:
                self._trouble = str(trouble)
                self.log.warn("the index of the texts is made later: {reason}", reason=trouble)
        finally:
            self._making = None

    async def make(self) -> None:
        """Make what is missing of it, while others read and write."""
        async with self._pools.indexing.connection() as link:
            try:
                await _end_without_us(link)
                ((is_mine,),) = await link.execute("SELECT pg_try_advisory_lock(%s)", _INDEXING)
                if is_mine and (operators := await self._operators(link)) is not None:
                    for kind in _KINDS:
                        await _of_all(link, kind, operators)
                    await self.look(link)
                    for kind in _KINDS:
                        await self._of_partitions(link, kind, operators)
                    await self.look(link)
            finally:
                link.close()  # which gives the lock back, too

    async def _operators(self, link: Link) -> str | None:
        """The name of what such an index goes by; None if there can be none."""
        found = await link.execute(_EXTENSION)
        if not found:
            try:
                await link.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            except psycopg2.Error as error:
                if error.pgcode is None:
                    raise  # the connection is gone
                self._is_wanted = False  # until the next start
                self.log.warn(
                    "there is no index of the texts, so each text is read for a word: the extension pg_trgm "
                    "cannot be made: {reason}",
                    reason=one_line(error),
                )
                return None
            found = await link.execute(_EXTENSION)
        return f"{found[0][0]}.gin_trgm_ops"

    async def _of_partitions(self, link: Link, kind: str, operators: str) -> None:
        parent = f"ccstore_{kind}"
        missing = await link.execute(_MISSING, parent, f"{parent}_by_text")
        begun = self._reactor.seconds()
        if missing:
            self.log.info(
                "{count} partitions of {kind}s get an index of their texts", count=len(missing), kind=kind
            )
        for table, index, is_valid in missing:
            if index is not None and not is_valid:
                # Somebody was cut off in the midst of it.
                await link.execute(f"DROP INDEX CONCURRENTLY {index}")
                index = None
            try:
                if index is None:
                    await link.execute(
                        f"CREATE INDEX CONCURRENTLY {table}_by_text ON {table} "
                        f"USING gin ({EXPRESSION} {operators})"
                    )
                await _patiently(link, f"ALTER INDEX {parent}_by_text ATTACH PARTITION {table}_by_text")
            except UndefinedTable:
                pass  # all in it has expired
        if missing:
            seconds = self._reactor.seconds() - begun
            self.log.info(
                "the texts of {kind}s are indexed, after {seconds:.0f} s", kind=kind, seconds=seconds
            )


async def _end_without_us(link: Link) -> None:
    """Have the server give up what is begun when this daemon is gone; not every server can."""
    with suppress(psycopg2.Error):
        await link.execute("SET client_connection_check_interval = '5s'")


async def _of_all(link: Link, kind: str, operators: str) -> None:
    """What the indexes of partitions belong to: new partitions have one from the first on."""
    await _patiently(
        link,
        f"CREATE INDEX IF NOT EXISTS ccstore_{kind}_by_text ON ONLY ccstore_{kind} "
        f"USING gin ({EXPRESSION} {operators})",
    )


async def _patiently(link: Link, statement: str) -> None:
    """Run what takes a table for a moment, and nobody's place for long."""
    while True:
        await link.execute(f"BEGIN; SET LOCAL lock_timeout = {_LOCK_WAIT}")
        try:
            await link.execute(statement)
        except LockNotAvailable:
            # Those who waited behind it go first.
            await link.execute("ROLLBACK; SELECT pg_sleep(2)")
        except BaseException:
            if not link.closed:
                await link.execute("ROLLBACK")
            raise
        else:
            await link.execute("COMMIT")
            return


async def means_of_search(session: Session, *, is_wanted: bool) -> str:
    """How words are found in a database, for people; where each text is read, with the reason."""
    ((count, is_valid),) = await session.execute(_STATE)
    if count:
        return "words are found by an index of the texts" + ("" if is_valid else ", as far as it is made")
    if not is_wanted:
        reason = "text_index is false"
    elif await session.execute(_EXTENSION):
        reason = "until the daemon has made an index of the texts"
    else:
        ((is_trusted, may_create, is_superuser),) = await session.execute(_MAY_BE_MADE)
        if is_trusted is None:
            reason = "the server does not have the extension pg_trgm, which text_index takes"
        elif is_superuser or (is_trusted and may_create):
            reason = "until the daemon has made an index of the texts"
        else:
            reason = "this user may not make the extension pg_trgm, which text_index takes"
    return f"words are found by reading each text: {reason}"


def search_in(address: Address, timeout: float, *, is_wanted: bool) -> str:
    """The same of a database that is asked for it now, before there is a reactor.

    :param address: not parsed yet.
    :param timeout: seconds that the attempt to connect may take.
    """
    try:
        address.parse()
        with connected(address, timeout) as connection:
            return at_once(means_of_search(BlockingSession(connection), is_wanted=is_wanted))
    except psycopg2.Error as error:
        trouble = complaint_about(error)
    except StoreError as error:
        trouble = str(error)
    return f"the database cannot be asked how words are found: {trouble}"
