"""Answers in pieces: what they are made of, and what becomes of them when a client is slow, or goes away."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource

from ccstore.interfaces import QueryTimeout
from ccstore.pipeline.scheduler import Scheduler
from ccstore.query import Page, Row
from ccstore.storage.sqlite.asking import Asking
from ccstore.web import (
    LimitedSite,
    Outgoing,
    Room,
    SiteSettings,
    WebError,
    bytes_pieces,
    json_pieces,
    stream,
    to_json,
)
from ccstore.web.streaming import PIECE
from tests.support.api_case import ApiTestCase
from tests.support.configuration import receiver_config
from tests.support.loopback import Loopback, Wire
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, event, intake_for
from tests.support.stores import ToldBackend

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


def question(body: bytes, version: bytes = b"1.1") -> bytes:
    """A request for that."""
    head = b"POST /api/query HTTP/%b\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    return head % (version, len(body)) + body


def joined(value: object) -> bytes:
    return b"".join(json_pieces(value))


# -- what they are made of


@given(VALUES)
def test_pieces_are_what_would_be_said_in_one(value: object) -> None:
    assert joined(value) == to_json(value)


@given(st.lists(st.sampled_from(["a", "é", '"\n', "\0", "日😀" * 5000, "x" * (PIECE + 7)]), max_size=8))
def test_long_texts_are_taken_apart(texts: list[str]) -> None:
    text = "".join(texts)
    for value in (text, [text, *texts], {"a": texts, text: [{"b": text}]}, [[text], {}, [], text]):
        assert joined(value) == to_json(value)


def test_no_piece_is_large() -> None:
    rows = [{"Event": "\x01" * length, "timestamp": 1} for length in (0, 10**7, 5, PIECE, 3 * PIECE)]
    lists = [*range(200_000)]
    for value in (rows, lists, {str(number): {"a": [number]} for number in lists[:50_000]}, "é" * 10**6):
        pieces = [*json_pieces(value)]
        # A control character has six in JSON.
        assert max(map(len, pieces)) <= 2 * 6 * PIECE + 100
        assert len(pieces) > 5
        assert json.loads(b"".join(pieces)) == value


def test_rows_are_asked_for_when_they_are_due() -> None:
    asked = 0

    def rows() -> Iterator[dict[str, object]]:
        nonlocal asked
        for _ in range(10_000):
            asked += 1
            yield {"Event": "x" * 1000}

    pieces = json_pieces({"results": [rows()]})
    next(pieces)
    assert 0 < asked < 100
    rest = b"".join(pieces)
    assert asked == 10_000
    assert rest.endswith(b"}]]}\n")


def test_a_text_with_half_a_surrogate_pair() -> None:
    assert joined(["a\ud800b", "\ud800" * (PIECE + 1)]) == to_json(["a\ud800b", "\ud800" * (PIECE + 1)])


def test_what_is_there_already_in_pieces() -> None:
    assert [*bytes_pieces(b"")] == []
    content = bytes(range(256)) * 1000
    pieces = [*bytes_pieces(content)]
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) == PIECE


def test_answers_that_wait_for_their_clients_have_so_much_memory() -> None:
    outgoing = Outgoing(10 * PIECE)
    with outgoing.hold(100 * PIECE):  # a single one may be larger
        with outgoing.hold(PIECE):  # and a small one always finds room
            pass
        with pytest.raises(WebError) as caught, outgoing.hold(PIECE + 1):
            pass
        assert caught.value.status == 503
        assert caught.value.headers["retry-after"]
    with outgoing.hold(5 * PIECE), outgoing.hold(5 * PIECE):
        pass


# -- on their way


class _Streamed(Resource):
    """Answers with pieces."""

    isLeaf = True

    def __init__(self, pieces: Callable[[], Any], turn: Callable[[], Deferred[None]]) -> None:
        super().__init__()
        self._pieces = pieces
        self._turn = turn
        self.outcomes: list[object] = []

    def render(self, request: Any) -> int:
        answering = Deferred.fromCoroutine(stream(request, self._pieces(), turn=self._turn))
        request.notifyFinish().addErrback(lambda failure: answering.cancel())
        answering.addBoth(self._over, request)
        return 1  # NOT_DONE_YET

    def _over(self, outcome: Any, request: Any) -> None:
        self.outcomes.append(outcome.type if isinstance(outcome, Failure) else outcome)
        if not isinstance(outcome, Failure):
            request.write(outcome)
            request.finish()


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.made = 0
        self.is_closed = False
        self.pieces = 20
        self.error: Exception | None = None
        self.turn: Callable[[], Deferred[None]] = lambda: succeed(None)

    def sync(self) -> Iterator[bytes]:
        try:
            for _ in range(self.pieces):
                self.made += 1
                yield b"%05d" % self.made * 100
            if self.error is not None:
                raise self.error
        finally:
            self.is_closed = True

    async def asynchronous(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.sync():
                await succeed(None)
                yield piece
        finally:
            self.is_closed = True

    def ask(self, pieces: Callable[[], Any] | None = None, head: bytes = b"GET / HTTP/1.1") -> Wire:
        self.clock = Loopback()
        config = receiver_config(scratch(self), "http")
        self.resource = _Streamed(pieces or self.sync, lambda: self.turn())
        site = LimitedSite(
            self.resource,
            SiteSettings(max_body=1000, idle_timeout=120),
            intake=intake_for(config, "http", FakeSink(), self.clock),
            reactor=self.clock,
            room=Room(),
        )
        self.clock.listenTCP(80, site)
        self.channel, wire = self.clock.connect()
        self.channel.dataReceived(head + b"\r\nHost: x\r\n\r\n")
        return wire

    def body(self, wire: Wire) -> bytes:
        """What has come in chunks so far."""
        found, rest = b"", wire.value().partition(b"\r\n\r\n")[2]
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            found, rest = found + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return found

    def test_all_of_it_in_chunks_and_the_connection_goes_on(self) -> None:
        for pieces in (self.sync, self.asynchronous):
            self.made = 0
            wire = self.ask(pieces)
            self.assertIn(b"Transfer-Encoding: chunked\r\n", wire.value())
            self.assertIn(b"Content-Type: application/json\r\n", wire.value())
            self.assertTrue(wire.value().endswith(b"0\r\n\r\n"))
            self.assertEqual(self.body(wire), b"".join(b"%05d" % (i + 1) * 100 for i in range(20)))
            self.assertTrue(wire.connected)
            self.assertTrue(self.is_closed)
            self.assertIsNone(wire.producer and self.channel._requestProducer)

    def test_what_is_one_piece_has_its_length(self) -> None:
        for pieces in (self.sync, self.asynchronous):
            self.made, self.pieces = 0, 1
            wire = self.ask(pieces)
            self.assertIn(b"Content-Length: 500\r\n", wire.value())
            self.assertNotIn(b"chunked", wire.value())
        self.pieces = 0
        self.assertIn(b"Content-Length: 0\r\n", self.ask().value())

    def test_only_the_head(self) -> None:
        wire = self.ask(head=b"HEAD / HTTP/1.1")
        self.assertTrue(wire.value().endswith(b"\r\n\r\n"))
        self.assertNotIn(b"00001", wire.value())
        self.assertTrue(self.is_closed)
        self.assertLess(self.made, 3)

    def test_a_client_that_takes_nothing_is_sent_no_more(self) -> None:
        turns: list[Deferred[None]] = []

        def turn() -> Deferred[None]:
            turns.append(Deferred())
            return turns[-1]

        self.turn = turn
        wire = self.ask()
        self.channel.pauseProducing()
        turns.pop().callback(None)
        while turns:
            turns.pop().callback(None)
        made = self.made
        self.assertLess(made, 5)
        self.assertTrue(self.channel.persistent)
        self.channel.resumeProducing()
        while turns:
            turns.pop().callback(None)
        self.assertEqual(self.made, 20)
        self.assertTrue(wire.value().endswith(b"0\r\n\r\n"))

    def test_there_is_a_turn_for_each_piece(self) -> None:
        turns = 0

        def turn() -> Deferred[None]:
            nonlocal turns
            turns += 1
            return succeed(None)

        self.turn = turn
        self.ask()
        self.assertEqual(turns, 20)

    def test_a_client_that_goes_away_ends_what_makes_the_pieces(self) -> None:
        for pieces in (self.sync, self.asynchronous):
            for is_paused in (False, True):
                self.made, self.is_closed = 0, False
                turn: Deferred[None] = Deferred()
                self.turn = lambda turn=turn: turn  # type: ignore[misc]
                wire = self.ask(pieces)
                if is_paused:
                    self.channel.pauseProducing()
                wire.lose(ConnectionError())
                self.assertTrue(self.is_closed)
                self.assertLess(self.made, 5)
                self.assertEqual(self.resource.outcomes, [CancelledError])

    def test_one_that_fails_at_once_is_a_failure(self) -> None:
        self.pieces, self.error = 0, ZeroDivisionError()
        wire = self.ask()
        self.assertEqual(wire.value(), b"")
        self.assertEqual(self.resource.outcomes, [ZeroDivisionError])


# -- the REST interface


class RestTests(ApiTestCase):
    async def test_a_large_answer_to_a_client_that_takes_it_slowly(self) -> None:
        """Its rows are put into text as they are taken, and others are answered meanwhile."""
        self.start()
        text = "x" * 1000
        for _ in range(20):
            await self.write(*[event(text)] * 1000)
        client = await self.connect("REST")
        body = b'{"cluster":"alex","from":0,"queries":[{}]}'
        client.transport.write(question(body))
        await client.until(b"\r\n\r\n")
        client.transport.pauseProducing()
        for _ in range(5):
            self.assertEqual((await self.ask("GET", "/health")).status, 200)
        ((channel,),) = [
            [one for one in site.connections.all() if one._handlingRequest]
            for site in [self.service.getServiceNamed("api").port.site]
        ]
        self.assertLess(len(channel.transport.dataBuffer), 1 << 20)
        client.transport.resumeProducing()
        await client.until(b"\r\n0\r\n\r\n")
        self.assertGreater(len(client.received), 20_000_000)
        client.transport.loseConnection()
        await client.closed

    async def test_too_many_large_answers_that_nobody_takes(self) -> None:
        rows = [Row(0, "event", number, 0, "x" * PIECE, None) for number in range(2100)]  # two are too many
        backend = ToldBackend()
        backend.answer = lambda question, timeout: succeed([Page(rows)])
        self.start(backend=backend)
        client = await self.connect("REST")
        body = b'{"cluster":"alex","queries":[{}]}'
        client.transport.write(question(body))
        await client.until(b"\r\n\r\n")
        client.transport.pauseProducing()
        answer = await self.query({})
        self.assertEqual(answer.status, 503)
        self.assertIn("large answers", answer.error)
        client.transport.abortConnection()
        await client.closed
        while (await self.query({})).status != 200:
            pass  # the daemon learns in time that the client has gone

    async def test_one_that_breaks_off_in_the_middle_does_not_look_complete(self) -> None:
        class Broken(list[Row]):
            readings = 0

            def __iter__(self) -> Iterator[Row]:
                self.readings += 1
                yield from super().__iter__()
                if self.readings > 1:  # the first time they are measured
                    raise ZeroDivisionError

        def read(version: bytes) -> bytes:
            found = b""
            with socket.create_connection(("127.0.0.1", self.ports["REST"])) as client:
                client.sendall(question(b'{"cluster":"alex","queries":[{}]}', version))
                with self.assertRaises(ConnectionResetError):
                    while data := client.recv(1 << 16):
                        found += data
            return found

        rows = [Row(0, "event", number, 0, "x" * 1000, None) for number in range(5000)]
        backend = ToldBackend()
        backend.answer = lambda question, timeout: succeed([Page(Broken(rows))])
        self.start(backend=backend)
        for version in (b"1.0", b"1.1"):
            found = await deferToThread(read, version)
            self.assertFalse(found.endswith(b"0\r\n\r\n"))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


# -- the database


class AskingTests(TestCase):
    """A query is ended in SQLite, whatever it is doing."""

    ENDLESS = "WITH RECURSIVE n(x) AS (SELECT begin() UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"

    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.addCleanup(self.connection.close)
        self.has_begun = threading.Event()
        self.connection.create_function("begin", 0, lambda: self.has_begun.set() or 0)

    def ask(self, asking: Asking, statement: str) -> list[Any]:
        with asking.on(self.connection):
            return self.connection.execute(statement).fetchall()

    async def test_in_the_middle_of_a_statement(self) -> None:
        asking = Asking(10**9)
        answer = deferToThread(self.ask, asking, self.ENDLESS)
        await deferToThread(self.has_begun.wait)
        asking.give_up()
        with self.assertRaises(sqlite3.OperationalError):
            await answer
        with self.assertRaises(CancelledError):
            asking.check()
        # Whoever has the connection next is not disturbed.
        self.assertEqual(self.ask(Asking(10**9), "SELECT 1"), [(1,)])
        asking.give_up()
        self.assertEqual(self.ask(Asking(10**9), "SELECT 1"), [(1,)])

    def test_before_it_has_begun(self) -> None:
        asking = Asking(10**9)
        asking.check()
        asking.give_up()
        with self.assertRaises(CancelledError):
            asking.check()
        with self.assertRaises(sqlite3.OperationalError):
            self.ask(asking, self.ENDLESS)

    def test_when_its_time_is_over(self) -> None:
        asking = Asking(-1)
        with self.assertRaises(QueryTimeout):
            asking.check()
        with self.assertRaises(sqlite3.OperationalError):
            self.ask(asking, self.ENDLESS)


def test_the_pace_of_decoding_is_that_of_answers_too() -> None:
    """Whoever waits for a turn and is cancelled disturbs nobody."""
    clock = Loopback()
    scheduler = Scheduler(clock)
    clock.passes = 1.0
    first, second, third = (scheduler.turn() for _ in range(3))
    second.addErrback(lambda failure: failure.trap(CancelledError))
    second.cancel()
    clock.passes = 0.0
    clock.advance(0)
    clock.advance(0)
    assert first.called
    assert third.called
