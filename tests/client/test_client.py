"""The client's own decisions, with a server that only answers what it is told to."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from treq.testing import StubTreq
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost, ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.resource import Resource

from ccstore.client.cutting import BODY, ENTRIES, Body, Cutter
from ccstore.client.progress import Progress
from ccstore.client.query_command import Options as QueryOptions
from ccstore.client.query_command import find
from ccstore.client.send import Options as SendOptions
from ccstore.client.send import Sender, Stopped
from ccstore.client.server import DEFAULT_URL, Answer, Server, ServerOptions, Unreachable, Vanished, connect
from ccstore.client.session import ClientError
from ccstore.commands.options import parse
from ccstore.lineprotocol import decode
from tests.support.connections import NOW
from tests.support.scratch import scratch

URL = "http://stub"


class _Anything(Resource):
    """Answers whatever is asked."""

    isLeaf = True

    def __init__(self, answers: Callable[[Any], tuple[int, Any]]) -> None:
        super().__init__()
        self._answers = answers

    def render(self, request: Any) -> bytes:
        status, body = self._answers(request)
        request.setResponseCode(status)
        if status == 503:
            request.setHeader(b"retry-after", b"7")
        return body if isinstance(body, bytes) else json.dumps(body).encode()


def server(
    answers: Callable[[Any], tuple[int, Any]], clock: Clock | None = None, token: str | None = None
) -> Server:
    return Server(StubTreq(_Anything(answers)), clock or Clock(), URL, token=token, timeout=30)


class _Broken:
    """A client whose requests fail."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def request(self, *given: Any, **more: Any) -> Deferred[Any]:
        return fail(self.error)


