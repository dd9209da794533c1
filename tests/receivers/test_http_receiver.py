"""Line protocol over HTTP."""

from __future__ import annotations

import re
from collections.abc import Sequence

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectionLost
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.interfaces import StoreUnavailable
from ccstore.pipeline.scheduler import TurnLimits
from ccstore.receivers.http import HttpReceiver
from ccstore.web import Room
from tests.support.configuration import port_in, receiver_config
from tests.support.http_case import HttpTestCase, basic, head, read_answer
from tests.support.loopback import Client
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, event, intake_for


class WriteTests(HttpTestCase):
    """What is answered to lines, good and bad."""

    def test_success_is_exactly_200_with_an_empty_body(self) -> None:
        answer = self.send(event("a") + b"\n" + event("b") + b"\n")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-length"], "0")
        self.assertEqual(answer.body, b"")
        self.assertEqual(self.sink.texts, ["a", "b"])
        self.assertNotIn(b"ransfer-", self.wire.value())

    def test_an_empty_body_is_a_success(self) -> None:
        for body in (b"", b"\n", b"# nothing\r\n"):
            self.assertEqual(self.send(body).status, 200)

    def test_the_answer_comes_when_all_is_committed_and_not_before(self) -> None:
        self.sink.holds = True
        self.connect().dataReceived(head(length=len(event("a"))) + event("a"))
        self.clock.advance(60)
        self.assertEqual(self.wire.value(), b"")
        self.sink.commit()
        self.assertEqual(self.answer().status, 200)

    def test_bad_lines_are_named_and_good_ones_are_stored(self) -> None:
        answer = self.send(event("a") + b"\nbad\n" + event("b") + b"\n" + b"x, y=1\n" + event("c"))
        self.assertEqual(answer.status, 400)
        self.assertEqual(self.sink.texts, ["a", "b", "c"])
        error = answer.error
        self.assertEqual(error["status"], "Bad Request")
        self.assertTrue(error["error"].startswith("2 of 5 lines are bad, the first is line 2: "))
        self.assertEqual(error["stored"], 3)
        self.assertEqual(error["rejected"], 2)
        self.assertEqual([(line["line"], line["column"]) for line in error["lines"]], [(2, 4), (4, 3)])
        self.assertEqual([sorted(line) for line in error["lines"]], [["column", "line", "reason"]] * 2)

    def test_what_the_store_refuses_is_named_by_its_line_too(self) -> None:
        self.sink.refuses = lambda message: "not this one" if message.text == "b\nb" else None
        answer = self.send(b"bad\n\n" + event("a") + b"\n# note\n" + event("b\nb") + b"\n" + event("c"))
        error = answer.error
        self.assertEqual([line["line"] for line in error["lines"]], [1, 5])
        self.assertEqual(error["lines"][1]["reason"], "not this one")
        self.assertEqual(error["stored"], 2)

    def test_of_very_many_bad_lines_a_hundred_are_listed_and_all_are_counted(self) -> None:
        error = self.send(b"bad\n" * 1000).error
        self.assertEqual(len(error["lines"]), 100)
        self.assertEqual(error["rejected"], 1000)

    def test_503_with_retry_after_while_nothing_can_be_stored(self) -> None:
        self.sink.failure = StoreUnavailable("the disk is full")
        answer = self.send(event("a"))
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["retry-after"], "5")
        self.assertIn("the disk is full", answer.error["error"])

    def test_an_internal_error_shows_nothing_of_the_inside(self) -> None:
        def explode(*arguments: object, **more: object) -> None:
            raise ZeroDivisionError("secret")

        self.sink.accept = explode  # type: ignore[method-assign, assignment]
        with capturedLogs() as logs:
            answer = self.send(event("a"))
        self.assertEqual(answer.status, 500)
        found = re.fullmatch(r"internal error ([0-9a-f]{12}), see the log", answer.error["error"])
        assert found is not None, answer.error
        self.assertTrue(any(found[1] in (formatEvent(entry) or "") for entry in logs))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_receivers_cluster_goes_before_that_of_the_request(self) -> None:
        self.send(event("a", cluster=None), path="/x?cluster=fritz")
        self.assertEqual(self.sink.origins[-1].cluster, "fritz")
        self.send(event("a", cluster=None))
        self.assertIsNone(self.sink.origins[-1].cluster)
        self.start(cluster="meggie")
        self.send(event("a", cluster=None), path="/x?cluster=fritz")
        self.assertEqual(self.sink.origins[-1].cluster, "meggie")

    def test_a_cluster_that_is_not_utf_8_is_refused(self) -> None:
        answer = self.send(event("a", cluster=None), path="/x?cluster=%FF")
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.error["error"], r"cluster: expected UTF-8, got b'\xff'")
        self.assertEqual(self.sink.texts, [])

    def test_a_request_for_the_head_is_refused_without_a_body_and_a_word(self) -> None:
        with capturedLogs() as logs:
            self.connect().dataReceived(head("HEAD", "/"))
        self.assertTrue(self.wire.value().startswith(b"HTTP/1.1 405 "))
        self.assertTrue(self.wire.value().endswith(b"\r\n\r\n"))
        self.assertEqual(logs, [])

    def test_errors_end_with_a_newline(self) -> None:
        self.assertTrue(self.send(b"bad").body.endswith(b"}\n"))
        self.assertTrue(self.send(method="GET").body.endswith(b"}\n"))

    def test_a_body_is_lines_whatever_type_it_claims_to_have(self) -> None:
        body = event("see http://x/?a=1&cluster=evil&b=2;cluster=worse")
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html"):
            answer = self.send(body, path="/?cluster=fritz", content_type=kind)
            self.assertEqual(answer.status, 200)
            self.assertEqual(self.sink.origins[-1].cluster, "fritz")
            self.assertEqual(self.sink.messages[-1].text, "see http://x/?a=1&cluster=evil&b=2;cluster=worse")

    def test_of_many_bad_lines_the_first_are_listed_and_all_are_counted(self) -> None:
        self.sink.refuses = lambda message: "no" if message.text == "a" else None
        answer = self.send((b"x\n" + event("a") + b"\n") * 1000 + event("b"))
        self.assertEqual(answer.status, 400)
        self.assertTrue(answer.error["error"].startswith("2000 of 2001 lines are bad, the first is line 1: "))
        self.assertEqual((answer.error["stored"], answer.error["rejected"]), (1, 2000))
        self.assertEqual([entry["line"] for entry in answer.error["lines"]], [*range(1, 101)])

    def test_a_large_body_is_decoded_in_turns(self) -> None:
        body = b"\n".join(event(f"{number:07}{'x' * 900}") for number in range(3000))
        turns = []

        def take_turn() -> None:
            turns.append(len(self.sink.texts))
            if not self.wire.value():
                self.clock.callLater(0, take_turn)

        self.clock.passes = TurnLimits().seconds
        self.connect().dataReceived(head(length=len(body)) + body)
        take_turn()
        while not self.wire.value():
            self.clock.turn()
        self.assertEqual(self.answer().status, 200)
        self.assertGreaterEqual(len(turns), 5)
        self.assertEqual([int(text[:7]) for text in self.sink.texts], list(range(3000)))


