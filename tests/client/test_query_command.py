"""`ccstore query`: what it asks, and what it makes of the answers."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager, redirect_stderr
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from ccstore.client.query_command import Options as QueryOptions
from ccstore.client.query_command import list_past, look
from ccstore.client.terminal import Output
from tests.support.loopback import NOW
from tests.support.stub_server import server

NANOSECOND_NOW = NOW * 10**9


def options(*words: str) -> QueryOptions:
    made = QueryOptions()
    made.parseOptions(["--cluster", "alex", *words])
    return made


def message(number: int, **more: Any) -> dict[str, Any]:
    at = NANOSECOND_NOW + number
    return {"id": f"i{number}", "time_ns": f"{at}", "kind": "log", "cluster": "alex", "name": "n"} | {
        "text": f"text {number}",
        **more,
    }


class QueryTests(SynchronousTestCase):
    """Against a daemon that has some messages, the newest last."""

    def setUp(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.has_end = True
        self.requests: list[tuple[str, dict[str, list[str]]]] = []

    def answers(self, request: Any) -> tuple[int, Any]:
        body = request.content.read()
        asked = {name.decode(): [each.decode() for each in values] for name, values in request.args.items()}
        asked |= json.loads(body) if body else {}
        self.requests.append((request.path.decode(), asked))
        if request.path.startswith(b"/api/v1/values/"):
            return 200, {"values": [{"value": "alex"}], "without": 0, "cut": None, "notice": None}
        if "cursor" in asked:
            return 503, {"error": "not now"}
        rows = self.rows[::-1] if asked.get("order", ["newest"]) == ["newest"] else self.rows
        rows = rows[: int(asked.get("limit", ["1000000"])[0])]
        if asked.get("format") != ["ndjson"]:
            return 200, {"messages": rows, "cursor": None, "cut": None, "notice": None}
        end = [{"end": {"messages": len(rows)}}] if self.has_end else []
        return 200, "".join(f"{json.dumps(row)}\n" for row in [*rows, *end]).encode()

    def run_with(self, *words: str) -> tuple[int, str]:
        stream = io.StringIO()
        output = Output(stream, {}, is_paged=False)
        running = list_past(server(self.answers), options(*words), output, Clock(), NANOSECOND_NOW)
        return self.successResultOf(Deferred.fromCoroutine(running)), stream.getvalue()

    def asked(self, *words: str) -> dict[str, list[str]]:
        self.rows = [message(1)]
        self.run_with(*words)
        (path, question), *more = self.requests
        self.requests.clear()
        self.assertEqual((path, more), ("/api/v1/messages", []))
        return question

    def test_what_is_asked(self) -> None:
        question = self.asked(
            *("--kind=log", "--event", "job", "--type", "cpu", "--type-ids", "[0-1]", "--from", "-1h"),
            *("--subtype", "x", "--subtype-ids", "7", "-H", "a[1-2]"),
        )
        self.assertEqual(
            question,
            {
                "cluster": ["alex"],
                "kind": ["log"],
                "name": ["job"],
                "type": ["cpu"],
                "type-id": ["0", "1"],
                "stype": ["x"],
                "stype-id": ["7"],
                "host": ["a[1-2]"],
                "from": [f"{NANOSECOND_NOW - 3600 * 10**9}"],
                "format": ["ndjson"],
                "end": ["true"],
                "order": ["oldest"],
            },
        )

    def test_words_of_the_text_and_other_tags(self) -> None:
        question = self.asked(
            *("-g", "a+b & c=%41", "--grep", "é", "--not-grep", "x", "--regex", "^a|b$", "--not-regex", "q"),
            *("--tag", "job=7=8", "--tag", "user!=me", "--tag", "host!=a*", "--tag", "tag.type=x"),
            *("--name", "a", "-e", "b", "-c", "fritz"),
        )
        for name, values in {
            "text": ["a+b & c=%41", "é"],
            "text!": ["x"],
            "regex": ["^a|b$"],
            "regex!": ["q"],
            "tag.job": ["7=8"],
            "tag.user!": ["me"],
            "host!": ["a*"],
            "tag.type": ["x"],
            "cluster": ["alex", "fritz"],
        }.items():
            self.assertEqual(question[name], values)
        self.assertEqual(sorted(question["name"]), ["a", "b"])

    def test_times_are_sent_in_nanoseconds(self) -> None:
        for words, begin, end in (
            ((), NANOSECOND_NOW - 86400 * 10**9, None),
            (("-S", "2001-02-03T04:05:06.789Z"), 981173106789000000, None),
            (
                ("-S", "1969-12-31T23:59:59.5", "-U", "1970-01-02", "--utc"),
                "1969-12-31T23:59:59.500000000Z",
                "1970-01-02T00:00:00.000000000Z",
            ),
            (("--since=-1h", "--to", "now"), NANOSECOND_NOW - 3600 * 10**9, NANOSECOND_NOW),
        ):
            question = self.asked(*words)
            self.assertEqual(question["from"], [f"{begin}"])
            self.assertEqual(question.get("to"), None if end is None else [f"{end}"])

    def test_more_hosts_than_a_line_takes_are_asked_for_by_post(self) -> None:
        hosts = ",".join(f"host{number}" for number in range(2000))
        self.rows = [message(1)]
        self.run_with("--host", hosts)
        (probe, _), (path, question) = self.requests
        self.assertEqual((probe, path), ("/api/query/", "/api/v1/messages"))
        self.assertEqual(question["host"], [hosts])

    def test_the_newest_are_shown_oldest_first(self) -> None:
        self.rows = [message(number) for number in range(5)]
        status, text = self.run_with("-n", "2", "--fields", "text", "--no-header")
        self.assertEqual((status, text), (0, "text 3\ntext 4\n"))
        self.assertEqual(self.requests[0][1]["order"], ["newest"])
        _, text = self.run_with("-n", "2", "-r", "--fields", "text")
        self.assertEqual(text, "TEXT\ntext 4\ntext 3\n")
        _, text = self.run_with("-r", "--fields", "text", "--no-header")
        self.assertEqual(text.split("\n")[0], "text 4")

    def test_an_answer_without_its_end_is_told(self) -> None:
        self.rows = [message(1), message(2)]
        self.has_end = False
        stream = io.StringIO()
        output = Output(stream, {}, is_paged=False)
        clock = Clock()
        asked = list_past(server(self.answers), options("--json"), output, clock, NANOSECOND_NOW)
        running = Deferred.fromCoroutine(asked)
        with self.assertSaid("the answer has no end after 2 messages; going on behind them"):
            clock.pump([20] * 6)
        error = self.failureResultOf(running).value
        self.assertEqual(str(error), "not all: http://stub says 503: not now after 2 messages")
        shown = json.loads(stream.getvalue())
        self.assertEqual((len(shown["rows"]), shown["is_complete"]), (2, False))

    def test_json_has_the_members_it_always_had(self) -> None:
        self.rows = [message(1, hostname="a1", kind="event"), message(2, **{"type-id": "3", "stype-id": "4"})]
        _, text = self.run_with("--json")
        shown = json.loads(text)
        self.assertEqual((shown["cluster"], shown["is_complete"]), ("alex", True))
        first, second = shown["rows"]
        self.assertEqual((first["timestamp"], first["host"], first["event"]), (NOW, "a1", "text 1"))
        self.assertEqual((second["type-id"], second["subtype-id"], second["log"]), ("3", "4", "text 2"))
        self.rows = []
        self.assertEqual(json.loads(self.run_with("--json")[1])["rows"], [])

    def test_quiet_looks_for_one(self) -> None:
        for rows, status in (([message(1)], 0), ([], 1)):
            self.rows = rows
            looking = look(server(self.answers), options("-q"), NANOSECOND_NOW)
            self.assertEqual(self.successResultOf(Deferred.fromCoroutine(looking)), status)
            self.assertEqual(self.requests[-1][1]["limit"], ["1"])

    def test_where_the_newest_is_if_there_is_nothing_in_that_time(self) -> None:
        def answers(request: Any) -> tuple[int, Any]:
            rows = [] if b"from" in request.args else [message(1)]
            if request.path.startswith(b"/api/v1/values/"):
                return 200, {"values": [{"value": "alex"}]}
            if b"format" in request.args:
                return 200, b'{"end": {"messages": 0}}\n'
            return 200, {"messages": rows, "notice": None}

        output = Output(io.StringIO(), {}, is_paged=False)
        running = list_past(server(answers), options("--utc"), output, Clock(), NANOSECOND_NOW)
        with self.assertSaid(
            "nothing matched in the last 24 hours; the newest that matches is of 2023-11-14 22:13:20.000Z: "
        ):
            self.assertEqual(self.successResultOf(Deferred.fromCoroutine(running)), 0)

    def test_nobody_waits_for_long_to_be_told_of_other_times(self) -> None:
        def answers(request: Any) -> tuple[int, Any]:
            if request.path.startswith(b"/api/v1/values/"):
                return 200, {"values": [{"value": "alex"}]}
            if b"format" in request.args:
                return 200, b'{"end": {"messages": 0}}\n'
            if b"text" in request.args and b"from" not in request.args:
                return 503, {"error": "that takes too long"}
            return 200, {"messages": [] if b"text" in request.args else [message(1)], "notice": None}

        output = Output(io.StringIO(), {}, is_paged=False)
        running = list_past(server(answers), options("--utc", "-g", "x"), output, Clock(), NANOSECOND_NOW)
        with self.assertSaid(
            "nothing matched in the last 24 hours; other times were not looked through within 5 s; "
            "the newest message of the cluster 'alex' is of 2023-11-14 22:13:20.000Z"
        ):
            self.assertEqual(self.successResultOf(Deferred.fromCoroutine(running)), 0)

    def assertSaid(self, text: str) -> Any:
        @contextmanager
        def said() -> Any:
            stream = io.StringIO()
            with redirect_stderr(stream):
                yield
            self.assertIn(text, stream.getvalue())

        return said()

    def test_an_error_of_the_server_is_told(self) -> None:
        for asked, says in (
            (
                server(lambda request: (400, {"error": "cluster: unknown"})),
                "http://stub says 400: cluster: unknown",
            ),
            (server(lambda request: (404, {"error": "no"})), "is it the REST interface, and not a receiver?"),
        ):
            output = Output(io.StringIO(), {}, is_paged=False)
            running = list_past(asked, options(), output, Clock(), NANOSECOND_NOW)
            self.assertIn(says, str(self.failureResultOf(Deferred.fromCoroutine(running)).value))

    def test_where_the_api_knows_no_such_thing_the_url_is_right(self) -> None:
        for error, is_doubted in (("there is no label 'x'", False), ("nothing here, lines go to /x", True)):
            answer = {"status": "Not Found", "error": error}
            asked = server(lambda request, answer=answer: (404, answer))  # type: ignore[misc]
            found = self.failureResultOf(Deferred.fromCoroutine(asked.get("/api/v1/values/x")))
            self.assertEqual("See --url" in str(found.value), is_doubted)

    def test_a_span_that_ends_before_it_begins_is_no_question(self) -> None:
        output = Output(io.StringIO(), {}, is_paged=False)
        running = list_past(
            server(self.answers), options("--from", "now", "--to", "-1h"), output, Clock(), NANOSECOND_NOW
        )
        found = self.failureResultOf(Deferred.fromCoroutine(running))
        self.assertEqual(str(found.value), "--from: 'now' is after --to '-1h'")


class OptionsTests(SynchronousTestCase):
    def test_what_is_wrong(self) -> None:
        for words, says in (
            ("-f -1h", "-f is --follow and has no value: for a time, give --from -1h"),
            ("-f 1700000000", "-f is --follow and has no value"),
            ("-f=today", "give --from today"),
            ("-f2026-01-31", "give --from 2026-01-31"),
            ("--kind x", "--kind: expected event or log, got 'x'"),
            ("--limit 0", "--limit: expected a number above 0, got '0'"),
            ("--limit x -f", "--limit: expected a number above 0, got 'x'"),
            ("-o xml", "--output: expected text, short-iso, json, ndjson, csv or lp, got 'xml'"),
            ("--json -o csv", "--json and --output csv: give one of them"),
            ("--since -1h --from -2h", "--since and --from are the same: give one of them"),
            ("--follow -r", "--follow and --reverse do not go together"),
            ("--follow -q", "--follow and --quiet do not go together"),
            ("--follow --to now", "--follow and --to do not go together"),
            ("--follow --json", "take --output ndjson"),
            ("--tag x", "--tag: expected KEY=VALUE or KEY!=VALUE, got 'x'"),
            ("--host a[1-", "--host: expected hosts such as"),
            ("--color maybe", "--color: expected auto, always or never, got 'maybe'"),
            ("-o short-iso --fields text", "--fields: only with --output text, csv or ndjson, not short-iso"),
        ):
            with self.assertRaises(UsageError) as caught:
                options(*words.split())
            self.assertIn(says, str(caught.exception))

    def test_what_is_right(self) -> None:
        self.assertTrue(options("-fn", "0")["follow"])
        self.assertTrue(options("-f", "-S", "-1h")["follow"])
        self.assertTrue(options("-f", "-H", "a1")["follow"])
        self.assertTrue(options("-rq")["reverse"])

    def test_columns_are_what_can_differ(self) -> None:
        self.assertEqual(options().fields, ["time", "host", "name", "text"])
        self.assertEqual(options("-c", "b").fields[1], "cluster")
        self.assertEqual(options("--type-ids", "0,1", "--subtype", "x").fields[2:4], ["type-id", "stype"])