class _Silent:
    """A client whose requests are never answered."""

    def request(self, *given: Any, **more: Any) -> Deferred[Any]:
        return Deferred()


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
            found = self.error_of(Server(_Broken(error), Clock(), URL, token=None, timeout=1))
            self.assertIsInstance(found, kind)
            self.assertEqual(str(found), words)

    def test_a_url_with_an_address_of_ipv6(self) -> None:
        seen: list[Any] = []

        def answers(request: Any) -> tuple[int, Any]:
            seen.append((request.getHeader(b"host"), request.uri))
            return 200, {}

        asked = Server(StubTreq(_Anything(answers)), Clock(), "http://[::1]:9/x", token=None, timeout=30)
        asking = Deferred.fromCoroutine(asked.ask("GET", "/api/", params={"cluster": "ä&b"}))
        self.assertEqual(self.successResultOf(asking).status, 200)
        self.assertEqual(seen, [(b"[::1]:9", b"/x/api/?cluster=%C3%A4%26b")])

    def test_an_answer_that_does_not_come_is_not_waited_for(self) -> None:
        clock = Clock()
        asked = Server(_Silent(), clock, URL, token=None, timeout=30)
        asking = Deferred.fromCoroutine(asked.ask("GET", "/"))
        clock.advance(29)
        self.assertNoResult(asking)
        clock.advance(1)
        self.assertIn("no answer from http://stub within 30 s", str(self.failureResultOf(asking).value))
        self.assertEqual(clock.getDelayedCalls(), [])


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-event x", "--cluster: the name of the cluster is needed"),
        ("-event x -log y -cluster c", "only one of --event and --log"),
        ("-hostname h", "--hostname: only with --event or --log"),
        ("-tag a=b", "--tag: only with --event or --log"),
        ("-event x -cluster c -tag a", "--tag: expected KEY=VALUE, got 'a'"),
        ("-precision d", "--precision: expected one of auto, ns, us, ms, s, got 'd'"),
        ("-retries x", "--retries: expected a number, got 'x'"),
        ("-timeout 3", "--timeout: expected a duration such as 30s, got '3'"),
        ("-nope", "option -n not recognized"),
    ],
)
def test_wrong_options_of_send(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(SendOptions(), words.split()) is None
    err = capsys.readouterr().err
    assert err.startswith(f"ccstore send: {said}".split(", ns")[0]), err
    assert err.count("\n") == 1


def test_the_line_of_the_event_client() -> None:
    options = SendOptions()
    options.parseOptions(["-cluster=alex", "-hostname", "a0101", "-name", "my event", "-event", 'say "hi"\n'])
    line = r'my\ event,cluster=alex,hostname=a0101 event="say \"hi\"\n" 1700000000000000000'
    assert options.line(NOW) == line.encode() + b"\n"
    options.parseOptions(["-event", "x", "-cluster", "c", "-tag", "type=node", "-time", "-1m"])
    (message,) = decode(options.line(NOW), default_time=0).messages
    assert (message.name, message.tags["type"], message.time) == ("my event", "node", (NOW - 60) * 10**9)


def test_what_cannot_be_a_line_is_said() -> None:
    options = SendOptions()
    options.parseOptions(["-event", "x", "-cluster", "c\\"])
    with pytest.raises(ClientError, match="line protocol cannot carry"):
        options.line(NOW)


# -- sending


def body(first: int = 1, count: int = 2) -> Body:
    return Body(first, count, count, b'm event="x"\n' * count)


class SenderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.asked = 0
        self.answers: list[tuple[int, Any] | Exception] = []

    def sender(self, *words: str) -> Sender:
        options = SendOptions()
        options.parseOptions(list(words))

        def answers(request: Any) -> tuple[int, Any]:
            answer = self.answers.pop(0)
            assert not isinstance(answer, Exception)
            self.url = request.uri
            return answer

        stub = StubTreq(_Anything(answers))

        class Http:
            def request(inner, *given: Any, **more: Any) -> Any:
                self.asked += 1
                if isinstance(self.answers[0], Exception):
                    return fail(self.answers.pop(0))
                return stub.request(*given, **more)

        made = Server(Http(), self.clock, URL, token=None, timeout=30)
        return Sender(made, self.clock, options, self.said.append)

    def send(self, sender: Sender, what: Body | None = None) -> Deferred[None]:
        return Deferred.fromCoroutine(sender.send(what or body()))

    def test_what_is_taken_is_counted(self) -> None:
        sender = self.sender("-cluster", "alex", "-precision", "s")
        self.answers = [(200, b"")]
        self.successResultOf(self.send(sender))
        self.assertEqual(self.url, b"/api/write/?precision=s&cluster=alex")
        self.assertEqual((sender.accepted, sender.status), (2, 0))
        self.assertEqual(sender.report(), ["2 lines accepted"])

    def test_bad_lines_are_told_by_their_number_in_the_whole_input(self) -> None:
        sender = self.sender()
        bad = [{"line": number, "column": 3, "reason": "no field"} for number in range(1, 41)]
        self.answers = [(400, {"error": "", "stored": 10, "rejected": 90, "lines": bad})]
        self.successResultOf(self.send(sender, body(first=1001, count=100)))
        self.assertEqual((sender.accepted, sender.rejected, sender.status), (10, 90, 1))
        report = sender.report()
        self.assertEqual(report[0], "line 1001, column 3: no field")
        self.assertEqual(report[-2:], ["and 70 more bad lines", "10 lines accepted, 90 rejected"])

    def test_it_comes_again_when_the_server_says(self) -> None:
        sender = self.sender()
        self.answers = [(503, {"error": "cannot store now"}), (200, b"")]
        sending = self.send(sender)
        self.clock.advance(6.9)
        self.assertNoResult(sending)
        self.assertEqual(self.said, ["cannot store now; trying again in 7 s"])
        self.clock.advance(0.1)
        self.successResultOf(sending)
        self.assertEqual((sender.accepted, sender.status, self.asked), (2, 0, 2))

    def test_it_does_not_come_again_for_ever(self) -> None:
        sender = self.sender("-retries", "3")
        self.answers = [(503, {"error": "full"})] * 4
        sending = self.send(sender, body(first=11))
        self.clock.pump([7] * 3)
        error = self.failureResultOf(sending, Stopped).value
        self.assertEqual(str(error), "full; nothing from line 11 on was stored")
        self.assertEqual(self.asked, 4)

    def test_what_becomes_of_a_body_when_somebody_stops_it(self) -> None:
        sender = self.sender()
        self.answers = [(503, {"error": "full"})]
        self.send(sender)
        sender.interrupt()
        self.assertEqual(sender.failures[0]["reason"], "interrupted before the answer; they are not stored")
        sender = self.sender()
        sender._server = Server(_Silent(), self.clock, URL, token=None, timeout=30)
        self.send(sender)
        sender.interrupt()
        self.assertIn("they may be stored or not", str(sender.failures[0]["reason"]))

    def test_a_server_that_is_restarted_is_waited_for(self) -> None:
        sender = self.sender()
        self.answers = [(200, b""), ConnectionRefusedError(), ConnectionRefusedError(), (200, b"")]
        self.successResultOf(self.send(sender))
        sending = self.send(sender)
        self.clock.advance(1)
        self.clock.advance(2)
        self.successResultOf(sending)
        self.assertEqual(sender.accepted, 4)

    def test_a_server_that_was_never_there_is_not(self) -> None:
        self.answers = [ConnectionRefusedError()]
        self.failureResultOf(self.send(self.sender()), Stopped)

    def test_what_may_be_stored_is_not_sent_twice_but_reported(self) -> None:
        sender = self.sender()
        self.answers = [ResponseNeverReceived([Failure(ConnectionLost())]), (200, b"")]
        self.successResultOf(self.send(sender, body(first=5)))
        self.successResultOf(self.send(sender, body(first=7)))
        self.assertEqual((sender.accepted, sender.not_sent, sender.status), (2, 2, 2))
        self.assertEqual(
            sender.report(),
            [
                "lines 5 to 6: http://stub closed the connection without an answer; they may be stored"
                " or not",
                "2 lines accepted, 2 failed",
            ],
        )

    def test_a_body_that_is_not_taken_is_reported_and_the_others_are_sent(self) -> None:
        sender = self.sender()
        self.answers = [(413, {"error": "too large"}), (200, b"")]
        self.successResultOf(self.send(sender))
        self.successResultOf(self.send(sender))
        self.assertEqual(sender.as_json()["failures"], [{"first": 1, "last": 2, "reason": "413: too large"}])
        self.assertEqual((sender.accepted, sender.status), (2, 2))

    def test_no_more_is_sent_where_nothing_can_be(self) -> None:
        for status in (401, 404):
            self.answers = [(status, {"error": "no"})]
            error = self.failureResultOf(self.send(self.sender()), ClientError).value
            self.assertIn(f"http://stub says {status}: no", str(error))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_of_a_file_has_a_bar() -> None:
    clock, terminal = Clock(), _Terminal()
    progress = Progress(terminal, clock, 1000)
    clock.advance(2)
    progress.show(500, 3000)
    progress.show(501, 3001)  # too soon for another
    assert terminal.getvalue() == f"\r\x1b[K[{'#' * 15}{' ' * 15}]  50%  3,000 lines, 1,500 a second"
    progress.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_the_progress_of_a_pipe_has_none_and_that_of_a_log_file_is_nothing() -> None:
    clock, terminal, file = Clock(), _Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream, clock, None)
        clock.advance(1)
        progress.show(500, 10)
        progress.clear()
    assert "10 lines, 10 a second" in terminal.getvalue()
    assert "[#" not in terminal.getvalue()
    assert file.getvalue() == ""


