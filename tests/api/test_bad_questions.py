"""Whatever is asked below /api/v1: an answer or an error that names the parameter, and nobody else waits."""

from __future__ import annotations

import json
import random
import re
import time
from itertools import pairwise
from typing import Any
from urllib.parse import quote, urlencode

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall

from ccstore.query import ALL_TAGS, STREAM_LABELS, Arrival, Count, Counts, Position
from ccstore.storage.reading.counts import CountsQuestion, KnownValues
from tests.api.test_message_answers import BASE, MessagesTestCase, log
from tests.support.stores import ToldBackend

CALLS = (
    "messages",
    "events",
    "logs",
    "histogram",
    "labels",
    "values/host",
    "values/tag.x",
    "streams",
    "clusters",
)
NAMES = (
    *("cluster", "name", "host", "type", "type-id", "stype", "stype-id", "tag.x", "kind", "text", "regex"),
    *("cluster!", "host!", "tag.x!", "kind!", "text!", "regex!", "from", "to", "order", "limit", "cursor"),
    *(
        "format",
        "step",
        "buckets",
        "by",
        "top",
        "prefix",
        "same",
        "before",
        "after",
        "spreadsheet",
        "end",
        "tag.*",
    ),
)
EXTREMES = (-(2**63), -(2**63) + 1, -1, 0, 1, 2**63 - 2, 2**63 - 1)
VALUES = (
    *("", "x", "*", "a*b", "a[1-3]", "a[1-", "a[]", "[0-99999]", "a[1-2][3-4],b"),
    *(",", "%", "'", '"', "\\", "\n"),
    *("(", "(?i)a", "[", "a{1000}", "(((a{30}){30}){30})", "\ufeff", "\U0001f600", "é", "\0", "\x7f", "²"),
    *("-1", "1", "1e9", "1e400", "NaN", "inf", "9" * 18, "9" * 19, "9" * 400, "0x10", "1.5"),
    *("-" + "9" * 19, "1_0"),
    *("now", "-1h", "-99999999999999d", "today", "9999-12-31", "0000-01-01", "2026-02-30",),
    *("24:00", "23:59:60"),
    *("1677-09-21T00:12:43Z", "2262-04-11T23:47:16.9Z", "2026-01-31T00:00:00+99:99",),
    *("292y", "10000d", "1ms", "1ns"),
    *("event", "log", "newest", "oldest", "json", "ndjson", "csv", "lp", "true",),
    *("kind", "host,host", "tag.", "tag.*"),
    *(Position(at, "log", number).encode() for at in EXTREMES for number in EXTREMES),
    *(Position(at, "event", number).encode() for at in EXTREMES for number in EXTREMES),
    *(Arrival(number, 2**63 - 1).encode() for number in EXTREMES),
    *("x" * 5000, "a*" * 2000),
)  # fmt: skip
#: Seconds of this thread: about 50 ms, and what the noise of a busy machine makes of it.
_LONGEST = 0.1


