"""Messages, one message, and what stands around it, below /api/v1."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from typing import Any
from urllib.parse import quote, urlencode

from ccstore.api.formats import writer
from ccstore.query import Page, Row
from tests.support.api_case import Answer, ApiTestCase
from tests.support.sinks import event

BASE = int(time.time()) * 10**9 - 60 * 10**9


def log(text: str, at: int, **tags: str) -> bytes:
    """A log as a line."""
    named = {"cluster": "alex", "hostname": "a0101", **{key.replace("_", "-"): tags[key] for key in tags}}
    labels = ",".join(f"{key}={value}" for key, value in named.items() if value)
    return f'syslog,{labels} log="{text}" {at}'.encode()


class MessagesTestCase(ApiTestCase):
    """Asks for messages."""

    async def get(self, call: str, **given: Any) -> Answer:
        """Ask by URL; a name may end in ``_not`` for ``!``, and has ``-`` where it has ``_``."""
        pairs = [
            (_name(name), each)
            for name, value in given.items()
            for each in (value if isinstance(value, list) else [value])
        ]
        return await self.ask("GET", f"/api/v1/{call}?{urlencode(pairs)}")

    async def found(self, call: str = "messages", **given: Any) -> list[str]:
        """The texts that are found."""
        answer = await self.get(call, **given)
        self.assertEqual(answer.status, 200, answer.body)
        return [message["text"] for message in answer.json["messages"]]


def _name(name: str) -> str:
    return name.replace("_not", "!").replace("tag_", "tag.").replace("_", "-")


class SelectingTests(MessagesTestCase):
    """Which messages are found."""

    async def fill(self) -> None:
        self.start()
        lines = [
            log("Disk full", BASE, loglevel="err"),
            log("disk ok", BASE + 1, loglevel="info", hostname="a0102"),
            log("50% of disk", BASE + 2, hostname="a0111", cluster="fritz"),
            log("link up", BASE + 3, hostname="", type="hwthread", type_id="7"),
            event("started", host="a0101", time=BASE + 4),
            event("Stopped", host="b1", time=BASE + 5),
        ]
        self.assertEqual((await self.write(*lines)).status, 200)

    async def test_by_labels(self) -> None:
        """Any of the values of each, patterns, host lists, and what they are not."""
        await self.fill()
        for given, expected in (
            ({}, ["Stopped", "started", "link up", "50% of disk", "disk ok", "Disk full"]),
            ({"host": "a[0101-0102]"}, ["started", "disk ok", "Disk full"]),
            ({"host": ["a0102", "b*"]}, ["Stopped", "disk ok"]),
            ({"hostname": "a0101,a0111"}, ["started", "50% of disk", "Disk full"]),
            ({"host_not": "a*"}, ["Stopped", "link up"]),
            ({"host": ""}, ["link up"]),
            ({"cluster": "fritz"}, ["50% of disk"]),
            ({"cluster": ["fritz", "alex"], "kind": "event"}, ["Stopped", "started"]),
            ({"cluster": "fr*"}, ["50% of disk"]),
            ({"cluster_not": "alex"}, ["50% of disk"]),
            ({"kind_not": "log"}, ["Stopped", "started"]),
            ({"name": "job", "host_not": "b1"}, ["started"]),
            ({"type": "hwthread", "type_id": "7"}, ["link up"]),
            ({"tag_loglevel": ["err", "warn"]}, ["Disk full"]),
            ({"tag_loglevel_not": "err", "kind": "log", "cluster": "alex"}, ["link up", "disk ok"]),
            ({"tag_hostname": "b1"}, ["Stopped"]),
            ({"tag_loglevel": "*"}, ["Stopped", "started", "link up", "50% of disk", "disk ok", "Disk full"]),
        ):
            self.assertEqual(await self.found(**given), expected, given)

    async def test_by_text(self) -> None:
        """Words without regard to case, expressions with it; all of several."""
        await self.fill()
        for given, expected in (
            ({"text": "DISK"}, ["50% of disk", "disk ok", "Disk full"]),
            ({"text": ["disk", "o"]}, ["50% of disk", "disk ok"]),
            ({"text": "0%"}, ["50% of disk"]),
            ({"text_not": "disk"}, ["Stopped", "started", "link up"]),
            ({"regex": "^(D|S)"}, ["Stopped", "Disk full"]),
            ({"regex": "(?i)^s", "regex_not": "pp"}, ["started"]),
            ({"text": ""}, ["Stopped", "started", "link up", "50% of disk", "disk ok", "Disk full"]),
        ):
            self.assertEqual(await self.found(**given), expected, given)

    async def test_by_time(self) -> None:
        """The beginning belongs to it, the end does not."""
        await self.fill()
        self.assertEqual(await self.found(**{"from": BASE + 4}), ["Stopped", "started"])
        self.assertEqual(await self.found(**{"from": BASE + 1, "to": BASE + 2}), ["disk ok"])
        self.assertEqual(len(await self.found(**{"from": "-1h", "to": "now"})), 6)
        self.assertEqual(await self.found(**{"from": "-10s"}), [])

    async def test_each_kind_has_a_call_of_its_own(self) -> None:
        await self.fill()
        self.assertEqual(await self.found("events"), ["Stopped", "started"])
        self.assertEqual(len(await self.found("logs")), 4)
        self.assertEqual(await self.found("events", kind="log"), [])

    async def test_a_form_and_an_object_ask_as_a_url_does(self) -> None:
        await self.fill()
        for body in (
            b'{"host": ["a0101"], "kind!": "event", "limit": 5}',
            b"host=a0101&kind!=event&limit=5",
            b' {"host": "a0101", "tag.loglevel": ["err"]}\n',
        ):
            answer = await self.ask("POST", "/api/v1/messages/", body)
            self.assertEqual([each["text"] for each in answer.json["messages"]], ["Disk full"], body)

    async def test_a_mistake_is_named_with_what_would_be_right(self) -> None:
        self.start()
        for call, expected in (
            ("messages?hots=a", "'hots': there is no such parameter, did you mean host?"),
            ("messages?jobid=1", "tag.jobid"),
            ("messages?from=12:99", "from: expected a time: -2h (ago)"),
            ("messages?from=now&to=-1h", "from: expected a time before that of to, got 'now'"),
            ("messages?kind=metric", "kind: expected event or log, got 'metric'"),
            ("messages?host=a%5B1", "host: expected hosts such as a[0101-0103,0200]"),
            ("messages?regex=(", "regex: the regular expression '(' is wrong: missing ')'"),
            ("messages?limit=0", "limit: expected a whole number of at least 1, got '0'"),
            ("messages?limit=1&limit=2", "limit: expected one value, got 2"),
            ("messages?order=up", "order: expected newest or oldest, got 'up'"),
            ("messages?cursor=x", "cursor: 'x' is no cursor"),
            ("messages?format=xml", "format: expected json, ndjson, csv or lp, got 'xml'"),
            ("messages?end=1", "end: expected true or false, got '1'"),
            ("messages?text=%00", "text: expected Unicode without NUL"),
            ("messages?text=%FF", "a parameter: expected UTF-8"),
            ("messages?tag.=1", "'tag.': there is no such parameter"),
        ):
            answer = await self.ask("GET", f"/api/v1/{call}")
            self.assertEqual(answer.status, 400, call)
            self.assertIn(expected, answer.error)
        for body, expected in (
            (b"[1]", "the body: expected parameters as a form or as a JSON object"),
            (b'{"host": {"a": 1}}', "'host': expected a text, a number or a list of them"),
            (b"{", "expected a JSON object, got what is no JSON"),
            (b'{"text": "\\ud800"}', "text: expected Unicode"),
        ):
            answer = await self.ask("POST", "/api/v1/messages", body)
            self.assertEqual(answer.status, 400, body)
            self.assertIn(expected, answer.error)

    async def test_an_empty_answer_says_which_name_may_be_wrong(self) -> None:
        await self.fill()
        for given, notice in (
            ({"cluster": "alxe"}, "there is no cluster 'alxe', the nearest is 'alex'"),
            ({"host": "b[7-8]"}, "there is no host 'b7' (and 1 more), the nearest is 'b1'"),
            ({"name": "sylog"}, "there is no name 'sylog', the nearest is 'syslog'"),
            ({"host": "a0101", "text": "none such"}, None),
        ):
            answer = await self.get("messages", **given)
            self.assertEqual((answer.status, answer.json["notice"]), (200, notice), given)


class ShapeTests(MessagesTestCase):
    """What a message looks like in each format."""

    async def test_a_message_has_what_it_has(self) -> None:
        self.start()
        await self.write(
            b'job,cluster=alex,hostname=a1,type=node,jobid=7 event="a \\"b\\"\\n" %d' % (BASE + 123456789),
            f'sys,cluster=alex log="" {-1}'.encode(),
            path="/api/write/?precision=ns",
        )
        (first, second) = (await self.get("messages")).json["messages"]
        self.assertEqual(first.pop("time_ns"), str(BASE + 123456789))
        self.assertRegex(first.pop("time"), r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.123456789Z$")
        self.assertRegex(first.pop("id"), "^[A-Za-z0-9_-]+$")
        expected = {"cluster": "alex", "kind": "event", "name": "job", "hostname": "a1", "type": "node"}
        self.assertEqual(first, {**expected, "tags": {"jobid": "7"}, "text": 'a "b"\n'})
        self.assertEqual(second.pop("time"), "1969-12-31T23:59:59.999999999Z")
        self.assertEqual({*second}, {"id", "time_ns", "cluster", "kind", "name", "text"})

    async def test_line_protocol_makes_the_same_messages_again(self) -> None:
        self.start()
        lines = [
            f'na\\ me,cluster=alex,hostname=a1,x=\\,\\= event="tab\\t \\"q\\" \\\\ é\\nnew" {BASE}'.encode(),
            log("plain", BASE + 1, stype="gpu", stype_id="0"),
        ]
        await self.write(*lines)
        sent = (await self.get("messages", format="lp", order="oldest")).body
        before = (await self.get("messages")).json["messages"]
        self.start()
        self.assertEqual((await self.write(sent, path="/api/write/?precision=ns")).status, 200)
        self.assertEqual((await self.get("messages")).json["messages"], before)

    def test_what_line_protocol_cannot_carry_is_said(self) -> None:
        """As a comment, over which whoever reads the lines goes."""
        streams = {1: ("alex", "log", "#x", None, None, None, None, None)}
        rows = [Row(BASE, "log", 1, 1, "text", None)]
        (line,) = writer("lp").lines(Page(rows, streams=streams))
        self.assertRegex(line, r"^# left out \S+: the name '#x' would read as a comment\n$")

    async def test_csv_is_what_a_csv_reader_reads(self) -> None:
        self.start()
        await self.write(log('=1+1\\n\\"x\\", y', BASE, jobid="7"))
        for is_safe, text in (("false", '=1+1\n"x", y'), ("true", '\'=1+1\n"x", y')):
            answer = await self.get("messages", format="csv", spreadsheet=is_safe)
            (row,) = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
            self.assertEqual((row["text"], row["hostname"], row["type"]), (text, "a0101", ""))
            self.assertEqual(json.loads(row["tags"]), {"jobid": "7"})
            self.assertEqual(row["time_ns"], str(BASE))

    async def test_the_header_accept_asks_for_a_format(self) -> None:
        self.start()
        await self.write(event("a"))
        for accept, kind in (
            ("application/x-ndjson", "application/x-ndjson; charset=utf-8"),
            ("text/csv;q=1, */*", "text/csv; charset=utf-8; header=present"),
            ("text/html, */*", "application/json"),
        ):
            answer = await self.ask("GET", "/api/v1/messages", accept=accept)
            self.assertEqual(answer.header("content-type"), kind)

    async def test_an_export_is_packed_where_that_is_understood(self) -> None:
        self.start()
        await self.write(*[log(f"text {place}", BASE + place) for place in range(2000)])
        plain = (await self.get("messages", format="ndjson")).body
        for accepted, coding in (("gzip", "gzip"), ("br, *;q=0.5", "gzip"), ("gzip;q=0", None), ("br", None)):
            client = await self.connect("REST")
            client.transport.write(
                b"GET /api/v1/messages?format=ndjson HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Accept-Encoding: %b\r\n\r\n" % accepted.encode()
            )
            await client.closed
            head, _, body = client.received.partition(b"\r\n\r\n")
            self.assertEqual(b"content-encoding: gzip" in head.lower(), coding == "gzip", accepted)
            content = unchunked(body)
            self.assertEqual(gzip.decompress(content) if coding else content, plain)


def unchunked(body: bytes) -> bytes:
    """A body without the sizes of its chunks."""
    content = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        content += rest[: int(size or b"0", 16)]
        body = rest[int(size or b"0", 16) + 2 :]
    return content


class PagingTests(MessagesTestCase):
    """Pages, exports, one message and its context lead through all, in one order."""

    async def test_pages_exports_and_context_have_the_same_order(self) -> None:
        """Hundreds of one nanosecond, and clocks that are off by a year."""
        self.start()
        year = 365 * 86400 * 10**9
        stamps = [BASE] * 150 + [BASE + year, BASE - year // 365, BASE + 1, BASE - 1]
        await self.write(
            *[log(f"l{place}", at) for place, at in enumerate(stamps)],
            *[event(f"e{place}", time=at) for place, at in enumerate(stamps)],
            path="/api/write/?precision=ns",
        )
        orders = {}
        for order in ("newest", "oldest"):
            paged: list[Any] = []
            cursor: dict[str, str] = {}
            while True:
                answer = (await self.get("messages", order=order, limit=37, **cursor)).json
                paged += answer["messages"]
                if answer["cursor"] is None:
                    self.assertIsNone(answer["cut"])
                    break
                self.assertIn("the limit is 37 messages", answer["cut"])
                cursor = {"cursor": answer["cursor"]}
            ids = orders[order] = [message["id"] for message in paged]
            self.assertEqual(len(set(ids)), len(ids))
            exported = (await self.get("messages", order=order, format="ndjson", end="true")).body
            *lines, end = map(json.loads, exported.splitlines())
            self.assertEqual(lines, paged)
            self.assertEqual(end, {"end": {"messages": len(ids)}})
        self.assertEqual(orders["newest"], orders["oldest"][::-1])
        self.assertEqual(len(orders["oldest"]), 2 * len(stamps) - 1)  # an event had expired
        oldest = orders["oldest"]
        for place in (0, 1, 5, 160, len(oldest) - 1):
            around = (await self.get(f"messages/{oldest[place]}/context", before=3, after=4)).json
            begin = max(0, place - 3)
            self.assertEqual([each["id"] for each in around["messages"]], oldest[begin : place + 5])
            self.assertEqual(around["place"], place - begin)
            self.assertEqual(around["is_first"], place <= 3)
            self.assertEqual(around["is_last"], place >= len(oldest) - 5)
            one = (await self.get(f"messages/{oldest[place]}")).json
            self.assertEqual(one, around["messages"][around["place"]])

    async def test_context_may_be_of_the_same_host(self) -> None:
        self.start()
        await self.write(*[log(f"{place}", BASE + place, hostname=f"a{place % 2}") for place in range(6)])
        number = (await self.get("messages", text="3")).json["messages"][0]["id"]
        for given, expected in (
            ({"same": "host"}, ["1", "3", "5"]),
            ({"same": "host,name", "before": 0}, ["3", "5"]),
            ({"host": "a0", "before": 1}, ["2", "3", "4"]),
        ):
            answer = (await self.get(f"messages/{number}/context", **given)).json
            self.assertEqual([each["text"] for each in answer["messages"]], expected, given)

    async def test_what_is_not_there_is_not_found(self) -> None:
        self.start()
        await self.write(event("a", time=BASE))
        number = (await self.get("messages")).json["messages"][0]["id"]
        other = number[:-1] + ("A" if number[-1] != "A" else "B")
        for path in ("x", other, quote("ä"), f"{other}/context"):
            self.assertEqual((await self.get(f"messages/{path}")).status, 404, path)

    async def test_a_limit_ends_an_export(self) -> None:
        self.start()
        await self.write(*[log(f"{place}", BASE + place) for place in range(1200)])
        for limit in (1, 499, 501, 1199, 1200, 5000):
            answer = await self.get("messages", format="ndjson", limit=limit)
            self.assertEqual(len(answer.body.splitlines()), min(limit, 1200))

    async def test_no_answer_has_more_than_it_may_and_says_so(self) -> None:
        self.start(max_rows=3)
        await self.write(*[event(f"{place}", time=BASE + place) for place in range(5)])
        answer = (await self.get("messages", limit=4)).json
        self.assertEqual([each["text"] for each in answer["messages"]], ["4", "3", "2"])
        self.assertIn("the most that an answer may have is 3 messages", answer["cut"])
        rest = await self.found(cursor=answer["cursor"])
        self.assertEqual(rest, ["1", "0"])


class AccessTests(MessagesTestCase):
    async def test_it_takes_a_token_where_one_is_needed(self) -> None:
        self.start(jwt_public_key="kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0=")
        for path in ("messages", "clusters", "tail", "none/such"):
            self.assertEqual((await self.ask("GET", f"/api/v1/{path}")).status, 401, path)

    async def test_what_is_not_there_is_said_in_json(self) -> None:
        self.start()
        answer = await self.ask("GET", "/api/v1/none")
        self.assertEqual((answer.status, answer.error), (404, "nothing here, / shows what there is"))
        answer = await self.ask("DELETE", "/api/v1/messages")
        self.assertEqual((answer.status, answer.header("allow")), (405, "GET, HEAD, POST"))


class PlacesTests(MessagesTestCase):
    async def test_so_many_exports_at_a_time_and_no_more(self) -> None:
        """Whoever comes too many is told when to come again; pages are answered all the same."""
        self.start(max_exports=2)
        for _ in range(4):
            await self.write(*[log("x" * 4000, BASE + place) for place in range(2000)])
        clients = []
        for _ in range(2):
            client = await self.connect("REST")
            client.transport.write(b"GET /api/v1/messages?format=ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await client.until(b"\r\n\r\n")
            client.transport.pauseProducing()
            clients.append(client)
        for format in ("ndjson", "csv", "lp"):
            answer = await self.get("messages", format=format)
            self.assertEqual(answer.status, 503)
            self.assertIn("there are 2 exports already", answer.error)
            self.assertGreater(int(answer.header("retry-after") or "0"), 0)
        self.assertEqual((await self.get("messages", limit=1)).status, 200)
        for client in clients:
            client.transport.abortConnection()
            await client.closed
        while (await self.get("messages", format="ndjson", limit=1)).status != 200:
            pass  # the daemon learns in time that the clients have gone
