"""Following a selection: what came in already, and then what comes, with nothing missed and nothing twice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from attrs import evolve, frozen

from ccstore.query import Arrival, Page, Selection
from ccstore.reading.feed import Arrived, Feed, Gap, Tail
from ccstore.reading.query_service import QueryService

#: Seconds after which proxies and clients still wait for more.
KEEP_ALIVE: Final = 15.0
_ROWS: Final = 1000


@frozen
class Past:
    """What is shown of the past, before that which comes.

    :ivar after: all that came in after this moment; what follows does not matter then.
    :ivar selection: the oldest of these first, or None for nothing.
    :ivar newest: no more than so many of them.
    """

    after: Arrival | None = None
    selection: Selection | None = None
    newest: int | None = None


@frozen
class Followed:
    """Something that a follower is told.

    :ivar arrived: messages in their order; those that belong to no arrival are had once more by whoever
        breaks off before the next one.
    :ivar gap: what was left out behind them.
    :ivar arrival: how far the store has been followed with all that, if that is known.
    """

    arrived: Sequence[Arrived] = ()
    gap: Gap | None = None
    arrival: Arrival | None = None


class Following:
    """Lets readers follow selections.

    :param keep_alive: seconds after which a reader is told that nothing has come.
    """

    def __init__(self, service: QueryService, feed: Feed, *, keep_alive: float = KEEP_ALIVE) -> None:
        self._service = service
        self._feed = feed
        self._keep_alive = keep_alive

    async def follow(self, selection: Selection, past: Past) -> AsyncGenerator[Followed, None]:
        """Messages as they come; now and then nothing. It ends when the daemon stops."""
        tail = self._feed.follow(selection)
        try:
            # What is stored after this comes by the tail; what it has of before then is left out.
            begin = await self._service.last_arrival()
            async with aclosing(self._past(selection, past, begin)) as parts:
                async for part in parts:
                    yield part
            yield Followed(arrival=begin)
            while tail.has_gap:
                # The past took so long that what came meanwhile is no longer held. The store has it.
                tail.take()
                after, begin = begin, await self._service.last_arrival()
                async with aclosing(self._arrivals(selection, after, begin)) as missed:
                    async for page in missed:
                        yield Followed(page)
            tail.begin(begin)
            async with aclosing(self._live(tail)) as parts:
                async for part in parts:
                    yield part
        finally:
            self._feed.leave(tail)

    async def _live(self, tail: Tail) -> AsyncGenerator[Followed, None]:
        while True:
            await tail.wait(self._keep_alive)
            arrived, gap = tail.take()
            if not arrived and gap is None and tail.is_closed:
                return
            yield Followed(arrived, gap)

    async def _past(self, selection: Selection, past: Past, begin: Arrival) -> AsyncGenerator[Followed, None]:
        if past.after is not None:
            async with aclosing(self._arrivals(selection, past.after, begin)) as parts:
                async for part in parts:
                    yield Followed(part)
        elif past.selection is not None:
            async with aclosing(self._pages(past.selection, past.newest)) as pages:
                async for page in pages:
                    known = [row for row in page.rows if row.id <= begin.of(row.kind)]
                    yield Followed([Arrived(row, page.streams[row.stream], None) for row in known])

    async def _pages(self, selection: Selection, newest: int | None) -> AsyncGenerator[Page, None]:
        if newest is not None:
            newest_first = evolve(selection, is_newest_first=True, limit=newest)
            page = await self._service.page(newest_first, max_rows=newest)
            yield evolve(page, rows=[*reversed(page.rows)])
            return
        async with aclosing(self._service.export(evolve(selection, is_newest_first=False))) as pages:
            async for page in pages:
                yield page

    async def _arrivals(
        self, selection: Selection, after: Arrival, upto: Arrival
    ) -> AsyncGenerator[Sequence[Arrived], None]:
        while True:
            page = await self._service.arrivals(selection, after, upto, max_rows=_ROWS)
            part = []
            for row in page.rows:
                after = after.after(row.kind, row.id)
                part.append(Arrived(row, page.streams[row.stream], after))
            yield part
            if not page.is_cut:
                return