# -- cutting

LINES = st.lists(
    st.sampled_from(
        [
            b'm,t=v event="x"\n',
            b'm event="two\nlines \\" and\n more" 17\n',
            b"# comment\n",
            b"\n",
            b"nonsense\n",
            b'm event="never closed\n',
            b'm,t=a"b event="x"\r\n',
        ]
    ),
    max_size=30,
)


def cut(pieces: list[bytes], cutter: Cutter) -> list[Body]:
    bodies = [each for piece in pieces for each in cutter.feed(piece)]
    last = cutter.finish()
    return [*bodies, last] if last else bodies


@settings(max_examples=150, deadline=None)
@given(LINES, st.integers(1, 40), st.integers(1, 5), st.booleans())
def test_bodies_are_the_input_cut_where_lines_end(
    lines: list[bytes], size: int, entries: int, has_end: bool
) -> None:
    data = b"".join(lines)
    if not has_end:
        data = data.rstrip(b"\n")
    bodies = cut([data[start : start + size] for start in range(0, len(data), size)], Cutter(entries=entries))
    assert b"".join(one.data for one in bodies) == data
    first = 1
    for one in bodies:
        assert (one.first, one.lines) == (first, one.data.count(b"\n") + (not one.data.endswith(b"\n")))
        first += one.lines
    whole, parts = decode(data, default_time=1), [decode(one.data, default_time=1) for one in bodies]
    assert [message[1:] for part in parts for message in part.messages] == [
        message[1:] for message in whole.messages
    ]
    assert sum(one.entries for one in bodies) == len(whole.messages) + len(whole.errors)


