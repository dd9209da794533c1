"""Answers that have messages."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final, cast

from attrs import evolve
from twisted.web.iweb import IRequest

from ccstore.api.exchange import Exchange
from ccstore.api.formats import ACCEPTED, FORMATS, Format, as_object, page_pieces, writer
from ccstore.api.parameters import Parameters
from ccstore.api.selecting import Selecting
from ccstore.message import Kind
from ccstore.query import Page, Selection
from ccstore.reading.notices import notice_of, notice_of_losses
from ccstore.web import Incomplete, header, stream
from ccstore.web.gzipping import accepts_gzip, packed

#: Messages of an answer, if nobody says how many.
_LIMIT: Final = 100
#: Messages around another one, likewise.
_AROUND: Final = 20
_MOST_AROUND: Final = 1000


class MessageAnswers:
    """Messages of a selection, one message, and what stands around it.

    :param exports: places for answers that go on to the end of a selection.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._service = exchange.service

    async def messages(self, request: IRequest, kinds: Sequence[Kind]) -> bytes:
        """Messages of these kinds: a page of them as JSON, or all of them in another format."""
        more = ("order", "limit", "cursor", "format", "spreadsheet", "end")
        parameters = self._exchange.parameters(request, more)
        format = _format(request, parameters)
        is_for_spreadsheets = parameters.flag("spreadsheet")
        has_end = parameters.flag("end")
        limit = _LIMIT if format == "json" else None
        selection = Selecting(parameters).ordered(Selecting(parameters).selection(kinds), limit=limit)
        parameters.check()
        if format == "json":
            return await self._page(request, selection)
        with self._exchange.bounds.exports.take():
            pieces = self._export(selection, format, is_for_spreadsheets, has_end)
            request.setHeader(b"vary", b"Accept, Accept-Encoding, Origin")
            coding = None
            if accepts_gzip(header(request, "accept-encoding")):
                coding, pieces = b"gzip", packed(pieces)
            turn = self._exchange.turn
            return await stream(request, pieces, turn=turn, content_type=FORMATS[format], coding=coding)

    async def message(self, request: IRequest, number: str) -> bytes:
        """The message with an id."""
        self._exchange.parameters(request, choosing=()).check()
        found = await self._exchange.message(number)
        return await self._exchange.answer(request, [as_object(found.row, found.page), "\n"])

    async def context(self, request: IRequest, number: str) -> bytes:
        """The messages around the one with an id, in the order of time."""
        parameters = self._exchange.parameters(request, ("before", "after", "same"))
        before = parameters.number("before", _AROUND, most=_MOST_AROUND)
        after = parameters.number("after", _AROUND, most=_MOST_AROUND)
        selection = Selecting(parameters).selection()
        same = Selecting(parameters).labels("same")
        parameters.check()
        found = await self._exchange.message(number)
        selection = evolve(selection, matchers=(*selection.matchers, *found.same(same)))
        around = await self._exchange.asked(self._service.context(found, selection, before, after))
        pages = [around.before, Page([found.row], streams=found.page.streams), around.behind]
        more = {
            "place": len(around.before.rows),
            "is_first": not around.before.is_cut,
            "is_last": not around.behind.is_cut,
        }
        return await self._exchange.answer(request, _as_list(pages, more))

    async def _page(self, request: IRequest, selection: Selection) -> bytes:
        exchange = self._exchange
        max_rows = exchange.config.max_rows
        page = await exchange.asked(self._service.page(selection, max_rows=max_rows))
        cut = cursor = notice = None
        if page.is_cut:
            is_as_asked = len(page.rows) == selection.limit
            why = "the limit" if is_as_asked else "the most that an answer may have"
            cut = f"{why} is {len(page.rows)} messages: the cursor goes on behind them"
            cursor = page.rows[-1].position.encode()
        if page.losses:
            notice = notice_of_losses(page.losses)
        elif not page.rows:
            notice = await exchange.asked(notice_of(selection, self._service, exchange.turn))
        with exchange.bounds.outgoing.hold(sum(len(row.text) for row in page.rows)):
            more = {"cursor": cursor, "cut": cut, "notice": notice}
            return await exchange.answer(request, _as_list([page], more))

    async def _export(
        self, selection: Selection, format: Format, is_for_spreadsheets: bool, has_end: bool
    ) -> AsyncGenerator[bytes, None]:
        """All of a selection, in pieces."""
        if begin := writer(format, is_for_spreadsheets=is_for_spreadsheets).begin:
            yield begin.encode()
        count = 0
        losses: dict[str, None] = {}
        form = partial(page_pieces, format, is_for_spreadsheets)
        async with aclosing(self._service.export_text(selection, form)) as pages:
            while (page := await self._exchange.asked(anext(pages, None))) is not None:
                count += page.count
                losses |= dict.fromkeys(page.losses)
                for piece in page.pieces:
                    yield piece
        notice = notice_of_losses([*losses])
        if has_end and format == "ndjson":
            end = {"messages": count, **({"notice": notice} if losses else {})}
            yield json.dumps({"end": end}).encode() + b"\n"
        elif notice is not None:
            # All that there is is sent, the head too, and then it breaks off: it must not look complete.
            yield b""
            yield b""
            raise Incomplete(notice)


def _format(request: IRequest, parameters: Parameters) -> Format:
    if parameters.is_given("format"):
        return cast(Format, parameters.choice("format", [*FORMATS], "json"))
    for accepted in (header(request, "accept") or "").split(","):
        kind = accepted.partition(";")[0].strip().lower()
        if kind in ACCEPTED:
            return ACCEPTED[kind]
    return "json"


def _as_list(pages: Sequence[Page], more: Mapping[str, object]) -> Iterator[str]:
    """A JSON object with messages and other members."""
    before = '{"messages":['
    for page in pages:
        for text in writer("json").lines(page):
            yield before
            yield text
            before = ","
    if before != ",":
        yield before
    yield f"],{json.dumps(more, ensure_ascii=False, separators=(',', ':'))[1:]}\n"