class BadQuestionsTests(MessagesTestCase):
    async def test_the_parameters_that_are_listed_are_taken(self) -> None:
        self.start()
        await self.write(log("a", BASE))
        ((number,),) = [[message["id"] for message in (await self.get("messages")).json["messages"]]]
        calls = (*CALLS, "tail", "senders", "fold", "before", "cause", "jobs/alex/1", "nodes/alex/a")
        for call in (*calls, f"messages/{number}/context"):
            error = (await self.get(call, zzz="1")).error
            found = re.match(
                "'zzz': there is no such parameter: expected one of ([^;]+?)(, or tag.zzz .*)?(;|$)", error
            )
            assert found is not None, error
            names = found[1].split(", ") + (["tag.x"] if found[2] else [])
            answer = await self.get(call, zzz="1", **dict.fromkeys(names, "1"))
            self.assertEqual(answer.status, 400)
            self.assertEqual(answer.error.count("no such"), 1, answer.error)
        for call in (f"messages/{number}", "retention"):
            answer = await self.get(call, host="a")
            self.assertEqual(answer.error, "'host': there is no such parameter: this takes no parameters")

    async def test_no_question_is_too_strange(self) -> None:
        """As a URL, a form and JSON; whatever is wrong is named."""
        self.start()
        await self.write(*[log(f"{place}", BASE + place, x="1") for place in range(5)])
        pick = random.Random(3)
        ids = [message["id"] for message in (await self.get("messages")).json["messages"]]
        for _ in range(700):
            call = pick.choice(
                (*CALLS, *CALLS, f"messages/{pick.choice((*ids, *VALUES[-200:]))[:200]}/context")
            )
            given = [(pick.choice(NAMES), pick.choice(VALUES)) for _ in range(pick.choice((1, 1, 1, 2, 3)))]
            path = f"/api/v1/{quote(call)}"
            way = pick.randrange(3)
            if way == 0:
                answer = await self.ask("GET", f"{path}?{urlencode(given)}")
            elif way == 1:
                answer = await self.ask("POST", path, urlencode(given).encode())
            else:
                answer = await self.ask("POST", path, json.dumps(dict(given)).encode())
            self.assertIn(answer.status, (200, 400, 404), (call, given, answer.body))
            if answer.status == 400:
                named = [name for name, _ in given if name in answer.error]
                self.assertTrue(named, (call, given, answer.error))

    async def test_no_message_has_such_an_id(self) -> None:
        self.start()
        await self.write(log("a", BASE))
        for moment in EXTREMES:
            for kind in ("event", "log"):
                for number in EXTREMES:
                    made_up = Position(moment, kind, number).encode()
                    for path in (made_up, f"{made_up}/context"):
                        answer = await self.get(f"messages/{path}")
                        self.assertEqual(answer.status, 404, (moment, kind, number))

    async def test_nothing_has_a_nul_in_its_name(self) -> None:
        self.start()
        for path in ("jobs/a%00b/5", "jobs/alex/5%00", "nodes/a%00b/x", "nodes/alex/x%00", "values/tag.%00"):
            answer = await self.ask("GET", f"/api/v1/{path}")
            self.assertEqual((answer.status, answer.error), (404, "there is nothing with a NUL in its name"))

    async def test_no_body_is_too_strange(self) -> None:
        self.start()
        for body in (
            b"{",
            b"[]",
            b"{}x",
            b'{"limit":' + b"[" * 100_000,
            b'{"limit":' + b"[" * 900 + b"]" * 900 + b"}",
            b'{"limit":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
            b'{"limit":' + b"9" * 100_000 + b"}",
            b'{"limit":1e999}',
            b'{"limit":NaN}',
            b'{"text":"\\ud800"}',
            b'{"\\ud800":1}',
            b'{"text":"\\u0000"}',
            b'{"limit":{}}',
            b'{"limit":[[1]]}',
            b"\xff",
            b"text=%ff",
            b"a&b&c",
            b"=",
        ):
            for call in ("messages", "histogram", "tail"):
                answer = await self.ask("POST", f"/api/v1/{call}", body)
                self.assertEqual(answer.status, 400, (call, body[:40], answer.body[:100]))