def test_bodies_are_bounded_and_so_is_what_is_held() -> None:
    cutter = Cutter()
    line = b'm,cluster=c,hostname=a0101 event="some text of no importance at all"\n'
    sizes = []
    for _ in range(200):
        for one in cutter.feed(line * 1000):
            sizes.append(len(one.data))
            assert one.entries <= ENTRIES + 2000
    assert len(sizes) > 10
    assert max(sizes) < BODY + 2 * 65536


@pytest.mark.parametrize("piece", [1000, 65536, 10**7])
def test_a_line_that_never_ends_is_left_out_and_costs_no_neighbour(piece: int) -> None:
    good = [b'm event="a"\n', b'm event="b"\n', b'm event="c"\n']
    data = good[0] + b"x" * 300_000 + b"\n" + good[1] + b"z" * 300_000 + b"\n" + good[2]
    cutter = Cutter(longest=100_000)
    bodies = cut([data[start : start + piece] for start in range(0, len(data), piece)], cutter)
    assert b"".join(one.data for one in bodies) == b"".join(good)
    assert [one.first for one in bodies] == [1, 3, 5]
    assert cutter.too_long == [2, 4]


def test_a_string_that_never_ends_is_given_to_the_server_in_parts() -> None:
    data = b'm event="a"\nm event="' + b"y\n" * 200_000 + b'"\nm event="c"\n'
    cutter = Cutter(longest=100_000)
    bodies = cut([data], cutter)
    assert len(bodies) > 1
    assert b"".join(one.data for one in bodies) == data
    assert (bodies[-1].last, cutter.too_long) == (200_004 - 1, [])


# -- querying


def options(*words: str) -> QueryOptions:
    made = QueryOptions()
    made.parseOptions(["--cluster", "alex", *words])
    return made


