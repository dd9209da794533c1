"""Who sends, asked of a daemon; and what it knows after a restart."""

from __future__ import annotations

import time
from typing import Any

from tests.support.api_case import ApiTestCase
from tests.support.postgres_server import PASSWORD, USER, server
from tests.support.scratch import scratch
from tests.support.sinks import event


class Case(ApiTestCase):
    """A daemon that is asked who sends."""

    async def senders(self, question: str = "") -> Any:
        answer = await self.ask("GET", f"/api/v1/senders?{question}")
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    async def hosts(self, question: str) -> list[str]:
        return [each["host"] for each in (await self.senders(question))["senders"]]

    async def send_and_start_again(self, storage: Any) -> None:
        """What was sent before is known from the store, until the host is heard of again."""
        self.start_with(storage={"backend": storage})
        now = time.time_ns()
        old = now - 7200 * 10**9
        await self.write(*[event("x", host="a1", time=moment) for moment in (old, now)])
        (before,) = (await self.senders())["senders"]
        self.assertEqual((before["receiver"], before["messages"]), ("api", 2))
        await self.service.stopService()
        self.start_with(storage={"backend": storage})
        (after,) = (await self.senders())["senders"]
        self.assertEqual((after["receiver"], after["messages"]), (None, 0))
        self.assertEqual(after["first"][:19], time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(old // 10**9)))
        await self.write(event("y", host="a1"))
        (again,) = (await self.senders())["senders"]
        self.assertEqual((again["receiver"], again["messages"]), ("api", 1))
        self.assertEqual(again["first"], after["first"])


class SqliteTests(Case):
    async def test_each_host_is_told_with_its_receiver(self) -> None:
        self.start()
        late = (time.time_ns() // 10**9 - 100) * 10**9
        await self.write(event("a"), event("b"), event("c", host="a0102", cluster="fritz", time=late))
        client = await self.connect("TCP")
        client.transport.write(event("d") + b"\n")
        while (await self.senders())["total"] < 3:
            pass
        client.transport.loseConnection()
        found = await self.senders()
        told = [
            (each["cluster"], each["host"], each["receiver"], each["messages"]) for each in found["senders"]
        ]
        self.assertEqual(
            told, [("alex", "a0101", "api", 2), ("alex", "a0101", "tcp", 1), ("fritz", "a0102", "api", 1)]
        )
        self.assertEqual([each["hosts"] for each in found["clusters"]], [1, 1])
        self.assertEqual([each["skewed"] for each in found["senders"]], [False, False, True])
        self.assertTrue(-102 < found["senders"][2]["skew"] <= -100)

    async def test_they_are_chosen_and_put_in_order(self) -> None:
        self.start()
        await self.write(*[event("a", host=f"a{number}") for number in (1, 2, 10)], event("b", host="a2"))
        self.assertEqual(await self.hosts(""), ["a1", "a2", "a10"])
        self.assertEqual(await self.hosts("order=messages"), ["a2", "a1", "a10"])
        self.assertEqual(await self.hosts("host=a[1-2]"), ["a1", "a2"])
        self.assertEqual(await self.hosts("host!=a1*"), ["a2"])
        self.assertEqual(await self.hosts("cluster=fr*"), [])
        self.assertEqual(await self.hosts("receiver=tcp"), [])
        self.assertEqual(await self.hosts("silent=true"), [])
        self.assertEqual(await self.hosts("silent=false&limit=1"), ["a1"])
        self.assertEqual((await self.senders("limit=1"))["cut"], "there are 3 senders")
        self.assertEqual(
            (await self.senders("host=b10"))["notice"], "there is no host 'b10', the nearest is 'a10'"
        )

    async def test_what_was_not_stored_is_told_with_its_reasons(self) -> None:
        self.start()
        await self.write(event("a"), b"cpu,cluster=alex,hostname=a0101 value=1", b"bad")
        found = await self.senders()
        (sender,) = found["senders"]
        self.assertEqual(sender["rejected"], {"metric": 1})
        self.assertEqual(
            [(each["reason"], each["sender"]) for each in found["rejected"]], [("malformed", "127.0.0.1")]
        )

    async def test_wrong_parameters_are_told(self) -> None:
        self.start()
        for given, said in (
            (
                "text=x",
                "'text': there is no such parameter: expected one of cluster, host, hostname, receiver, ",
            ),
            ("order=x", "order: expected host, last, silence, messages, rate or skew, got 'x'"),
            ("silent=maybe", "silent: expected true or false, got 'maybe'"),
            ("limit=0", "limit: expected a whole number from 1 to 100000, got '0'"),
            ("host=a[1", "host: expected hosts such as a[0101-0103,0200]"),
        ):
            answer = await self.ask("GET", f"/api/v1/senders?{given}")
            self.assertEqual(answer.status, 400)
            self.assertIn(said, answer.error)

    async def test_it_is_known_after_a_restart(self) -> None:
        await self.send_and_start_again({"type": "sqlite", "database_path": str(scratch(self) / "kept.db")})


class PostgresTests(Case):
    async def test_it_is_known_after_a_restart(self) -> None:
        name = server().new_database()
        self.addCleanup(server().drop_database, name)
        await self.send_and_start_again(
            {
                **{"type": "postgres", "server": "127.0.0.1", "port": server().port, "database_path": name},
                **{"username": USER, "password": PASSWORD},
            }
        )