class OthersDoNotWaitTests(MessagesTestCase):
    """The longest time in which nothing else happened while something large was asked."""

    async def held_up(self, question: Any) -> tuple[Any, float]:
        ticks = [time.thread_time()]
        clock = LoopingCall(lambda: ticks.append(time.thread_time()))
        clock.start(0.001)
        try:
            answer = await question
        finally:
            clock.stop()
            ticks.append(time.thread_time())
        # Of this thread alone: what else the machine does is no matter.
        return answer, max(after - before for before, after in pairwise(ticks))

    async def test_by_large_questions(self) -> None:
        self.start()
        await self.write(*[log(f"{place}", BASE + place, hostname=f"a{place}") for place in range(50)])
        many = [f"b{place}x" for place in range(1000)]
        for what, given in {
            "a long host list": {"host": "a[0-99999]"},
            "many host lists": {"host": [f"a[0-{99_000 + place}]" for place in range(1000)]},
            "the same host list": {"host": ["a[0-99998]"] * 1000},
            "a host list and a pattern": {"host": ["a[0-99998]", "b*"]},
            "many patterns": {"host": [f"{each}*" for each in many]},
            "many values": {"tag.x": many},
            "many expressions": {"regex": [f"({each}|x{{50}})+" for each in many]},
            "an expression": {"regex": "(((a{20}){20}){20})"},
            "many expressions that take much": {"regex": [f"{each}(x{{900}})" for each in many]},
            "unknown names": {f"{each}": "1" for each in many},
            "a long name": {"hots" * 200_000: "1"},
            "a tail of many hosts": {"host": "a[0-99999]", "limit": "x"},
            "a long text": {"text": "x" * 900_000},
            "a long pattern": {"host": "x*" * 400_000},
            "a long number": {"limit": "9" * 900_000},
            "a long duration": {"from": "-" + "1h" * 400_000},
            "many labels": {"by": ",".join(["host"] * 100_000)},
        }.items():
            for call in ("histogram",) if "by" in given else ("messages", "histogram"):
                asked = self.ask("POST", f"/api/v1/{call}", json.dumps(given).encode())
                answer, seconds = await self.held_up(asked)
                self.assertIn(answer.status, (200, 400), (what, answer.body[:200]))
                self.assertLess(len(answer.body), 30_000, what)
                self.assertLess(seconds, _LONGEST, what)

    async def test_by_large_answers(self) -> None:
        """Of many groups, values and streams, and names that are like what was meant."""
        backend = ToldBackend()
        self.start(backend=backend)
        names = [f"a{number:06}" for number in range(100_000)]
        wide = [
            Count(
                (names[place // 2], *("x" * (len(STREAM_LABELS) - 1))),
                BASE // 10**9 * 10**9 + place % 2 * 10**9,
                1,
                BASE,
                BASE,
            )
            for place in range(200_000)
        ]
        narrow = [count._replace(by=count.by[:1]) for count in wide]
        tags = [
            count._replace(by=(json.dumps({"x": name}),)) for count, name in zip(wide, names, strict=False)
        ]

        shown = {}
        for top in (1, 1000):
            steps = [
                count._replace(by=(names[place % top],), start=(BASE // 10**9 + place // top) * 10**9)
                for place, count in enumerate(wide[: 10_000 * top])
            ]
            rest = [count._replace(by=()) for count in steps[::top]]
            shown[top] = Counts(steps, rest=rest, others=100_000 - top)

        def answer(question: Any, timeout: float) -> Deferred[Any]:
            if isinstance(question, KnownValues):
                return succeed(names)
            assert isinstance(question, CountsQuestion)
            # The daemon itself asks by two labels who sends.
            if question.counting.selection.clusters or len(question.counting.by) == 2:
                return succeed(Counts([]))
            width, top = len(question.counting.by), question.counting.top
            if top is not None:
                return succeed(shown[top])
            return succeed(
                Counts(tags if question.counting.by == (ALL_TAGS,) else narrow if width == 1 else wide)
            )

        backend.answer = answer
        for path in (
            "histogram?by=host&top=1000",
            "histogram?by=host&top=1",
            "values/host?limit=100000",
            "streams?limit=100000",
            "labels",
            "histogram?cluster=b000001",
        ):
            begin, seconds = await self.held_up(self.received(path))
            self.assertIn(b" 200 OK", begin)
            self.assertLess(seconds, _LONGEST, path)

    async def received(self, path: str) -> bytes:
        """How an answer begins: to look at what is in it would take longer than to make it."""
        client = await self.connect("REST")
        client.transport.write(b"GET /api/v1/%b HTTP/1.0\r\n\r\n" % path.encode())
        await client.closed
        return client.received[:20]
