"""Asking a running ccstore: where it is, what it answers, and what is said when it does not."""

from __future__ import annotations

from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost, ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseNeverReceived

from ccstore.client.server import DEFAULT_URL, Answer, Server, ServerOptions, Unreachable, Vanished, connect
from ccstore.client.session import ClientError
from ccstore.client.terminal import Enough
from tests.support.scratch import scratch
from tests.support.stub_server import URL, Anything, Broken, Silent, server


class ServerTests(SynchronousTestCase):
    def ask(self, asked: Server) -> Answer:
        return self.successResultOf(Deferred.fromCoroutine(asked.ask("GET", "/api/stats/")))

    def error_of(self, asked: Server) -> ClientError:
        error = self.failureResultOf(Deferred.fromCoroutine(asked.ask("GET", "/api/stats/"))).value
        assert isinstance(error, ClientError)
        return error

    def test_the_token_is_sent(self) -> None:
        seen: list[Any] = []

        def answers(request: Any) -> tuple[int, Any]:
            seen.append(request.getHeader(b"authorization"))
            return 200, {}

        self.ask(server(answers, token="secret"))
        self.ask(server(answers))
        self.assertEqual(seen, [b"Bearer secret", None])

    def test_a_token_that_is_missing_is_asked_for(self) -> None:
        body = {"status": "Unauthorized", "error": "a token is required"}
        said = str(self.error_of(server(lambda request: (401, body))))
        self.assertEqual(
            said, "http://stub says 401: a token is required; give one by --token-file or $CCSTORE_TOKEN"
        )
        said = str(self.error_of(server(lambda request: (401, body), token="old")))
        self.assertEqual(said, "http://stub says 401: a token is required")

    def test_what_is_no_ccstore_is_said(self) -> None:
        with self.assertRaisesRegex(ClientError, "is no JSON, is this a ccstore\\? <html> hello"):
            _ = self.ask(server(lambda request: (200, b"<html>\n hello"))).json
        self.assertEqual(self.ask(server(lambda request: (500, b"<html>"))).error, "<html>")
        self.assertEqual(self.ask(server(lambda request: (500, b""))).error, "without saying why")

    def test_failures_are_told_in_one_line(self) -> None:
        lost = ResponseNeverReceived([Failure(ConnectionLost())])
        for error, kind, words in (
            (ConnectionRefusedError(), Unreachable, "nothing listens at http://stub: connection refused"),
            (DNSLookupError(), Unreachable, "the host of http://stub is not known"),
            (lost, Vanished, "http://stub closed the connection without an answer"),
            (RuntimeError("?"), Vanished, "the request to http://stub failed: RuntimeError('?')"),
        ):
            found = self.error_of(Server(Broken(error), Clock(), URL, token=None, timeout=1))
            self.assertIsInstance(found, kind)
            self.assertEqual(str(found), words)

    def test_a_url_with_an_address_of_ipv6(self) -> None:
        seen: list[Any] = []

        def answers(request: Any) -> tuple[int, Any]:
            seen.append((request.getHeader(b"host"), request.uri))
            return 200, {}

        asked = Server(StubTreq(Anything(answers)), Clock(), "http://[::1]:9/x", token=None, timeout=30)
        asking = Deferred.fromCoroutine(asked.ask("GET", "/api/", params={"cluster": "ä&b"}))
        self.assertEqual(self.successResultOf(asking).status, 200)
        self.assertEqual(seen, [(b"[::1]:9", b"/x/api/?cluster=%C3%A4%26b")])

    def test_an_answer_that_does_not_come_is_not_waited_for(self) -> None:
        clock = Clock()
        asked = Server(Silent(), clock, URL, token=None, timeout=30)
        asking = Deferred.fromCoroutine(asked.ask("GET", "/"))
        clock.advance(29)
        self.assertNoResult(asking)
        clock.advance(1)
        self.assertIn("no answer from http://stub within 30 s", str(self.failureResultOf(asking).value))
        self.assertEqual(clock.getDelayedCalls(), [])


