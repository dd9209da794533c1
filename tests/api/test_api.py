"""The REST interface, asked over real sockets."""

from __future__ import annotations

import json
import time

from twisted.internet.defer import Deferred

from tests.support.api_case import ApiTestCase
from tests.support.sinks import event
from tests.support.stores import ToldBackend


def recent(seconds: int = 0) -> int:
    """A time in whole seconds that no retention has an eye on."""
    return int(time.time()) - 100 + seconds


class WriteTests(ApiTestCase):
    def setUp(self) -> None:
        self.start()

    async def test_a_write_is_answered_by_200_and_an_empty_body(self) -> None:
        for path in ("/api/write", "/api/write/", "/api/write?cluster=alex", "/api/write/?cluster=alex"):
            answer = await self.write(event("a"), path=path)
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertEqual(answer.header("content-type"), "application/json")
            self.assertEqual(answer.length, 0)
        self.assertEqual(await self.texts({}), [[["a"] * 4]])

    async def test_the_cluster_of_a_line_goes_before_that_of_the_request(self) -> None:
        lines = [event("a"), event("b", cluster=None), b'job event="{\\"cluster\\": \\"meggie\\"}"']
        await self.write(*lines, path="/api/write/?cluster=fritz")
        self.assertEqual(await self.texts({}), [[["a"]]])
        self.assertEqual(await self.texts({}, cluster="fritz"), [[["b", '{"cluster": "meggie"}']]])
        await self.write(*lines[2:])
        self.assertEqual(await self.texts({}, cluster="meggie"), [[['{"cluster": "meggie"}']]])

    async def test_bad_lines_are_named_and_good_ones_stored(self) -> None:
        answer = await self.write(event("a"), b"bad", event("b", cluster=None), event("c"))
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json["stored"], 2)
        self.assertEqual([line["line"] for line in answer.json["lines"]], [2, 3])
        self.assertIn("no cluster", answer.json["lines"][1]["reason"])
        self.assertEqual(await self.texts({}), [[["a", "c"]]])

    async def test_a_line_that_is_dropped_is_not_told_of_as_stored(self) -> None:
        metric, old = b"cpu,cluster=alex,hostname=a1 value=1.0", event("old", time=1_000_000_000)
        answer = await self.write(metric, b"bad", event("a"), old)
        counts = {key: answer.json[key] for key in ("stored", "rejected", "dropped")}
        self.assertEqual(counts, {"stored": 1, "rejected": 1, "dropped": 2})
        self.assertIn("1 of 4 lines are bad", answer.error)

    async def test_what_is_neither_event_nor_log_is_counted_and_is_no_error(self) -> None:
        answer = await self.write(b"load,cluster=alex value=1.5", event("old", time=1_000_000_000))
        self.assertEqual(answer.status, 200)
        account = (await self.stats())["receivers"]["api"]
        self.assertEqual(account["dropped"], {"metric": 1, "expired": 1})

    async def test_the_unit_of_timestamps_can_be_said(self) -> None:
        await self.write(event("a", time=recent() * 10), path="/api/write/?precision=ns")
        self.assertEqual((await self.stats())["receivers"]["api"]["dropped"], {"expired": 1})
        answer = await self.write(event("a"), path="/api/write/?precision=weeks")
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.error, "precision: expected one of auto, h, m, s, ms, us, ns, got 'weeks'")

    async def test_a_cluster_in_the_url_that_is_not_utf_8_is_refused(self) -> None:
        for name in ("cluster", "precision"):
            answer = await self.write(event("a", cluster=None), path=f"/api/write/?{name}=%FFx")
            self.assertEqual((answer.status, answer.error), (400, rf"{name}: expected UTF-8, got b'\xffx'"))
        self.assertEqual((await self.write(event("a"), path="/api/write/?cluster=%C3%A4")).status, 200)
        self.assertEqual((await self.stats())["receivers"]["api"]["received"], 1)

    async def test_a_client_that_goes_away_changes_no_books(self) -> None:
        backend = ToldBackend()
        backend.hold = Deferred()
        self.start(backend=backend)
        client = await self.connect("REST")
        body = event("a")
        client.transport.write(
            b"POST /api/write/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        client.transport.write(body)
        await backend.held
        client.transport.abortConnection()
        await client.closed
        await self.ask("GET", "/health")
        backend.hold.callback(None)
        self.assertEqual(await self.texts({}), [[["a"]]])
        account = (await self.stats())["receivers"]["api"]
        self.assertEqual((account["stored"], account["dropped"]), (1, {}))


class QueryTests(ApiTestCase):
    def setUp(self) -> None:
        self.start()

    async def test_the_shape_of_an_answer(self) -> None:
        at = recent()
        await self.write(event("a", time=at), event("b", time=at + 1))
        for method in ("GET", "POST"):
            for path in ("/api/query", "/api/query/"):
                answer = await self.query(
                    {"event": "job"}, method=method, path=path, **{"from": at, "to": at + 1}
                )
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.header("content-type"), "application/json")
                rows = [{"Event": "a", "timestamp": at}, {"Event": "b", "timestamp": at + 1}]
                self.assertEqual(answer.json, {"results": [[{"data": rows, "from": at, "to": at + 1}]]})

    async def test_both_ends_of_the_time_are_included(self) -> None:
        at = recent()
        nanoseconds = [at * 10**9 - 1, at * 10**9, (at + 2) * 10**9 - 1, (at + 2) * 10**9]
        await self.write(*[event(str(index), time=stamp) for index, stamp in enumerate(nanoseconds)])
        self.assertEqual(await self.texts({}, **{"from": at, "to": at + 1}), [[["1", "2"]]])

    async def test_rows_are_in_the_order_of_their_time_then_of_their_arrival(self) -> None:
        at = recent()
        for text, stamp in (("c", at + 2), ("a1", at), ("b", at + 1), ("a2", at), ("a3", at)):
            await self.write(event(text, time=stamp))
        self.assertEqual(await self.texts({}), [[["a1", "a2", "a3", "b", "c"]]])

    async def test_one_list_for_each_query_in_their_order(self) -> None:
        await self.write(
            event("a", host="h1"), event("b", host="h2"), b'stop,cluster=alex,hostname=h1 event="c"'
        )
        queries = [
            {"host": "h2"},
            {"host": "none"},
            {"event": "stop"},
            {"host": "h1"},
            {"host": "", "event": None},
        ]
        found = await self.texts(*queries)
        self.assertEqual(found, [[["b"]], [[]], [["c"]], [["a", "c"]], [["a", "b", "c"]]])
        self.assertEqual(await self.texts(), [])

    async def test_one_entry_for_each_pair_of_type_id_and_subtype_id(self) -> None:
        for type_id in "01":
            for subtype_id in "xy":
                tags = f"cluster=alex,type=socket,type-id={type_id},stype=app,stype-id={subtype_id}"
                await self.write(f'job,{tags} event="{type_id}{subtype_id}"'.encode())
        await self.write(event("plain"))
        asked = {"type-ids": ["1", 0, "7"], "subtype-ids": ["y", "x"]}
        self.assertEqual(await self.texts(asked), [[["1y"], ["1x"], ["0y"], ["0x"], [], []]])
        self.assertEqual(await self.texts({"type-ids": ["0"]}), [[["0x", "0y"]]])
        self.assertEqual(await self.texts({"subtype-ids": ["x"], "type": "socket"}), [[["0x", "1x"]]])
        self.assertEqual(await self.texts({"subtype": "app", "type-ids": []}), [[["0x", "0y", "1x", "1y"]]])

    async def test_every_host_is_combined_with_every_query_and_that_is_echoed(self) -> None:
        await self.write(*[event(f"{host} {kind}", host=host) for host in ("h1", "h2") for kind in "ab"])
        asked = [{"event": "job"}, {"event": "stop", "host": "overridden"}]
        answer = await self.query(*asked, **{"for-all-nodes": ["h2", "h1"]})
        expanded = [{**query, "host": host} for host in ("h2", "h1") for query in asked]
        self.assertEqual(list(answer.json), ["queries", "results"])
        self.assertEqual(answer.json["queries"], expanded)
        found = [[row["Event"] for row in entries[0]["data"]] for entries in answer.json["results"]]
        self.assertEqual(found, [["h2 a", "h2 b"], [], ["h1 a", "h1 b"], []])
        self.assertNotIn("queries", (await self.query({}, **{"for-all-nodes": []})).json)

    async def test_logs(self) -> None:
        await self.write(event("event"), b'note,cluster=alex,hostname=h log="log"')
        self.assertEqual(
            await self.texts({}, {"kind": "log"}, {"kind": "event"}), [[["event"]], [["log"]], [["event"]]]
        )

    async def test_an_unknown_cluster_has_nothing(self) -> None:
        for name in ("nobody", 'x"; drop table y', "日本", "x" * 1000):
            self.assertEqual(await self.texts({}, {}, cluster=name), [[[]], [[]]])

    async def test_clusters_of_any_name_are_kept_apart(self) -> None:
        names = ["my-cluster", "eventx", "x; drop table y", "日本", "a'b", 'a"b', "Alex", "alex"]
        for name in names:
            line = f'job,cluster={name.replace(" ", chr(92) + " ")} event="in {name.replace(chr(34), "")}"'
            self.assertEqual((await self.write(line.encode())).status, 200, name)
        for name in names:
            self.assertEqual(await self.texts({}, cluster=name), [[[f"in {name.replace(chr(34), '')}"]]])

    async def test_from_and_to_may_be_left_out(self) -> None:
        await self.write(event("a"))
        answer = await self.ask("POST", "/api/query", b'{"cluster": "alex", "queries": [{}]}')
        (entry,) = answer.json["results"][0]
        self.assertEqual([row["Event"] for row in entry["data"]], ["a"])
        self.assertEqual(entry["from"], 0)
        self.assertLess(abs(entry["to"] - time.time()), 60)

    async def test_everything_that_is_wrong_is_named_with_its_place(self) -> None:
        query = {"event": 1, "type": [], "type-ids": "0", "subtype-ids": ["a", None, True]}
        wrong = {
            "cluster": 7,
            "from": "yesterday",
            "to": 1.5,
            "for-all-nodes": ["h1", {}],
            "queries": [query, 3, {"kind": "metric"}, {"subtype": False}],
        }
        answer = await self.ask("POST", "/api/query/", json.dumps(wrong).encode())
        self.assertEqual(answer.status, 400)
        problems = answer.error.split("; ")
        self.assertEqual(
            sorted(problem.split(":")[0] for problem in problems),
            sorted(
                [
                    *("cluster", "cluster", "from", "to", "for-all-nodes[1]", "queries[1]"),
                    *("queries[0].event", "queries[0].type", "queries[0].type-ids", "queries[2].kind"),
                    *("queries[0].subtype-ids[1]", "queries[0].subtype-ids[2]", "queries[3].subtype"),
                ]
            ),
        )
        self.assertIn('from: expected Unix seconds as an integer, got "yesterday"', problems)

    async def test_keys_in_any_case(self) -> None:
        await self.write(event("a", host="h1"), event("b", host="h2"))
        body = b'{"Cluster": "alex", "FROM": 0, "Queries": [{"Host": "h2", "Kind": "event"}]}'
        answer = await self.ask("POST", "/api/query/", body)
        self.assertEqual([row["Event"] for row in answer.json["results"][0][0]["data"]], ["b"])

    async def test_keys_that_are_not_known_are_refused_and_named(self) -> None:
        answer = await self.query({"hots": "h1"}, {"host": "h1"}, **{"for_all_nodes": ["h1"]})
        self.assertEqual(answer.status, 400)
        self.assertEqual(
            answer.error.split("; "),
            [
                '"for_all_nodes": unknown key, expected cluster, from, to, for-all-nodes or queries',
                'queries[0]: "hots": unknown key, '
                "expected event, host, type, subtype, type-ids, subtype-ids or kind",
            ],
        )

    async def test_a_wrong_kind_hides_no_other_mistake(self) -> None:
        for kind in ("metric", [], 0, False):
            answer = await self.query({"kind": kind, "host": 1})
            places = [problem.split(":")[0] for problem in answer.error.split("; ")]
            self.assertEqual(places, ["queries[0].kind", "queries[0].host"])
        for kind in (None, ""):
            self.assertEqual((await self.query({"kind": kind})).status, 200)

    async def test_a_number_of_thousands_of_digits(self) -> None:
        answer = await self.ask("POST", "/api/query/", b'{"from": %s}' % (b"1" * 5000))
        self.assertEqual(
            (answer.status, answer.error),
            (400, "failed to parse API request: a number has more than 100 digits"),
        )

    async def test_no_body_at_all(self) -> None:
        for method in ("GET", "POST"):
            said = (await self.ask(method, "/api/query/", b"")).error
            self.assertIn("it has no body, expected JSON such as {", said)
            example = said[said.index("{") :].encode()
            self.assertEqual((await self.ask(method, "/api/query/", example)).status, 200)

    async def test_bodies_that_are_no_query(self) -> None:
        for body in (b"", b"{", b"[]", b"7", b"null", b'"x"', b"\xff", b"[" * 100_000):
            answer = await self.ask("POST", "/api/query/", body)
            self.assertEqual(answer.status, 400, body[:10])
            self.assertTrue(answer.error.startswith("failed to parse API request: "))
        for body in (
            b"{}",
            b'{"cluster": "", "queries": []}',
            b'{"cluster": "a", "queries": [], "from": 2, "to": 1}',
        ):
            self.assertEqual((await self.ask("POST", "/api/query/", body)).status, 400)

    async def test_numbers_and_names_beyond_all_bounds_are_the_clients_fault(self) -> None:
        far = [{"from": 2**63}, {"to": -(2**70)}, {"to": 1e300}, {"cluster": "\ud800"}]
        for more in far:
            answer = await self.query({}, **more)
            self.assertEqual(answer.status, 400, more)
        self.assertEqual((await self.query({"host": "\ud800"})).status, 400)
