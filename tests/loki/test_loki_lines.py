"""Lines as Grafana's data source asks for them."""

from __future__ import annotations

import json
import time
from urllib.parse import quote, urlencode

from tests.support.loki_case import BASE, SECOND, LokiTestCase, line

FLAGS = "categorize-labels"


class LineTests(LokiTestCase):
    """Calls of ``query_range`` for lines."""

    async def some(self) -> None:
        self.start()
        await self.fill(
            line("disk full", 0, loglevel="err", job_id="7"),
            line('{"status": 500, "took": "3ms"}', SECOND + 5, hostname="a02", type="node", type_id="1"),
            line("disk ok", 2 * SECOND, cluster="fritz"),
            line("started", 3 * SECOND, name="job", kind="event"),
        )

    async def test_lines_by_streams(self) -> None:
        """Without flags, a line has two members, and all labels are the stream's."""
        await self.some()
        answer = await self.get("query_range", query='{cluster="alex"} |= "disk"')
        self.assertEqual(answer.header("content-type"), "application/json")
        data = answer.json["data"]
        self.assertEqual([*answer.json], ["status", "data"])
        self.assertEqual([*data], ["resultType", "result", "stats"])
        self.assertEqual(
            data["result"],
            [
                {
                    "stream": {
                        **{"cluster": "alex", "detected_level": "error", "hostname": "a01", "job_id": "7"},
                        **{"kind": "log", "level": "err", "loglevel": "err"},
                        **{"name": "syslog", "service_name": "syslog"},
                    },
                    "values": [[str(BASE), "disk full"]],
                }
            ],
        )

    async def test_every_line_has_three_members_if_that_is_asked(self) -> None:
        """The order of the members is that which Grafana's reader needs."""
        await self.some()
        path = "/loki/api/v1/query_range?" + urlencode({"query": '{cluster="alex"} | json'})
        answer = await self.ask("GET", path, X_Loki_Response_Encoding_Flags=FLAGS)
        data = answer.json["data"]
        self.assertEqual([*data], ["resultType", "encodingFlags", "result", "stats"])
        self.assertEqual(data["encodingFlags"], [FLAGS])
        self.assertEqual(
            {stream["stream"]["hostname"]: stream["values"] for stream in data["result"][1:]},
            {
                "a02": [
                    [
                        str(BASE + SECOND + 5),
                        '{"status": 500, "took": "3ms"}',
                        {
                            "structuredMetadata": {"detected_level": "unknown"},
                            "parsed": {"status": "500", "took": "3ms"},
                        },
                    ]
                ],
                "a01": [
                    [
                        str(BASE),
                        "disk full",
                        {
                            "structuredMetadata": {
                                **{"detected_level": "error", "job_id": "7", "level": "err"},
                                "loglevel": "err",
                            },
                            "parsed": {
                                "__error__": "JSONParserErr",
                                "__error_details__": "Expecting value: line 1 column 1 (char 0)",
                            },
                        },
                    ]
                ],
            },
        )
        for stream in data["result"]:
            self.assertTrue(all(len(value) == 3 for value in stream["values"]))

    async def test_by_labels_and_stages(self) -> None:
        await self.some()
        for query, expected in (
            ('{cluster=~".+"}', ["started", "disk ok", '{"status": 500, "took": "3ms"}', "disk full"]),
            ('{cluster="alex", kind="event"}', ["started"]),
            ('{service_name="job"}', ["started"]),
            ('{host="a02"}', ['{"status": 500, "took": "3ms"}']),
            ('{type_id="1"}', ['{"status": 500, "took": "3ms"}']),
            ('{cluster!="alex", name="syslog"}', ["disk ok"]),
            ('{name="syslog"} | job_id="7"', ["disk full"]),
            ('{job_id="7"}', ["disk full"]),
            ('{name="syslog"} | detected_level="error"', ["disk full"]),
            ('{name="syslog"} | level=~"err.*"', ["disk full"]),
            ('{name="syslog"} | json | status>=500 and took<5ms', ['{"status": 500, "took": "3ms"}']),
            ('{name="syslog"} | json | __error__="" | line_format "{{.status}}"', ["500"]),
            ('{name="syslog"} |~ "(?i)DISK" != "ok"', ["disk full"]),
            ('{name="nobody"}', []),
        ):
            self.assertEqual(await self.lines(query), expected, query)

    async def test_times_directions_and_limits(self) -> None:
        """The beginning belongs to it, the end does not, and numbers are seconds or nanoseconds."""
        await self.some()
        query = '{cluster="alex"}'
        seconds = BASE // SECOND
        for given, expected in (
            ({"start": BASE, "end": BASE + 3 * SECOND}, 2),
            ({"start": seconds, "end": seconds + 3}, 2),
            ({"start": f"{seconds}.5", "end": f"{seconds + 3}.5"}, 2),
            ({"start": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds + 1))}, 2),
            ({"end": BASE + 1, "since": "1s"}, 1),
            ({"since": "1m"}, 0),
            ({}, 3),
        ):
            self.assertEqual(len(await self.lines(query, **given)), expected, given)
        data = await self.data("query_range", query=query, limit=1, direction="FORWARD")
        self.assertEqual(data["result"][0]["values"], [[str(BASE), "disk full"]])
        data = await self.data("query_range", query=query, limit=1)
        self.assertEqual(data["result"][0]["values"][0][1], "started")

    async def test_lines_that_are_close_are_left_out_if_that_is_asked(self) -> None:
        self.start()
        await self.fill(*(line(str(second), second * SECOND) for second in range(10)))
        query = '{cluster="alex"}'
        self.assertEqual(await self.lines(query, interval="4s"), ["9", "5", "1"])
        self.assertEqual(await self.lines(query, interval="4", direction="forward"), ["8", "4", "0"])
        self.assertEqual(await self.lines(query, interval="4s", limit=2), ["9", "5"])
        self.assertEqual(len(await self.lines(query, interval="0s")), 10)
        answer = await self.get("query_range", query=query, interval="x")
        self.assertEqual(answer.status, 400)

    async def test_a_form_asks_as_a_url_does(self) -> None:
        await self.some()
        body = urlencode({"query": '{cluster="alex"} |= "disk"', "limit": 10}).encode()
        answer = await self.ask(
            "POST", "/loki/api/v1/query_range", body, Content_Type="application/x-www-form-urlencoded"
        )
        self.assertEqual(answer.json["data"]["result"][0]["values"][0][1], "disk full")

    async def test_mistakes_are_lines_of_text(self) -> None:
        self.start(max_rows=50)
        for call, status, said in (
            ("query_range", 400, "query: it is needed, and not there"),
            ("query_range?query={a=}", 400, "parse error at line 1, col 4: expected a string, got '}'"),
            ("query_range?query={}", 400, "the selector needs a condition"),
            ('query_range?query={a="b"}&limit=51', 400, "limit: expected a whole number from 1 to 50"),
            ('query_range?query={a="b"}&start=x', 400, "start: expected a time"),
            ('query_range?query={a="b"}&start=2&end=1', 400, "end: expected a time behind"),
            ('query_range?query={a="b"}&direction=up', 400, "direction: expected backward or forward"),
            ("query_range?query=rate({a=%22b%22}[1m])&step=0", 400, "step: expected seconds or a duration"),
            ("query_range?query=1&start=1&end=20000&step=1", 400, "step: expected at most 11000 points"),
            ('query?query={a="b"}', 400, "a query for lines has no single moment"),
            ("nothing", 404, "'nothing' is not there"),
            ("x/y/z", 404, "'x/y/z' is not there"),
            ("query_range?query=%FF", 400, "UTF-8"),
        ):
            answer = await self.ask("GET", "/loki/api/v1/" + quote(call, safe="/?&=%"))
            self.assertEqual(answer.status, status, call)
            self.assertEqual(answer.header("content-type"), "text/plain; charset=utf-8")
            self.assertIn(said, answer.body.decode())
            self.assertEqual(answer.body.count(b"\n"), 1)

    async def test_what_is_cut_is_said(self) -> None:
        """A condition that only Python knows looks at rows one by one, and at so many of them."""
        await self.some()
        answer = await self.get("query_range", query='{cluster="alex"} | json | nothing="x"')
        self.assertNotIn("warnings", answer.json)
        self.assertEqual(answer.json["data"]["stats"]["summary"]["totalLinesProcessed"], 3)