class Slow:
    """A client whose answer begins, and goes on when a test says so."""

    code = 200

    def __init__(self) -> None:
        self.body: Any = None
        self.stopped = 0

    def request(self, *given: Any, **more: Any) -> Deferred[Any]:
        return succeed(self)

    def deliverBody(self, protocol: Any) -> None:
        self.body = protocol
        protocol.makeConnection(self)

    def stopProducing(self) -> None:
        self.stopped += 1
        self.body.connectionLost(Failure(ConnectionLost()))


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.http = Slow()
        self.taken: list[bytes] = []

    def stream(self, take: Any = None) -> Deferred[None]:
        made = Server(self.http, self.clock, URL, token=None, timeout=30)
        return Deferred.fromCoroutine(made.stream("/x", [], take or self.taken.append, patience=50))

    def test_an_answer_to_its_end(self) -> None:
        streaming = self.stream()
        self.http.body.dataReceived(b"a")
        self.http.body.dataReceived(b"b")
        self.assertNoResult(streaming)
        self.http.body.connectionLost(Failure(ResponseDone()))
        self.successResultOf(streaming)
        self.assertEqual((self.taken, self.clock.getDelayedCalls()), ([b"a", b"b"], []))

    def test_an_answer_that_breaks_off(self) -> None:
        streaming = self.stream()
        self.http.body.dataReceived(b"a")
        self.http.body.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(str(self.failureResultOf(streaming, Vanished).value), "the answer broke off")

    def test_silence_is_taken_for_an_end(self) -> None:
        streaming = self.stream()
        for _ in range(3):
            self.clock.advance(49)
            self.assertNoResult(streaming)
            self.http.body.dataReceived(b"a")
        self.clock.pump([1] * 50)
        self.assertEqual(str(self.failureResultOf(streaming, Vanished).value), "nothing came for 50 s")
        self.assertEqual((self.http.stopped, self.clock.getDelayedCalls()), (1, []))

    def test_a_reader_who_takes_hours_is_no_silence(self) -> None:
        def take(data: bytes) -> None:
            self.clock.rightNow += 3600  # no timer is called as long as the process stands still

        streaming = self.stream(take)
        self.http.body.dataReceived(b"a")
        self.assertNoResult(streaming)
        self.clock.advance(49)
        self.assertNoResult(streaming)

    def test_what_takes_it_ends_it_by_an_error(self) -> None:
        def take(data: bytes) -> None:
            raise Enough

        streaming = self.stream(take)
        self.http.body.dataReceived(b"a")
        self.failureResultOf(streaming, Enough)
        self.assertEqual((self.http.stopped, self.clock.getDelayedCalls()), (1, []))


class OptionTests(SynchronousTestCase):
    def connect(self, *words: str, **environ: str) -> Server:
        options = ServerOptions()
        options.parseOptions(list(words))
        return connect(options, Clock(), environ)

    def test_where_the_url_and_the_token_come_from(self) -> None:
        path = scratch(self) / "token"
        path.write_text(" abc.def\n")
        self.assertEqual(self.connect().url, DEFAULT_URL)
        self.assertEqual(self.connect(CCSTORE_URL="https://[::1]:9/x/").url, "https://[::1]:9/x")
        self.assertEqual(self.connect("-url", "http://a", CCSTORE_URL="http://b").url, "http://a")
        self.assertEqual(self.connect(CCSTORE_TOKEN="t\n")._token, "t")
        self.assertEqual(self.connect("--token-file", str(path), CCSTORE_TOKEN="t")._token, "abc.def")
        self.assertIsNone(self.connect(CCSTORE_TOKEN="")._token)

    def test_what_is_wrong_is_said_with_the_option(self) -> None:
        directory = scratch(self)
        (directory / "empty").write_text("")
        (directory / "words").write_text("two words")
        for words, said in (
            (["--url", "ftp://a"], "--url: expected a URL such as http://127.0.0.1:8088, got 'ftp://a'"),
            (["--url", "http://u:p@host"], "--url: expected"),
            (["--url", "http://host:x"], "--url: expected"),
            (["--token-file", f"{directory}/none"], "--token-file: cannot read .*/none: no such file"),
            (["--token-file", f"{directory}/empty"], "--token-file .*: expected a token"),
            (["--token-file", f"{directory}/words"], "--token-file .*: expected a token"),
            (["--ca", f"{directory}/none"], "--ca: cannot read .*/none: no such file"),
            (["--ca", f"{directory}/words"], "--ca: expected a PEM file with a certificate"),
            (["--cert", f"{directory}/words"], "--cert: expected a PEM file with a certificate"),
        ):
            with self.assertRaisesRegex(ClientError, said):
                self.connect(*words)
