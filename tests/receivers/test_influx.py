"""Writing as clients of InfluxDB do it."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import quote, urlencode

from twisted.internet.error import ConnectionLost

from ccstore.interfaces import StoreUnavailable
from tests.support.http_case import Answer, HttpTestCase, basic, head
from tests.support.sinks import event

#: A time in whole hours, in seconds.
HOUR = 1_700_002_800


class _InfluxTests(HttpTestCase):
    def write(self, body: bytes, path: str = "/write?db=telegraf", **headers: Any) -> Answer:
        return self.send(body, path=path, **headers)

    def check_success(self, answer: Answer) -> None:
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.body, b"")
        self.assertNotIn("content-length", answer.headers)
        self.assertNotIn("content-type", answer.headers)
        self.assertTrue(answer.headers["x-influxdb-version"].startswith("1.8"))


class WriteTests(_InfluxTests):
    """What becomes of lines."""

    def test_success_is_204(self) -> None:
        for path in (
            "/write?db=telegraf",
            "/write/?db=telegraf&rp=autogen&consistency=one",
            "/api/v2/write?org=hpc&bucket=telegraf",
            "/api/v2/write",
            "/api/v3/write_lp?db=telegraf",
        ):
            self.check_success(self.write(event("a"), path))
        self.assertEqual(self.sink.texts, ["a"] * 5)

    def test_the_connection_is_good_for_the_next_request(self) -> None:
        connection = self.connect()
        for number in range(3):
            body = event(str(number))
            connection.dataReceived(head(path="/write?db=x", length=len(body)) + body)
        self.assertEqual(self.wire.value().count(b"HTTP/1.1 204 "), 3)
        self.assertTrue(self.wire.value().endswith(b"\r\n\r\n"))

    def test_it_comes_when_all_is_committed(self) -> None:
        self.sink.holds = True
        body = event("a")
        self.connect().dataReceived(head(path="/write?db=x", length=len(body)) + body)
        self.assertEqual(self.wire.value(), b"")
        self.sink.commit()
        self.check_success(self.answer())

    def test_a_partial_write_of_version_1_and_3(self) -> None:
        self.sink.refuses = lambda message: "no cluster" if message.text == "b" else None
        body = event("a") + b"\nbad \xff\n\n" + event("b") + b"\r\n" + event("c")
        for path in ("/write?db=x", "/api/v3/write_lp?db=x"):
            answer = self.write(body, path)
            self.assertEqual(answer.status, 400)
            given = json.loads(answer.body)
            self.assertEqual(set(given), {"error", "data"})
            self.assertTrue(
                given["error"].startswith("partial write: 2 of 4 lines are bad, the first is line 2")
            )
            self.assertEqual(answer.headers["x-influxdb-error"], given["error"].replace("\ufffd", "\\ufffd"))
            self.assertEqual(
                [(each["line_number"], each["original_line"]) for each in given["data"]],
                [(2, "bad \ufffd"), (4, event("b").decode())],
            )
            self.assertEqual(given["data"][1]["error_message"], "no cluster")
        self.assertEqual(self.receiver.account.stored, 4)

    def test_a_partial_write_of_version_2(self) -> None:
        answer = self.write(event("a") + b"\nbad\n", "/api/v2/write?bucket=x")
        given = json.loads(answer.body)
        self.assertEqual((answer.status, given["code"], given["line"]), (400, "invalid", 2))
        self.assertTrue(given["message"].startswith("partial write: 1 of 2 lines are bad"))
        self.assertEqual(self.sink.texts, ["a"])

    def test_the_header_has_one_line_of_ascii_whatever_the_error_has(self) -> None:
        answer = self.write("mä=\u2028 event=\n".encode() * 2)
        self.assertTrue(answer.headers["x-influxdb-error"].isascii())
        self.assertLess(len(answer.headers["x-influxdb-error"]), 600)

    def test_a_hundred_bad_lines_are_listed(self) -> None:
        given = json.loads(self.write(b"bad\n" * 500).body)
        self.assertEqual(len(given["data"]), 100)
        self.assertTrue(given["error"].startswith("partial write: 500 of 500"))

    def test_what_may_pass_is_503_with_retry_after_and_no_text_for_which_telegraf_drops_a_batch(self) -> None:
        self.sink.failure = StoreUnavailable("database or disk is full")
        for path in ("/write?db=x", "/api/v2/write?bucket=x", "/api/v3/write_lp?db=x"):
            answer = self.write(event("a"), path)
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
            given = json.loads(answer.body)
            text = given["message"] if "v2" in path else given["error"]
            self.assertEqual(given.get("code"), "unavailable" if "v2" in path else None)
            self.assertIn("database or disk is full", text)
            for fatal in (
                "partial write",
                "unable to parse",
                "points beyond retention policy",
                "hinted handoff queue not empty",
                "database not found",
                "retention policy not found",
            ):
                self.assertNotIn(fatal, text)

    def test_a_failure_nobody_thought_of_has_the_shape_of_its_version(self) -> None:
        def explode(*arguments: object, **more: object) -> None:
            raise ZeroDivisionError("secret")

        self.sink.accept = explode  # type: ignore[method-assign, assignment]
        answer = self.write(event("a"))
        self.assertEqual(answer.status, 500)
        self.assertRegex(json.loads(answer.body)["error"], "^internal error [0-9a-f]{12}, see the log$")
        given = json.loads(self.write(event("a"), "/api/v2/write?bucket=x").body)
        self.assertEqual(given["code"], "internal error")
        self.assertRegex(given["message"], "^internal error [0-9a-f]{12}, see the log$")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_gzip(self) -> None:
        self.check_success(self.write(gzip.compress(event("a")), content_encoding="gzip"))
        answer = self.write(b"no gzip", content_encoding="gzip")
        self.assertEqual(answer.status, 400)
        self.assertIn("not valid gzip", json.loads(answer.body)["error"])

    def test_what_is_stored_although_the_client_has_gone(self) -> None:
        self.sink.holds = True
        body = event("a")
        self.connect().dataReceived(head(path="/write?db=x", length=len(body)) + body)
        self.wire.lose(ConnectionLost())
        self.sink.commit()
        self.assertEqual(self.receiver.account.stored, 1)


class PrecisionTests(_InfluxTests):
    """What timestamps count."""

    def times(self, stamp: object, **parameters: str) -> list[int]:
        count = len(self.sink.messages)
        answer = self.write(event("a", time=str(stamp)), f"/write?{urlencode({'db': 'x', **parameters})}")
        self.check_success(answer)
        return [message.time for message in self.sink.messages[count:]]

    def test_all_units(self) -> None:
        for names, unit in (
            ("n ns nanosecond", 1),
            ("u us \u00b5 \u00b5s \u03bc \u03bcs microsecond", 10**3),
            ("ms millisecond", 10**6),
            ("s second", 10**9),
            ("m", 60 * 10**9),
            ("h", 3600 * 10**9),
        ):
            for name in names.split():
                self.assertEqual(self.times(HOUR * 10**9 // unit, precision=name), [HOUR * 10**9], name)

    def test_without_a_precision_it_is_that_of_the_receiver(self) -> None:
        for given in ({}, {"precision": ""}):
            self.assertEqual(self.times(HOUR, **given), [HOUR * 10**9])
            self.assertEqual(self.times(HOUR * 10**9, **given), [HOUR * 10**9])
        self.start(precision="ms")
        self.assertEqual(self.times(5), [5 * 10**6])

    def test_what_is_too_fine_for_the_unit_goes_by_magnitude(self) -> None:
        # The collector's Influx sink says precision=s and sends nanoseconds.
        for stamp in (HOUR * 10**9, HOUR * 10**6, HOUR * 10**3):
            for name in ("s", "m", "h"):
                self.assertEqual(self.times(stamp, precision=name), [HOUR * 10**9])
        body = b"\n".join(event("x", time=stamp) for stamp in (HOUR, HOUR * 10**9, 5))
        self.check_success(self.write(body, "/api/v2/write?precision=s"))
        self.assertEqual(
            [message.time for message in self.sink.messages[-3:]], [HOUR * 10**9, HOUR * 10**9, 5 * 10**9]
        )
        # The general way of the decoder, and one that no unit can help.
        body = b'a,cluster=alex event="x",f=1 %d\n' % (HOUR * 10**9)
        self.check_success(self.write(body, "/api/v2/write?precision=s"))
        self.assertEqual(self.sink.messages[-1].time, HOUR * 10**9)
        self.assertEqual(self.write(event("x", time=2**63), "/api/v2/write?precision=s").status, 400)

    def test_only_here(self) -> None:
        self.start(precision="s")
        self.assertEqual(self.send(event("x", time=HOUR * 10**9)).status, 400)

    def test_an_unknown_one_is_refused(self) -> None:
        answer = self.write(event("a"), "/write?db=x&precision=weeks")
        self.assertEqual(answer.status, 400)
        self.assertEqual(
            json.loads(answer.body)["error"],
            "precision: expected one of n, ns, u, us, ms, s, m, h, got 'weeks'",
        )
        self.assertEqual(self.sink.texts, [])


class DialectTests(_InfluxTests):
    """Who is a client of InfluxDB, and who a metric collector."""

    def check(self, statuses: dict[str, int]) -> None:
        found = {path: self.send(event("a"), path=path).status for path in statuses}
        self.assertEqual(found, statuses)

    def test_by_default_requests_that_name_a_database_or_are_of_version_2(self) -> None:
        self.check(
            {
                "/": 200,
                "/api/write?cluster=fritz": 200,
                "/api/write?db=x": 200,
                "/write": 200,
                "/write?cluster=fritz": 200,
                "/write?bucket=x": 200,
                "/ping": 200,
                "/write?db=": 204,
                "/write?cluster=fritz&db=x": 204,
                "/api/v2/write?cluster=x": 204,
                "/x/write?db=x": 200,
            }
        )

    def test_beside_the_configured_path(self) -> None:
        self.start(path="/api/write")
        self.check(
            {"/api/write?db=x": 200, "/write?db=x": 204, "/api/v2/write": 204, "/write": 404, "/x": 404}
        )

    def test_the_configured_path_is_the_collectors(self) -> None:
        self.start(path="/write")
        self.check({"/write?db=x": 200, "/write": 200, "/api/v2/write": 204})
        self.start(path="/api/v2/write/")
        self.check({"/write?db=x": 204, "/api/v2/write?bucket=x": 200})

    def test_always(self) -> None:
        self.start(path="/write", influx=True)
        self.check({"/write": 204, "/write?db=x": 204, "/api/v2/write": 204, "/": 404})

    def test_never(self) -> None:
        self.start(influx=False)
        self.check({"/write?db=x": 200, "/api/v2/write": 200, "/query": 200})
        for path in ("/ping", "/health", "/query"):
            self.assertEqual(self.send(method="GET", path=path).status, 405)


class ClusterTests(_InfluxTests):
    """Of which cluster messages are that do not say so."""

    def cluster(self, path: str) -> str | None:
        self.check_success(self.write(event("a", cluster=None), path))
        return self.sink.origins[-1].cluster

    def test_by_default_a_database_is_no_cluster(self) -> None:
        self.assertIsNone(self.cluster("/write?db=telegraf"))
        self.assertEqual(self.cluster("/write?db=telegraf&cluster=fritz"), "fritz")
        self.start(cluster="meggie")
        self.assertEqual(self.cluster("/write?db=telegraf&cluster=fritz"), "meggie")

    def test_a_database_may_be_one(self) -> None:
        for word in ("database", "bucket", "db"):
            self.start(cluster_from=word, cluster="meggie")
            self.assertEqual(self.cluster("/write?db=fritz"), "fritz")
            self.assertEqual(self.cluster("/api/v2/write?bucket=fritz/autogen&org=x"), "fritz")
            self.assertEqual(self.cluster("/api/v3/write_lp?db=fritz&cluster=alex"), "fritz")
            self.assertEqual(self.cluster("/write?db="), "meggie")

    def test_a_database_may_be_that_of_a_cluster(self) -> None:
        self.start(databases={"telegraf": "alex", "gpu nodes/week": "fritz"}, cluster="meggie")
        self.assertEqual(self.cluster("/write?db=telegraf"), "alex")
        self.assertEqual(self.cluster("/api/v2/write?bucket=gpu%20nodes/week"), "fritz")
        self.assertEqual(self.cluster("/write?db=other"), "meggie")
        self.start(databases={"telegraf": "alex"}, cluster_from="database")
        self.assertEqual(self.cluster("/write?db=telegraf"), "alex")
        self.assertEqual(self.cluster("/write?db=other"), "other")


class DoorTests(_InfluxTests):
    """Names and passwords."""

    def setUp(self) -> None:
        self.start(username="node", password="se:cret ä")

    def test_all_ways_to_give_them(self) -> None:
        right = (
            {"authorization": basic("node:se:cret ä")},
            {"authorization": "Token node:se:cret ä".encode()},
            {"authorization": "Bearer node:se:cret ä".encode()},
            {"authorization": "token se:cret ä".encode()},
        )
        for path in ("/write?db=x", "/api/v2/write?bucket=x", "/api/v3/write_lp?db=x"):
            for headers in right:
                self.check_success(self.write(event("a"), path, **headers))
            self.check_success(self.write(event("a"), f"{path}&u=node&p={quote('se:cret ä')}"))

    def test_whoever_has_them_not_is_refused_in_the_shape_of_the_version(self) -> None:
        wrong = (
            {},
            {"authorization": basic("node:x")},
            {"authorization": "Token x"},
            {"authorization": "Basic !"},
        )
        for headers in wrong:
            answer = self.write(event("a"), **headers)
            self.assertEqual(answer.status, 401)
            self.assertEqual(answer.headers["www-authenticate"], 'Basic realm="ccstore"')
            self.assertIn("authorization failed", json.loads(answer.body)["error"])
            answer = self.write(event("a"), "/api/v2/write?bucket=x", **headers)
            self.assertEqual((answer.status, json.loads(answer.body)["code"]), (401, "unauthorized"))
            self.assertEqual(self.send(method="POST", path="/query?q=SHOW+DATABASES", **headers).status, 401)
        self.assertEqual(self.write(event("a"), "/write?db=x&u=node&p=x").status, 401)
        self.assertEqual(self.write(event("a"), "/write?db=x&u=node").status, 401)
        said = json.loads(self.write(event("a"), "/write?db=x&u=node").body)["error"]
        self.assertEqual(said, "authorization failed: user name or password is wrong")
        said = json.loads(self.write(event("a"), "/write?db=x").body)["error"]
        self.assertEqual(said, "authorization failed: user name and password are required")
        self.assertEqual(self.sink.texts, [])

    def test_whether_it_is_there_may_be_asked_by_all(self) -> None:
        self.assertEqual(self.send(method="GET", path="/ping").status, 204)

    def test_the_collectors_way_in_is_not_wider_for_it(self) -> None:
        for headers in ({"authorization": b"Token node:se:cret \xc3\xa4"}, {}):
            self.assertEqual(
                self.send(event("a"), path="/?u=node&p=se%3Acret%20%C3%A4", **headers).status, 401
            )


class QuestionTests(_InfluxTests):
    """What clients ask before they write."""

    def ask(self, query: str, **parameters: str) -> Any:
        path = f"/query?{urlencode({'q': query, **parameters})}"
        answers = [self.send(method=method, path=path) for method in ("GET", "POST")]
        form = urlencode({"q": query}).encode()
        answers.append(
            self.send(
                form,
                path=f"/query?{urlencode(parameters)}",
                content_type="application/x-www-form-urlencoded",
            )
        )
        self.assertEqual([answer.status for answer in answers], [200] * 3)
        self.assertEqual(len({answer.body for answer in answers}), 1)
        return json.loads(answers[0].body)["results"]

    def test_ping(self) -> None:
        for method in ("GET", "HEAD"):
            answer = self.send(method=method, path="/ping")
            self.check_success(answer)
            self.check_success(self.send(method=method, path="/ping?verbose=false"))
        answer = self.send(method="GET", path="/ping?verbose=%ff")
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.body)["version"], answer.headers["x-influxdb-version"])

    def test_health(self) -> None:
        answer = self.send(method="GET", path="/health")
        self.assertEqual((answer.status, json.loads(answer.body)["status"]), (200, "pass"))
        self.connect().dataReceived(head("HEAD", "/health"))
        self.assertTrue(self.wire.value().endswith(b"\r\n\r\n"))

    def test_databases(self) -> None:
        self.start(databases={"telegraf": "alex", "b": "fritz"})
        series = {"name": "databases", "columns": ["name"], "values": [["b"], ["c"], ["telegraf"]]}
        self.assertEqual(self.ask(" show  DATABASES ; ", db="c"), [{"statement_id": 0, "series": [series]}])

    def test_a_database_is_made_by_doing_nothing(self) -> None:
        for query in (
            'CREATE DATABASE "tele\\"graf;x"',
            "create database telegraf",
            'CREATE DATABASE "x" WITH DURATION 1d NAME "y"',
        ):
            self.assertEqual(self.ask(query), [{"statement_id": 0}], query)

    def test_retention_policies(self) -> None:
        first, second = self.ask('SHOW RETENTION POLICIES ON "x;y"; SHOW RETENTION POLICIES')
        (series,) = first["series"]
        policy = dict(zip(series["columns"], series["values"][0], strict=True))
        self.assertEqual((policy["name"], policy["default"]), ("autogen", True))
        self.assertEqual(second["statement_id"], 1)

    def test_anything_else_is_a_clear_error(self) -> None:
        for query in ("SELECT * FROM job", "DROP DATABASE x", "CREATE DATABASE", "SHOW DATABASESX", "'"):
            (result,) = self.ask(query)
            self.assertIn(f"answers no query such as {query!r}", result["error"])

    def test_what_is_no_question(self) -> None:
        for body, text in (
            (b"", 'missing required parameter "q"'),
            (b"q=", 'missing required parameter "q"'),
            (b"q=%3B", "has 0"),
            (b"q=" + b"%3Ba" * 200, "from 1 to 100 statements"),
            (b"q=" + b"a" * 20000, "at most 10000 characters"),
            (b"\xff", "cannot be read as a form"),
        ):
            answer = self.send(body, path="/query")
            self.assertEqual(answer.status, 400, body[:20])
            self.assertIn(text, json.loads(answer.body)["error"])