class DoorTests(HttpTestCase):
    """Who may come in, and where."""

    def test_lines_are_sent_by_post_and_nothing_else(self) -> None:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"):
            answer = self.send(event("a"), method)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST"))
            self.assertEqual(answer.error["status"], "Method Not Allowed")
        self.assertEqual(self.sink.texts, [])

    def test_without_a_path_every_path_is_taken(self) -> None:
        for path in ("/", "/a", "/a/b/?x=1", "/%ff", "//"):
            self.assertEqual(self.send(event("a"), path=path).status, 200)

    def check_paths(self, configured: str, taken: Sequence[str], others: Sequence[str]) -> None:
        self.start(path=configured)
        for path in taken:
            self.assertEqual(self.send(event("a"), path=path).status, 200, path)
        for path in others:
            self.assertEqual(self.send(event("a"), path=path).status, 404, path)
        self.assertEqual(len(self.sink.texts), len(taken))

    def test_with_a_path_only_that_one_is_taken_with_or_without_the_last_slash(self) -> None:
        for configured in ("/api/write", "api/write"):
            self.check_paths(
                configured,
                ["/api/write", "/api/write/", "/api/write?cluster=x", "/api/%77rite"],
                ["/", "/api", "/api/write/x", "/api/writex", "/x/api/write", "/api%2fwrite/x"],
            )

    def test_a_path_that_ends_in_a_slash_has_all_below_it(self) -> None:
        self.check_paths(
            "/api/ev/",
            ["/api/ev", "/api/ev/", "/api/ev/x", "/api/ev/x/y/?cluster=x", "/api/ev//x"],
            ["/", "/api", "/api/", "/api/evx", "/api/evx/x", "/x/api/ev/x", "/api/ev/../x"],
        )

    def test_paths_are_taken_as_what_they_mean(self) -> None:
        same = [
            "//api/write",
            "/api//write",
            "/api/./write",
            "/x/../api/write",
            "/../api/write",
            "/api/write/.",
        ]
        self.check_paths("/api/write", same, ["/api/write/..", "/api/write/../x"])

    def test_credentials(self) -> None:
        self.start(username="node", password="a:b ä")
        right = basic("node:a:b ä")
        for given in (right, right.replace("Basic", "bAsIC"), right.replace(" ", "  ")):
            self.assertEqual(self.send(event("a"), authorization=given).status, 200)
        wrong = ("node:a:b", "node:", "Node:a:b ä", ":", "", "x:a:b ä")
        for given in (
            *map(basic, wrong),
            "Basic",
            "Basic !!!",
            right.replace("Basic", "Bearer"),
            b"\xff\xfe",
        ):
            answer = self.send(event("b"), authorization=given)
            self.assertEqual(answer.status, 401, given)
            self.assertEqual(answer.headers["www-authenticate"], 'Basic realm="ccstore"')
            self.assertEqual(answer.error["status"], "Unauthorized")
        self.assertEqual(self.send(event("b")).status, 401)
        self.assertEqual(self.sink.texts, ["a"] * 3)

    def test_what_is_wrong_with_credentials_is_said(self) -> None:
        self.start(username="node", password="secret")
        for headers, said in (
            ({}, "user name and password are required"),
            ({"authorization": basic("node:x")}, "user name or password is wrong"),
            ({"authorization": "Basic node:secret"}, "behind 'Basic' goes the base64 of NAME:PASSWORD"),
            ({"authorization": "Bearer x"}, "by basic authentication and not by a token"),
        ):
            self.assertIn(said, self.send(event("b"), **headers).error["error"])