class LabelTests(LokiTestCase):
    """Labels, values and streams."""

    async def some(self) -> None:
        self.start()
        await self.fill(
            line("one", 0, loglevel="err", jobid="7"),
            line("two", SECOND, hostname="a02"),
            line("three", 2 * SECOND, cluster="fritz", hostname="f1", job_id="8"),
        )

    async def test_labels_and_values(self) -> None:
        await self.some()
        names = ["cluster", "hostname", "kind", "name", "service_name"]
        for call in ("labels", "label"):
            self.assertEqual(await self.data(call), names)
        self.assertEqual(await self.data("labels", start=BASE + 10 * SECOND), [])
        for label, given, expected in (
            ("hostname", {}, ["a01", "a02", "f1"]),
            ("hostname", {"query": '{cluster="alex"}'}, ["a01", "a02"]),
            ("hostname", {"query": '{cluster="alex"} |= "two"'}, ["a02"]),
            ("hostname", {"start": BASE + SECOND, "end": BASE + 2 * SECOND}, ["a02"]),
            ("service_name", {}, ["syslog"]),
            ("jobid", {}, ["7"]),
            ("job_id", {}, ["8"]),
            ("detected_level", {}, ["error", "unknown"]),
            ("nothing", {}, []),
        ):
            self.assertEqual(await self.data(f"label/{label}/values", **given), expected, (label, given))

    async def test_streams(self) -> None:
        """By ``match[]``, as Grafana has it, and by logcli's ``match``."""
        await self.some()
        for name in ("match[]", "match"):
            found = await self.data("series", (name, '{hostname="a02"}'), (name, '{cluster="fritz"}'))
            self.assertEqual([each["hostname"] for each in found], ["a02", "f1"])
        self.assertEqual(len(await self.data("series")), 3)
        self.assertEqual(
            (await self.data("series", ("match[]", '{hostname="f1"}')))[0],
            {
                **{"cluster": "fritz", "hostname": "f1", "kind": "log"},
                **{"name": "syslog", "service_name": "syslog"},
            },
        )

    async def test_how_much_there_is(self) -> None:
        await self.some()
        stats = await self.get("index/stats", query='{cluster="alex"}')
        self.assertEqual(stats.json, {"streams": 2, "chunks": 2, "bytes": 6, "entries": 2})
        data = await self.data("index/volume", query='{cluster=~".+"}', start=BASE - SECOND)
        self.assertEqual(data["resultType"], "vector")
        volumes = [(each["metric"], each["value"][1]) for each in data["result"]]
        self.assertEqual(volumes, [({"cluster": "alex"}, "6"), ({"cluster": "fritz"}, "5")])
        answer = await self.get("index/volume", query="{}", targetLabels="hostname", limit=2)
        self.assertEqual(
            answer.json["warnings"], ["the answer is cut: there are 3 series, and the limit is 2"]
        )
        self.assertEqual(len(answer.json["data"]["result"]), 2)
        data = await self.data("index/volume", query='{cluster="alex"}', aggregateBy="labels")
        self.assertEqual([each["metric"] for each in data["result"]], [{"cluster": ""}])
        data = await self.data(
            "index/volume_range", query='{cluster="alex"}', start=BASE, end=BASE + 3 * SECOND, step="1s"
        )
        self.assertEqual(
            [[at - BASE // SECOND, size] for at, size in data["result"][0]["values"]], [[0, "3"], [1, "3"]]
        )
        # What comes behind the end does not belong to it, whatever the step is.
        data = await self.data(
            "index/volume_range", query='{cluster="alex"}', start=BASE, end=BASE + SECOND, step="5s"
        )
        self.assertEqual(data["result"][0]["values"], [[BASE // SECOND, "3"]])

    async def test_an_unknown_name_is_warned_of(self) -> None:
        await self.some()
        for call, given in (
            ("query_range", {"query": '{cluster="alxe"}'}),
            ("query_range", {"query": 'sum(rate({cluster="alxe"}[5m]))'}),
            ("query", {"query": 'count_over_time({cluster="alxe"} | json [5m])'}),
            ("index/volume", {"query": '{cluster="alxe"}'}),
            ("series", {"match[]": '{cluster="alxe"}'}),
        ):
            answer = await self.get(call, **given)
            expected = ["there is no cluster 'alxe', the nearest is 'alex'"]
            self.assertEqual(answer.json.get("warnings"), expected, (call, given))
        answer = await self.get("query_range", query='{hostname="a3"}')
        self.assertIn("there is no host 'a3'", answer.json["warnings"][0])
        answer = await self.get("query_range", query='{hostname="a01"} |= "no such text"')
        self.assertNotIn("warnings", answer.json)

    async def test_how_many_lines_were_counted_is_told(self) -> None:
        await self.some()
        data = await self.data("query", query='count_over_time({cluster="alex"}[1h])')
        self.assertEqual(data["stats"]["summary"]["totalLinesProcessed"], 2)
        data = await self.data("query_range", query='{cluster="alex"}')
        summary = data["stats"]["summary"]
        self.assertEqual((summary["totalLinesProcessed"], summary["totalBytesProcessed"]), (2, 6))

    async def test_volumes_go_by_the_lines_of_each_value(self) -> None:
        self.start()
        long, short = "x" * 200, "y" * 10
        await self.fill(
            *(line(short, number, hostname="b", level="warn") for number in range(300)),
            *(line(long, SECOND + number, hostname="a", level="info") for number in range(1100)),
        )
        for label, large, small in (("hostname", "a", "b"), ("level", "info", "warn")):
            data = await self.data("index/volume", query='{cluster="alex"}', targetLabels=label)
            sizes = {each["metric"][label]: each["value"][1] for each in data["result"]}
            self.assertEqual(sizes, {large: "220000", small: "3000"})
        stats = await self.get("index/stats", query='{cluster="alex"}')
        self.assertEqual(stats.json["bytes"], 223_000)

    async def test_what_is_detected(self) -> None:
        await self.some()
        await self.fill(line('{"a": 1, "cluster": "x"}', 3 * SECOND), line("took=3ms size=5KB", 4 * SECOND))
        found = (await self.get("detected_labels")).json["detectedLabels"]
        self.assertIn({"label": "hostname", "cardinality": 3}, found)
        fields = (await self.get("detected_fields", query='{cluster=~".+"}')).json["fields"]
        known = {field["label"]: (field["type"], field["parsers"]) for field in fields}
        self.assertEqual(known["a"], ("int", ["json"]))
        self.assertEqual(known["cluster_extracted"], ("string", ["json"]))
        self.assertEqual((known["took"], known["size"]), (("duration", ["logfmt"]), ("bytes", ["logfmt"])))
        self.assertEqual(known["jobid"], ("int", None))
        values = (await self.get("detected_field/took/values", query='{cluster="alex"}')).json
        self.assertEqual(values["values"], ["3ms"])


class FixedTests(LokiTestCase):
    """What is the same for everybody."""

    async def test_what_grafana_asks_before_it_begins(self) -> None:
        self.start()
        data = await self.data("query", query="vector(1)+vector(1)", time=1)
        self.assertEqual(data["result"], [{"metric": {}, "value": [1, "2"]}])
        self.assertIn("version", (await self.get("status/buildinfo")).json)
        limits = (await self.get("drilldown-limits")).json
        self.assertIs(limits["limits"]["volume_enabled"], True)
        self.assertEqual((await self.get("rules")).json, {})
        for path, expected in (("rules", {"groups": []}), ("alerts", {"alerts": []})):
            answer = await self.ask("GET", f"/prometheus/api/v1/{path}")
            self.assertEqual(answer.json, {"status": "success", "data": expected})
        self.assertEqual(await self.data("patterns", query='{cluster="alex"}'), [])
        self.assertEqual(await self.data("format_query", query='{a="b"}|json'), '{a="b"} | json')

    async def test_patterns_find_the_lines_they_are_of(self) -> None:
        self.start()
        await self.fill(
            *(line(f"a01: retry {second} of 10.1.2.{second}:80", second * SECOND) for second in range(4)),
            line('{"jobId": 1, "hosts": ["a01", "a02"]}', 9 * SECOND),
        )
        found = await self.data("patterns", query='{cluster="alex"}', step="2s")
        first, second = found
        self.assertEqual(first["pattern"], "<_>: retry <_> of <_>")
        # Where the steps begin is up to the clock.
        self.assertEqual(sum(count for _, count in first["samples"]), 4)
        self.assertIn(len(first["samples"]), (2, 3))
        self.assertEqual(second["pattern"], '<_>"jobId":<_>"hosts":<_>')
        for pattern, expected in ((first["pattern"], 4), (second["pattern"], 1)):
            lines = await self.lines(f'{{cluster="alex"}} |> `{pattern}`')
            self.assertEqual(len(lines), expected)
        only = await self.data("patterns", query='{cluster="alex"} |= "jobId"')
        self.assertEqual([each["pattern"] for each in only], [second["pattern"]])
        self.assertEqual((await self.get("patterns", query='{cluster="alex"} | json')).status, 400)

    async def test_an_answer_is_json_for_any_text(self) -> None:
        self.start()
        text = 'tab\\t "quoted" \\ \u00e4 \U0001f600'
        await self.fill(line(text, 0))
        answer = await self.get("query_range", query='{cluster="alex"}')
        self.assertEqual(json.loads(answer.body)["data"]["result"][0]["values"][0][1], text)