class QueryTests(SynchronousTestCase):
    """Against a store of rows by host and second, which gives at most so many of them at a time."""

    def setUp(self) -> None:
        self.rows: list[tuple[str, int]] = []
        self.most = 100
        self.requests: list[Any] = []

    def answers(self, request: Any) -> tuple[int, Any]:
        asked = json.loads(request.content.read())
        self.requests.append(asked)
        results = []
        room = self.most
        (query,) = asked["queries"]
        for host in asked.get("for-all-nodes", [None]):
            entries = []
            for _ in range(
                max(1, len(query.get("type-ids", []))) * max(1, len(query.get("subtype-ids", [])))
            ):
                found = [
                    {"Event": f"{name} {at}", "timestamp": at}
                    for name, at in sorted(self.rows, key=lambda row: row[1])
                    if host in (None, name) and asked["from"] <= at <= asked["to"]
                ]
                entry: dict[str, Any] = {"data": found[:room], "from": asked["from"], "to": asked["to"]}
                if len(found) > room:
                    entry["error"] = "there are more"
                room = max(0, room - len(found))
                entries.append(entry)
            results.append(entries)
        return 200, {"results": results}

    def find(self, *words: str) -> tuple[list[Any], list[str]]:
        return self.successResultOf(
            Deferred.fromCoroutine(find(server(self.answers), options(*words), float(NOW)))
        )

    def test_what_is_asked(self) -> None:
        self.find("--kind=log", "--event", "job", "--type", "cpu", "--type-ids", "[0-1]", "-f", "-1h")
        query = {"kind": "log", "event": "job", "type": "cpu", "type-ids": ["0", "1"]}
        self.assertEqual(
            self.requests, [{"cluster": "alex", "from": NOW - 3600, "to": NOW, "queries": [query]}]
        )

    def test_rows_of_several_hosts_are_in_the_order_of_time(self) -> None:
        self.rows = [("a1", NOW - 3), ("a2", NOW - 2), ("a1", NOW - 1)]
        rows, _ = self.find("--host", "a[1-2]")
        self.assertEqual(self.requests[0]["for-all-nodes"], ["a1", "a2"])
        self.assertEqual([(row.host, row.time - NOW) for row in rows], [("a1", -3), ("a2", -2), ("a1", -1)])

    def test_more_hosts_than_fit_are_asked_for_in_several_requests(self) -> None:
        self.find("--host", "a[1-600]", "--type-ids", "0,1")
        sizes = [len(request["for-all-nodes"]) for request in self.requests]
        self.assertEqual((sizes, sum(sizes)), ([250, 250, 100], 600))

    def test_rows_that_are_left_out_are_told(self) -> None:
        self.rows = [("a1", NOW - at) for at in range(200)]
        rows, cuts = self.find()
        self.assertEqual((len(rows), cuts), (100, ["there are more"]))

    def test_the_newest_are_found_among_more_than_the_server_gives(self) -> None:
        for spread, count in ((1, 5000), (7, 1000), (1000, 80), (0.01, 3000)):
            self.rows = [("a1", NOW - int(at * spread)) for at in range(count)]
            rows, cuts = self.find("--limit", "3")
            newest = sorted(at for _, at in self.rows)[-3:]
            if spread >= 1:
                self.assertEqual(([row.time for row in rows], cuts), (newest, []))
            else:
                # A hundred in a second are just as many as it gives.
                self.assertEqual(([row.time for row in rows], cuts), ([NOW] * 3, []))
        self.assertLess(len(self.requests), 60)

    def test_too_many_in_one_second_are_told(self) -> None:
        self.rows = [("a1", NOW - 5)] * 500
        rows, cuts = self.find("--limit", "3")
        self.assertEqual((len(rows), cuts), (3, ["there are more"]))

    def test_fewer_than_the_limit_are_all_there_are(self) -> None:
        self.rows = [("a1", NOW - 80_000)]
        self.assertEqual(len(self.find("--limit", "3")[0]), 1)
        self.rows = []
        self.assertEqual(self.find("--limit", "3"), ([], []))

    def test_an_error_of_the_server_is_told(self) -> None:
        asked = server(lambda request: (400, {"error": "cluster: unknown"}))
        found = self.failureResultOf(Deferred.fromCoroutine(find(asked, options(), 0.0 + NOW)))
        self.assertEqual(str(found.value), "http://stub says 400: cluster: unknown")
        asked = server(lambda request: (200, {"results": [[]]}))
        found = self.failureResultOf(Deferred.fromCoroutine(find(asked, options(), 0.0 + NOW)))
        self.assertIn("none of ccstore's", str(found.value))

    def test_a_span_that_ends_before_it_begins_is_no_question(self) -> None:
        found = self.failureResultOf(
            Deferred.fromCoroutine(find(server(self.answers), options("-f", "now", "--to", "-1h"), 0.0 + NOW))
        )
        self.assertEqual(str(found.value), "--from: 'now' is after --to '-1h'")