class ConnectionTests(HttpTestCase):
    """Connections that live long, or not long enough."""

    def test_a_connection_takes_one_request_after_another(self) -> None:
        connection = self.connect()
        for number in range(3):
            body = event(str(number))
            connection.dataReceived(head(length=len(body)) + body)
        self.assertEqual(self.wire.value().count(b"HTTP/1.1 200 OK"), 3)
        self.assertTrue(self.wire.connected)

    def test_keep_alive_can_be_switched_off(self) -> None:
        self.start(keep_alives_enabled=False)
        answer = self.send(event("a"))
        self.assertEqual(answer.headers["connection"], "close")
        self.assertFalse(self.wire.connected)

    def test_an_idle_connection_is_closed(self) -> None:
        self.start(idle_timeout="10s")
        self.send(event("a"))
        self.clock.advance(9)
        self.assertTrue(self.wire.connected)
        self.clock.advance(2)
        self.assertFalse(self.wire.connected)

    def test_a_request_that_waits_for_its_commit_is_not_idle(self) -> None:
        self.start(idle_timeout="10s")
        self.sink.holds = True
        body = event("a")
        self.connect().dataReceived(head(length=len(body)) + body)
        self.clock.advance(100)
        self.assertTrue(self.wire.connected)
        self.sink.commit()
        self.assertEqual(self.answer().status, 200)

    def test_a_client_that_goes_away_in_the_middle_of_its_body_leaves_nothing(self) -> None:
        body = event("a") + b"\n" + event("b")
        self.connect().dataReceived(head(length=len(body)) + body[:-5])
        self.wire.lose(ConnectionLost())
        self.assertEqual(self.sink.texts, [])
        self.assertEqual(self.receiver.figures()["requests_in_flight"], 0)

    def test_what_a_client_sent_is_stored_although_it_does_not_wait_for_the_answer(self) -> None:
        self.sink.holds = True
        body = event("a")
        self.connect().dataReceived(head(length=len(body)) + body)
        with capturedLogs() as logs:
            self.wire.lose(ConnectionLost())
            self.sink.commit()
        self.assertEqual(self.receiver.account.stored, 1)
        self.assertEqual(self.receiver.figures()["requests_in_flight"], 0)
        self.assertEqual(logs, [])

    def test_the_stop_waits_for_the_requests_in_hand_and_closes_the_rest(self) -> None:
        self.send(event("a"))
        idle = self.wire
        self.sink.holds = True
        self.connect().dataReceived(head(length=len(event("b"))) + event("b"))
        drained = ensureDeferred(self.receiver.drain())
        self.assertNoResult(drained)
        self.sink.commit()
        self.successResultOf(drained)
        self.assertEqual(self.answer().status, 200)
        self.assertFalse(self.wire.connected)
        self.assertFalse(idle.connected)

    def test_the_stop_does_not_wait_for_ever(self) -> None:
        self.sink.holds = True
        self.connect().dataReceived(head(length=len(event("b"))) + event("b"))
        drained = ensureDeferred(self.receiver.drain())
        self.clock.advance(6)
        self.successResultOf(drained)


class SocketTests(TestCase):
    """With the network."""

    async def test_a_body_in_chunks_is_refused_while_it_comes(self) -> None:
        config = receiver_config(scratch(self), "http", max_body="64k")
        sink = FakeSink()
        receiver = HttpReceiver(config, intake_for(config, "http", sink, reactor), reactor, Room())
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", port_in(receiver.listen()))
        self.addCleanup(lambda: ensureDeferred(receiver.stop_listening()))
        client = await connectProtocol(endpoint, Client())
        client.transport.write(head(length=len(event("a"))) + event("a"))
        self.assertEqual(read_answer(await client.until(b"\r\n\r\n"))[0].status, 200)
        client.transport.write(head(transfer_encoding="chunked") + b"%x\r\n" % 10**9 + b"x" * 70_000)
        data = await client.until(b"}")
        self.assertEqual(read_answer(read_answer(data)[1])[0].status, 413)
        client.transport.loseConnection()
        await client.closed
        await receiver.drain()
        self.assertEqual(sink.texts, ["a"])
