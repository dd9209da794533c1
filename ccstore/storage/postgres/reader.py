"""How queries are answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from ccstore.interfaces import QueryTimeout
from ccstore.query import Page, Query, Row
from ccstore.storage.postgres.arrays import numbers
from ccstore.storage.postgres.asking import Asking
from ccstore.storage.postgres.connections import Cancelled, Connections, Link, unavailable
from ccstore.storage.postgres.errors import translate
from ccstore.storage.postgres.expiry import Expired, parse
from ccstore.storage.query import stream_condition

#: Streams up to which an index is probed for each.
_STREAMS_PROBED: Final = 200
#: Rows that are fetched at first; after that as many as have about this many characters.
_ROWS_FETCHED: Final = 1000
_ROWS_MOST: Final = 20_000
_SIZE_FETCHED: Final = 4 * 1024 * 1024
#: Characters of text in an answer, above which it is cut.
_SIZE_ANSWERED: Final = 64 * 1024 * 1024
#: Seconds that the server may take to notice that a query took too long.
_GRACE: Final = 2.0
_TOO_LONG: Final = "the query took too long"


class Reader:
    """Answers queries, each list of them from one snapshot, over connections of their own."""

    def __init__(self, connections: Connections, clock: IReactorTime) -> None:
        self._connections = connections
        self._clock = clock

    async def query(
        self, queries: Sequence[Query], cutoff: int, max_rows: int, timeout: float, asking: Asking
    ) -> Sequence[Page]:
        """See :meth:`IBackend.query`; it may be given up."""
        deadline = self._clock.seconds() + timeout
        try:
            async with self._connections.connection() as link:
                if self._left(deadline) <= 0:
                    raise QueryTimeout(_TOO_LONG)
                # A server that does not answer at all ends nothing.
                guard = self._clock.callLater(self._left(deadline) + _GRACE, link.close)
                try:
                    with asking.on(link):
                        return await self._answer(link, queries, cutoff, max_rows, deadline, asking)
                except BaseException:
                    if asking.is_given_up:
                        await asking.end(link)
                        raise CancelledError from None
                    if not guard.active():
                        raise QueryTimeout(_TOO_LONG) from None
                    raise
                finally:
                    if guard.active():
                        guard.cancel()
        except Cancelled as error:
            if self._left(deadline) <= 0.05:
                raise QueryTimeout(_TOO_LONG) from None
            raise unavailable(str(error), self._connections.where) from None
        except Exception as error:
            translated = translate(error, self._connections.where)
            if translated is error:
                raise
            raise translated from error

    def _left(self, deadline: float) -> float:
        return deadline - self._clock.seconds()

    async def _answer(
        self,
        link: Link,
        queries: Sequence[Query],
        cutoff: int,
        max_rows: int,
        deadline: float,
        asking: Asking,
    ) -> list[Page]:
        pages = []
        size = 0
        try:
            expired = parse(
                await link.execute(
                    f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {self._limit(deadline)}; "
                    f"SELECT cutoff, below FROM ccstore_expired WHERE cutoff > {cutoff}"
                )
            )
            for place, query in enumerate(queries):
                if place:
                    await link.execute(self._limit(deadline))
                page = await self._page(
                    link, query, cutoff, expired, max_rows, _SIZE_ANSWERED - size, deadline, asking
                )
                max_rows -= len(page.rows)
                size += sum(len(row.text) for row in page.rows)
                pages.append(page)
            await link.execute("COMMIT")
        except Exception:
            if link.pollable() is not None and not link.closed:
                try:
                    await link.execute("ROLLBACK")
                except Exception:
                    link.close()
            raise
        return pages

    def _limit(self, deadline: float) -> str:
        left = self._left(deadline)
        if left <= 0:
            raise QueryTimeout(_TOO_LONG)
        return f"SET LOCAL statement_timeout = {min(max(1, int(left * 1000)), 2**31 - 1)}"

    async def _page(
        self,
        link: Link,
        query: Query,
        cutoff: int,
        expired: Sequence[Expired],
        max_rows: int,
        max_size: int,
        deadline: float,
        asking: Asking,
    ) -> Page:
        asking.check()
        streams = await _streams(link, query)
        if not streams:
            return Page(())
        begin = max(query.begin, cutoff + 1) if query.kind == "event" else query.begin
        parameters: list[Any] = [begin, query.end]
        if len(streams) > _STREAMS_PROBED:
            condition, values = _condition(query)
            chosen = f"stream IN (SELECT id FROM ccstore_stream WHERE {condition})"
            parameters += values
        elif len(streams) > 1:
            chosen = "stream = ANY(%s::bigint[])"
            parameters.append(numbers(streams))
        else:
            chosen = "stream = %s"
            parameters += streams
        if query.kind == "event":
            chosen += "".join(f" AND NOT ({each.condition})" for each in expired)
        # One row more than may be given, to know whether there are more.
        select = (
            f"SELECT time, id, text FROM ccstore_{query.kind} WHERE time BETWEEN %s AND %s AND {chosen} "
            "ORDER BY time, id LIMIT %s"
        )
        parameters.append(max_rows + 1)
        count = _ROWS_FETCHED
        if max_rows < count:
            return _cut([*map(Row._make, await link.execute(select, *parameters))], max_rows, max_size)
        # In parts, so that a few long texts do not fill the memory.
        found = await link.execute(
            f"DECLARE page NO SCROLL CURSOR FOR {select}; FETCH {count} FROM page", *parameters
        )
        rows = [*map(Row._make, found)]
        size = sum(len(row.text) for row in rows)
        while len(found) == count and len(rows) <= max_rows and size <= max_size:
            asking.check()
            count = max(1, min(_ROWS_MOST, len(rows) * _SIZE_FETCHED // (size + 1)))
            found = await link.execute(f"{self._limit(deadline)}; FETCH {count} FROM page")
            rows += map(Row._make, found)
            size += sum(len(text) for _, _, text in found)
        await link.execute("CLOSE page")
        return _cut(rows, max_rows, max_size)


async def _streams(link: Link, query: Query) -> list[int]:
    condition, values = _condition(query)
    found = await link.execute(
        f"SELECT id FROM ccstore_stream WHERE {condition} LIMIT {_STREAMS_PROBED + 1}", *values
    )
    return [stream for (stream,) in found]


def _condition(query: Query) -> tuple[str, list[str]]:
    condition, values = stream_condition(query, "%s")
    for column in ("hostname", "name"):
        value = getattr(query, column)
        if value is not None:
            # What the index has of it.
            condition += f" AND left({column}, 64) = left(%s, 64)"
            values.append(value)
    return condition, values


def _cut(rows: list[Row], max_rows: int, max_size: int) -> Page:
    is_cut = len(rows) > max_rows
    del rows[max_rows:]
    size = 0
    for index, row in enumerate(rows):
        size += len(row.text)
        if size > max_size and index:
            del rows[index:]
            return Page(rows, is_cut=True)
    return Page(rows, is_cut)
