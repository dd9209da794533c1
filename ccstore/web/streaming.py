"""Answers that are too large to be put together at once: in pieces, as fast as the client takes them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from itertools import chain
from json.encoder import encode_basestring
from typing import Any, Final, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.iweb import IRequest

from ccstore.pieces import PIECE, text_pieces

from .answers import JSON, answer, later
from .pacing import Pacing

#: What a value counts that is no text.
_EACH: Final = 8
_NOT_SLICED: Final = (int, float, bool, type(None))
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

Pieces = Generator[bytes, None, None] | AsyncGenerator[bytes, None]


class Outgoing:
    """Memory for large answers that their clients have not taken yet.

    :param most: characters of all of them. A single one may be larger.
    """

    def __init__(self, most: int = 128 << 20) -> None:
        self._most = most
        self._held = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """``with`` so many characters held; raises :class:`WebError` 503 if that is too much."""
        if size > PIECE and self._held and self._held + size > self._most:
            raise later("too many large answers are waiting to be taken by their clients, come again later")
        self._held += size
        try:
            yield
        finally:
            self._held -= size


class Incomplete(Exception):
    """Behind the last piece of an answer: it is not all, and must not look so. Its text says why."""


async def stream(
    request: IRequest,
    pieces: Pieces,
    *,
    turn: Callable[[], Deferred[None]],
    content_type: bytes = JSON,
    coding: bytes | None = None,
    is_endless: bool = False,
) -> bytes:
    """Answer a request with pieces, each of which is asked for when the client has taken those before.

    What is left to be written is returned. A client that goes away ends it with :class:`CancelledError`, so
    that whatever makes the pieces is closed. If that fails in the middle, the connection is cut off: what
    the client has does not look complete.

    :param pieces: a generator, asynchronous or not; what fits into one piece is sent with its length.
    :param coding: what the pieces are packed by. An error in the place of them is not.
    :param is_endless: each piece is sent as soon as it is there.
    :param turn: fires when there is time to make another piece, see :meth:`Scheduler.turn`.
    """
    async with aclosing(pieces if isinstance(pieces, AsyncGenerator) else _asynchronous(pieces)) as each:
        first = await anext(each, b"")
        second = b"" if is_endless else await anext(each, None)
        if coding is not None:
            request.setHeader(b"content-encoding", coding)
        if second is None:
            body = answer(request, 200, first)
            request.setHeader(b"content-type", content_type)
            return body
        request.setResponseCode(200)
        request.setHeader(b"content-type", content_type)
        if request.method != b"HEAD":
            await _Flow(request, turn).send([first, second], each)
        return b""


async def _asynchronous(pieces: Generator[bytes, None, None]) -> AsyncGenerator[bytes, None]:
    with closing(pieces):
        for piece in pieces:
            yield piece


class _Flow:
    """Pieces on their way to a client."""

    log = Logger()

    def __init__(self, request: IRequest, turn: Callable[[], Deferred[None]]) -> None:
        self._request: Any = request
        self._turn = turn
        self._pacing = Pacing()

    async def send(self, first: list[bytes], pieces: AsyncIterator[bytes]) -> None:
        request = self._request
        request.notifyFinish().addErrback(self._pacing.leave)
        request.registerProducer(self._pacing, True)
        try:
            for piece in first:
                await self._write(piece)
            async for piece in pieces:
                await self._write(piece)
        except CancelledError:
            raise
        except Incomplete as error:
            self.log.error("an answer at {path} is not all: {why}", path=request.path, why=str(error))
            await self._leave_open()
        except Exception:
            # The head is sent, and says that all is well.
            self.log.failure("an answer broke off at {path}", path=request.path)
            if request.channel is not None:
                request.channel.transport.abortConnection()
        finally:
            if request.channel is not None:
                request.unregisterProducer()

    async def _leave_open(self) -> None:
        """Deliver what there is, and close the connection without the last chunk."""
        request = self._request
        if request.channel is None:
            return
        if not request.chunked:
            # Nothing else tells that it is not all.
            request.channel.transport.abortConnection()
            return
        request.unregisterProducer()
        request.channel.transport.loseConnection()
        # Else the request would be finished meanwhile.
        await request.notifyFinish().addErrback(lambda _: None)

    async def _write(self, piece: bytes) -> None:
        self._request.write(piece)
        await self._pacing.taken()
        await self._turn()
        self._pacing.check()


def json_pieces(value: object) -> Generator[bytes, None, None]:
    """A value as :func:`ccstore.web.to_json` would have it, in pieces.

    Iterators are lists of what they give, which is asked for as the pieces are. A long text is taken apart.
    """
    return text_pieces(chain(_parts(value), ("\n",)))


def bytes_pieces(content: bytes) -> Generator[bytes, None, None]:
    """What there is already, in pieces."""
    return (content[start : start + PIECE] for start in range(0, len(content), PIECE))


def _parts(value: object) -> Iterator[str]:
    """The parts of the text of a value, each of them short."""
    if _weight(value) is not None:
        yield _encode(value)
    elif isinstance(value, str):
        yield '"'
        for start in range(0, len(value), PIECE):
            yield encode_basestring(value[start : start + PIECE])[1:-1]
        yield '"'
    elif isinstance(value, Mapping):
        comma = "{"
        for key, member in value.items():
            yield f"{comma}{_encode(key)}:"
            yield from _parts(member)
            comma = ","
        yield "}" if comma == "," else "{}"
    else:
        yield from _list_parts(iter(cast(Any, value)))


def _list_parts(members: Iterator[object]) -> Iterator[str]:
    # Many small ones are put into text together, which takes a third of the time.
    comma = "["
    group: list[object] = []
    size = 0
    for member in members:
        weight = _weight(member)
        if weight is not None:
            group.append(member)
            size += weight
            if size < PIECE:
                continue
        if group:
            yield comma + _encode(group)[1:-1]
            comma = ","
            group = []
            size = 0
        if weight is None:
            yield comma
            yield from _parts(member)
            comma = ","
    if group:
        yield comma + _encode(group)[1:-1]
        comma = ","
    yield "]" if comma == "," else "[]"


def _weight(value: object) -> int | None:
    """About how long the text of a value is; None if it has to be taken apart for that to be known."""
    if isinstance(value, str):
        return len(value) if len(value) <= PIECE else None
    if isinstance(value, _NOT_SLICED):
        return _EACH
    if isinstance(value, dict):
        size = _EACH
        for member in value.values():
            if isinstance(member, str):
                size += len(member)
            elif not isinstance(member, _NOT_SLICED):
                return None
            size += _EACH
        return size if size <= PIECE else None
    return None


def _encode(value: object) -> str:
    return _ENCODER.encode(value)
