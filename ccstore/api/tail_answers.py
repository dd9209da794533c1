"""Answers that go on: server-sent events, one for each message as it comes.

Their format is that of the HTML Living Standard, section 9.2.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final

from twisted.web.iweb import IRequest

from ccstore.api.exchange import Exchange
from ccstore.api.formats import as_object
from ccstore.api.selecting import Selecting
from ccstore.instants import show_moment
from ccstore.message import INT64_MAX
from ccstore.pieces import text_pieces
from ccstore.query import Arrival, Page, Selection
from ccstore.reading.feed import Arrived, Gap
from ccstore.reading.following import Followed, Following, Past
from ccstore.web import header, stream

_TYPE: Final = b"text/event-stream; charset=utf-8"
#: Messages of the past that are shown at most if only their number is asked for.
_MOST_PAST: Final = 10_000
#: Milliseconds after which a client comes again.
_RETRY: Final = 2000


class TailAnswers:
    """Follows selections.

    :ivar following: how many do.
    """

    def __init__(self, exchange: Exchange, following: Following) -> None:
        self._exchange = exchange
        self._following = following
        self.following = 0

    async def tail(self, request: IRequest) -> bytes:
        """Messages as they come."""
        exchange = self._exchange
        parameters = exchange.parameters(request, ("cursor", "limit"))
        after = parameters.one("cursor", Arrival.decode, None)
        selection = Selecting(parameters).selection()
        newest = parameters.number("limit", 0, most=_MOST_PAST) if parameters.is_given("limit") else None
        has_past = parameters.is_given("from") or newest is not None
        given = header(request, "last-event-id")
        if given:
            # A browser sends it by itself when it comes again, with all that it asked the first time.
            after = parameters.read("Last-Event-ID", Arrival.decode, given, None)
        parameters.check()
        past = Past(after=after)
        if after is None and has_past and newest != 0:
            past = Past(selection=selection, newest=newest)
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-accel-buffering", b"no")
        with exchange.bounds.tails.take():
            self.following += 1
            try:
                pieces = self._events(selection, past)
                return await stream(request, pieces, turn=exchange.turn, content_type=_TYPE, is_endless=True)
            finally:
                self.following -= 1

    async def _events(self, selection: Selection, past: Past) -> AsyncGenerator[bytes, None]:
        yield f"retry: {_RETRY}\n\n".encode()
        async with aclosing(self._following.follow(selection, past)) as parts:
            async for followed in parts:
                for piece in text_pieces(_events(followed)):
                    yield piece
        yield b'event: end\ndata: {"reason":"the daemon stops: come again with the last id"}\n\n'


def _events(followed: Followed) -> Iterator[str]:
    yield from map(_message, followed.arrived)
    if followed.gap is not None:
        yield _gap(followed.gap)
    if followed.arrival is not None:
        yield f"id: {followed.arrival.encode()}\n\n"
    elif not followed.arrived and followed.gap is None:
        yield ": nothing new\n\n"


def _message(arrived: Arrived) -> str:
    row = arrived.row
    text = as_object(row, Page([row], streams={row.stream: arrived.stream}))
    number = "" if arrived.arrival is None else f"id: {arrived.arrival.encode()}\n"
    return f"event: message\n{number}data: {text}\n\n"


def _gap(gap: Gap) -> str:
    what = {
        "messages": gap.messages,
        "from": show_moment(gap.oldest),
        "to": show_moment(min(gap.newest + 1, INT64_MAX)),
        "reason": "they came faster than they were read",
    }
    return f"event: gap\nid: {gap.arrival.encode()}\ndata: {json.dumps(what)}\n\n"
