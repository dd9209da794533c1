"""`ccstore query`: finding rows on a server that gives only so many at a time."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ccstore.client.query_command import Options as QueryOptions
from ccstore.client.query_command import find
from tests.support.loopback import NOW
from tests.support.stub_server import server


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
