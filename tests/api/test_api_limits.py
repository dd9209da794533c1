"""The REST interface: its limits, its errors, and what it says of the daemon."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from ccstore.interfaces import QueryTimeout, StoreUnavailable
from ccstore.network.open_files import OpenFiles
from tests.support.api_case import ApiTestCase
from tests.support.sinks import event
from tests.support.stores import ToldBackend


def recent(seconds: int = 0) -> int:
    """A time in whole seconds that no retention has an eye on."""
    return int(time.time()) - 100 + seconds


class LimitTests(ApiTestCase):
    async def test_queries_of_a_request(self) -> None:
        self.start(max_queries=4)
        self.assertEqual((await self.query(*[{}] * 4)).status, 200)
        too_many: Sequence[tuple[list[Any], dict[str, Any]]] = [
            ([{}] * 5, {}),
            ([{"type-ids": ["0", "1", "2"], "subtype-ids": ["0", "1"]}], {}),
            ([{}], {"for-all-nodes": list("abcde")}),
        ]
        for queries, more in too_many:
            answer = await self.query(*queries, **more)
            self.assertEqual(
                (answer.status, answer.error), (400, "the request becomes more than 4 queries (max_queries)")
            )

    async def test_rows_of_a_request(self) -> None:
        self.start(max_rows=3)
        at = recent()
        await self.write(*[event(str(number), time=at) for number in range(5)])
        (first,), (second,) = (await self.query({"event": "none"}, {})).json["results"]
        self.assertNotIn("error", first)
        self.assertEqual([row["Event"] for row in second["data"]], ["0", "1", "2"])
        self.assertIn("these are not all: an answer has at most 3 rows (max_rows)", second["error"])
        (first,), (second,) = (await self.query({}, {})).json["results"]
        self.assertEqual((len(first["data"]), len(second["data"])), (3, 0))
        self.assertIn("error", second)

    async def test_the_time_a_query_may_take(self) -> None:
        backend = ToldBackend()
        backend.answer = lambda question, timeout: fail(QueryTimeout(f"{timeout}"))
        self.start(query_timeout="1ms", backend=backend)
        answer = await self.query({})
        self.assertEqual(answer.status, 503)
        self.assertIn("took longer than 0.001 s", answer.error)

    async def test_a_slow_query_is_really_cut_off(self) -> None:
        self.start(query_timeout="1ns")
        await self.write(event("a"))
        answer = await self.query(*[{}] * 900)
        self.assertEqual(answer.status, 503)

    async def test_bodies(self) -> None:
        self.start(max_body=2000)
        for path in ("/api/write/", "/api/query/"):
            answer = await self.ask("POST", path, b"x" * 2001)
            self.assertEqual(answer.status, 413)
            self.assertEqual(answer.error, "the body is larger than 2000 bytes (max_body)")
            self.assertEqual(answer.header("content-type"), "application/json")


class ReadYourWritesTests(ApiTestCase):
    """What came in before a query is in its answer, however it came in."""

    def setUp(self) -> None:
        self.start_with(storage={"flush_time": "60s"})

    async def arrived(self, receiver: str, lines: int) -> None:
        while (await self.stats())["receivers"][receiver]["received"] < lines:
            pass

    async def test_over_tcp(self) -> None:
        client = await self.connect("TCP")
        client.transport.write(event("a") + b"\n" + event("b") + b"\n")
        await self.arrived("tcp", 2)
        self.assertEqual((await self.stats())["receivers"]["tcp"]["waiting"], 2)
        self.assertEqual(await self.texts({}), [[["a", "b"]]])
        self.assertEqual((await self.stats())["receivers"]["tcp"]["stored"], 2)
        client.transport.loseConnection()
        await client.closed

    async def test_over_udp(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(event("a"), ("127.0.0.1", self.ports["UDP"]))
        await self.arrived("udp", 1)
        self.assertEqual(await self.texts({}), [[["a"]]])


class ErrorTests(ApiTestCase):
    def setUp(self) -> None:
        self.start()

    async def test_whatever_the_answer_it_is_json(self) -> None:
        asked = {
            ("GET", "/api/x"): 404,
            ("POST", "/api/write/x"): 404,
            ("GET", "/api//stats"): 404,
            ("GET", "/api/%ff"): 400,
            ("GET", "/api/write/"): 405,
            ("DELETE", "/api/query"): 405,
            ("POST", "/api/stats"): 405,
            ("POST", "/health"): 405,
            ("PUT", "/ready/"): 405,
            ("GET", "/swagger/"): 404,
        }
        for (method, path), status in asked.items():
            answer = await self.ask(method, path)
            self.assertEqual(
                (answer.status, answer.header("content-type")), (status, "application/json"), path
            )
            self.assertTrue(answer.error)
            self.assertIsNone(answer.header("location"))

    async def test_json_ends_with_a_newline_and_nothing_else_does(self) -> None:
        for method, path in (
            ("GET", "/health"),
            ("GET", "/api/stats"),
            ("GET", "/nothing"),
            ("PUT", "/health"),
        ):
            self.assertTrue((await self.ask(method, path)).body.endswith(b"}\n"))
        self.assertTrue((await self.query({})).body.endswith(b"}\n"))
        self.assertTrue((await self.write(b"bad")).body.endswith(b"}\n"))
        self.assertEqual((await self.write(event("a"))).body, b"")

    async def test_the_head_alone_says_how_long_the_body_would_be(self) -> None:
        for path, status in (("/health", 200), ("/nothing", 404)):
            whole = await self.ask("GET", path)
            with capturedLogs() as logs:
                answer = await self.ask("HEAD", path)
            self.assertEqual((answer.status, answer.body), (status, b""))
            self.assertEqual(answer.header("content-length"), str(len(whole.body)))
            self.assertEqual(logs, [])

    async def test_what_is_allowed_is_said(self) -> None:
        self.assertEqual((await self.ask("GET", "/api/write/")).header("allow"), "POST")
        self.assertEqual((await self.ask("PUT", "/api/query/")).header("allow"), "GET, HEAD, POST")

    async def test_requests_that_hardly_are_any(self) -> None:
        for start, host in (
            (b"GET /health", b"a..b"),
            (b"GET /health", b"\xff"),
            (b"\xff\xfe /health", b"x"),
        ):
            client = await self.connect("REST")
            client.transport.write(start + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
            await client.closed
            self.assertRegex(client.received, rb"^HTTP/1.1 400 ", (start, host))
            self.assertNotIn(b"<html", client.received)

    async def test_an_internal_error_has_a_number_that_the_log_has_too(self) -> None:
        backend = ToldBackend()
        backend.answer = lambda question, timeout: fail(ZeroDivisionError("inside"))
        self.start(backend=backend)
        with capturedLogs() as logs:
            answer = await self.query({})
        self.assertEqual(answer.status, 500)
        self.assertEqual(answer.header("content-type"), "application/json")
        found = re.fullmatch(r"internal error ([0-9a-f]{12}), see the log", answer.error)
        assert found is not None
        self.assertTrue(any(found[1] in (formatEvent(entry) or "") for entry in logs))
        self.assertNotIn(b"inside", answer.body)
        self.assertNotIn(b"Traceback", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_a_database_that_cannot_be_read_is_503(self) -> None:
        backend = ToldBackend()
        backend.answer = lambda question, timeout: fail(StoreUnavailable("it is gone"))
        self.start(backend=backend)
        answer = await self.query({})
        self.assertEqual((answer.status, answer.error), (503, "the query failed: it is gone"))
        self.assertEqual(answer.header("retry-after"), "5")


class ProblemTests(ApiTestCase):
    async def test_what_is_the_matter_besides_is_there_although_it_is_ready(self) -> None:
        lowest: list[int | None] = [3, None]
        files = OpenFiles(reactor, limit=lambda: 100, lowest=lambda: lowest[-1])  # type: ignore[arg-type]
        self.assertFalse(files.has_room(for_questions=False))
        lowest.pop()
        self.start_with(files=files)
        answer = await self.ask("GET", "/ready")
        problem = "connections are refused, since too many files are open: the limit is 100"
        self.assertEqual((answer.status, answer.json), (200, {"status": "ok", "problems": [problem]}))

    def test_files_for_a_default_are_not_missed_as_those_that_are_configured(self) -> None:
        for more, is_warned in (({}, False), ({"max_connections": 5000}, True)):
            files = OpenFiles(reactor, limit=lambda: 4000, lowest=lambda: 10)  # type: ignore[arg-type]
            lines = {"type": "tcp", "address": "127.0.0.1", "port": 0, **more}
            with capturedLogs() as logs:
                self.start_with(files=files, receivers={"lines": lines})
            said = [formatEvent(entry) or "" for entry in logs]
            self.assertEqual(any("those beyond will be refused" in each for each in said), is_warned)


class HealthTests(ApiTestCase):
    def setUp(self) -> None:
        self.start()

    async def test_healthy_and_ready(self) -> None:
        for path in ("/health", "/health/", "/ready", "/ready/"):
            answer = await self.ask("GET", path)
            self.assertEqual((answer.status, answer.json), (200, {"status": "ok"}))
            self.assertEqual((await self.ask("HEAD", path)).status, 200)

    async def test_while_nothing_can_be_stored_it_is_not_ready_and_says_why(self) -> None:
        backend = ToldBackend()
        backend.refusal = StoreUnavailable("database or disk is full")
        self.start(backend=backend)
        writing = Deferred.fromCoroutine(self.write(event("a")))
        await backend.refused
        answer = await self.ask("GET", "/ready")
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.error, "cannot store: database or disk is full")
        self.assertEqual(answer.header("retry-after"), "5")
        self.assertEqual((await self.ask("GET", "/health")).status, 200)
        answer = await self.write(event("b"))
        self.assertEqual((answer.status, answer.header("retry-after")), (503, "5"))
        self.assertIn("unavailable", (await self.stats())["manager"]["errors"])
        backend.refusal = None
        self.assertEqual((await writing).status, 503)
        while (await self.ask("GET", "/ready")).status != 200:
            pass  # it finds out by itself
        self.assertEqual((await self.write(event("c"))).status, 200)
        self.assertEqual(await self.texts({}), [[["c"]]])


class StatsTests(ApiTestCase):
    def setUp(self) -> None:
        self.start()

    async def test_the_shape(self) -> None:
        await self.write(event("a"))
        for path in ("/api/stats", "/api/stats/"):
            stats = (await self.ask("GET", path)).json
            for part in ("manager", "backend"):
                self.assertEqual(set(stats[part]), {"errors", "status"})
            expected = {"processed", "flushed", "write_batch", "timer_flushes", "query_flushes", "queries"}
            self.assertLessEqual(expected, set(stats["manager"]["status"]))
            self.assertLessEqual({"active_tables", "writes", "deletes"}, set(stats["backend"]["status"]))
            self.assertEqual(
                stats["info"], {"backend_type": "sqlite", "flush_time": "1s", "retention_time": "24h"}
            )
            self.assertEqual(set(stats["receivers"]), {"tcp", "udp", "http", "api"})
        self.assertEqual(stats["manager"]["status"]["processed"], 1)
        self.assertEqual(stats["manager"]["status"]["flushed"], 1)

    async def test_the_books_of_every_receiver_balance(self) -> None:
        lines = [event("a"), event("b", cluster=None), b"bad", b"m,cluster=x value=1", event("old", time=1)]
        lines += [
            b'x,cluster=alex event="e",more=1,log="l"',
            b'y,cluster=alex,method=GET control="c"',
            b'n,cluster=alex log="l"',
        ]
        body = b"\n".join(lines)
        client = await self.connect("TCP")
        client.transport.write(body)
        client.transport.loseConnection()
        await client.closed
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(body, ("127.0.0.1", self.ports["UDP"]))
        await self.write(body)
        await treq.post(f"http://127.0.0.1:{self.ports['HTTP']}/", body, persistent=False)
        await self.texts({})
        accounts = (await self.stats())["receivers"]
        while any(account["received"] < len(lines) or account["waiting"] for account in accounts.values()):
            await deferLater(reactor, 0)
            await self.texts({})
            accounts = (await self.stats())["receivers"]
        for account in accounts.values():
            self.assertEqual(account["received"], len(lines))
            self.assertEqual(account["stored"], 3)
            self.assertEqual(account["rejected"], {"malformed": 1, "no_cluster": 1})
            self.assertEqual(account["dropped"], {"metric": 1, "expired": 1, "control": 1})
            self.assertEqual(account["fields_not_stored"], 2)
