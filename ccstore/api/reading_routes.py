"""The routes below ``/api/v1/``: what can be asked of the store."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Final, TypeVar, cast

from attrs import evolve
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IRequest

from ccstore.api.failures import answer_failures
from ccstore.api.formats import ACCEPTED, FORMATS, Format, as_object, writer
from ccstore.api.parameters import Parameters, given_in
from ccstore.config import ApiConfig
from ccstore.interfaces import IMessageStore, QueryTimeout, StoreError
from ccstore.message import STORED_KINDS, Kind
from ccstore.query import Page, Position, Selection
from ccstore.reading.query_service import Found, QueryService
from ccstore.timing import nanoseconds
from ccstore.web import (
    Outgoing,
    WebError,
    body_of,
    header,
    later,
    stream,
    text_pieces,
)
from ccstore.web.places import Places

_T = TypeVar("_T")

#: Messages of an answer, if nobody says how many.
_LIMIT: Final = 100
#: Messages around another one, likewise.
_AROUND: Final = 20
_MOST_AROUND: Final = 1000


class ReadingRoutes:
    """Answers questions.

    :param turn: fires when there is time to make a piece of an answer, see :meth:`Pace.turn`.
    """

    app = Klein()
    log = Logger()

    def __init__(
        self,
        config: ApiConfig,
        store: IMessageStore,
        clock: IReactorTime,
        outgoing: Outgoing,
        turn: Callable[[], Deferred[None]],
    ) -> None:
        self._config = config
        self._clock = clock
        self._outgoing = outgoing
        self._turn = turn
        self._exports = Places(16, "exports")
        self._service = QueryService(store, timeout=config.query_timeout)

    def reconfigure(self, config: ApiConfig) -> None:
        """Go on with another configuration."""
        self._config = config
        self._service.timeout = config.query_timeout

    # -- messages

    @app.route("/messages", methods=["GET", "POST"])
    @app.route("/messages/", methods=["GET", "POST"])
    async def messages(self, request: IRequest) -> bytes:
        """Events and logs."""
        return await self._messages(request, STORED_KINDS)

    @app.route("/events", methods=["GET", "POST"])
    @app.route("/events/", methods=["GET", "POST"])
    async def events(self, request: IRequest) -> bytes:
        """Events."""
        return await self._messages(request, ("event",))

    @app.route("/logs", methods=["GET", "POST"])
    @app.route("/logs/", methods=["GET", "POST"])
    async def logs(self, request: IRequest) -> bytes:
        """Logs."""
        return await self._messages(request, ("log",))

    @app.route("/messages/<number>", methods=["GET"])
    @app.route("/messages/<number>/", methods=["GET"])
    async def message(self, request: IRequest, number: str) -> bytes:
        """One message."""
        self._parameters(request, b"", ()).check()
        found = await self._find(number)
        return await self._answer(request, [as_object(found.row, found.page), "\n"])

    @app.route("/messages/<number>/context", methods=["GET"])
    @app.route("/messages/<number>/context/", methods=["GET"])
    async def context(self, request: IRequest, number: str) -> bytes:
        """The messages around one."""
        parameters = self._parameters(request, b"", ("before", "after", "same"))
        before = parameters.number("before", _AROUND, most=_MOST_AROUND)
        after = parameters.number("after", _AROUND, most=_MOST_AROUND)
        selection = parameters.selection()
        same = parameters.labels("same")
        parameters.check()
        found = await self._find(number)
        selection = evolve(selection, matchers=(*selection.matchers, *found.same(same)))
        around = await self._asked(self._service.context(found, selection, before, after))
        pages = [around.before, Page([found.row], streams=found.page.streams), around.behind]
        rows = sum(len(page.rows) for page in pages)
        parts = self._list(pages, {"cut": None, "messages_before": len(around.before.rows), "rows": rows})
        return await self._answer(request, parts)

    async def _find(self, number: str) -> Found:
        try:
            position = Position.decode(number)
        except ValueError:
            raise WebError(404, f"{number[:60]!r} is no id of a message") from None
        found = await self._asked(self._service.message(position))
        if found is None:
            raise WebError(404, "this message is not, or no longer, in the store")
        return found

    async def _messages(self, request: IRequest, kinds: Sequence[Kind]) -> bytes:
        with body_of(request, self._config.max_body) as body:
            parameters = self._parameters(
                request, body, ("order", "limit", "cursor", "format", "spreadsheet", "end")
            )
        format = self._format(request, parameters)
        is_for_spreadsheets = parameters.flag("spreadsheet")
        has_end = parameters.flag("end")
        selection = parameters.ordered(
            parameters.selection(kinds), limit=_LIMIT if format == "json" else None
        )
        parameters.check()
        if format == "json":
            return await self._page(request, selection)
        with self._exports.take():
            pieces = self._export(selection, format, is_for_spreadsheets, has_end)
            return await stream(request, pieces, turn=self._turn, content_type=FORMATS[format])

    async def _page(self, request: IRequest, selection: Selection) -> bytes:
        max_rows = self._config.max_rows
        page = await self._asked(self._service.page(selection, max_rows=max_rows))
        cut = None
        if page.is_cut:
            wanted = selection.limit or 0
            why = "the limit" if len(page.rows) == wanted else "the most that an answer may have (max_rows)"
            cut = f"{why} is {len(page.rows)} messages: the cursor goes on behind them"
        cursor = page.rows[-1].position.encode() if page.is_cut and page.rows else None
        with self._outgoing.hold(sum(len(row.text) for row in page.rows)):
            return await self._answer(
                request, self._list([page], {"cursor": cursor, "cut": cut, "notice": None})
            )

    @staticmethod
    def _list(pages: Sequence[Page], more: dict[str, object]) -> Iterator[str]:
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

    async def _export(
        self, selection: Selection, format: Format, is_for_spreadsheets: bool, has_end: bool
    ) -> AsyncGenerator[bytes, None]:
        """All of a selection, in pieces."""
        form = writer(format, is_for_spreadsheets=is_for_spreadsheets)
        if form.begin:
            yield form.begin.encode()
        count = 0
        async with aclosing(self._service.export(selection)) as pages:
            while (page := await self._asked(anext(pages, None))) is not None:
                count += len(page.rows)
                for piece in text_pieces(form.lines(page)):
                    yield piece
        if has_end and format == "ndjson":
            yield json.dumps({"end": {"messages": count}}).encode() + b"\n"

    # -- what they share

    def _parameters(self, request: IRequest, body: bytes, only: Collection[str]) -> Parameters:
        return Parameters(given_in(request, body), nanoseconds(self._clock.seconds()), only)

    @staticmethod
    def _format(request: IRequest, parameters: Parameters) -> Format:
        if parameters.is_given("format"):
            return cast(Format, parameters.choice("format", [*FORMATS], "json"))
        for accepted in (header(request, "accept") or "").split(","):
            kind = accepted.partition(";")[0].strip().lower()
            if kind in ACCEPTED:
                return ACCEPTED[kind]
        return "json"

    async def _asked(self, question: Awaitable[_T]) -> _T:
        """The answer of the store, whose errors are those of the request."""
        try:
            return await question
        except QueryTimeout:
            most = self._config.query_timeout
            text = f"the query took longer than {most:g} s: ask for less time or fewer hosts"
            raise WebError(503, text) from None
        except StoreError as error:
            raise later(f"the query failed: {error}") from None

    async def _answer(self, request: IRequest, parts: Iterable[str]) -> bytes:
        return await stream(request, text_pieces(parts), turn=self._turn)


answer_failures(ReadingRoutes.app)
