"""What a daemon tells of itself."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from ccstore import __version__
from ccstore.interfaces import QueryTimeout, StoreUnavailable
from ccstore.storage.reading.inventory import Inventory
from tests.support.api_case import ApiTestCase
from tests.support.postgres_server import PASSWORD, USER, server
from tests.support.sinks import event
from tests.support.stores import ToldBackend


class Case(ApiTestCase):
    """A daemon that is asked about itself."""

    async def store(self, path: str = "/api/v1/store") -> Any:
        answer = await self.ask("GET", path)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    async def receiver(self, name: str) -> Any:
        return next(each for each in (await self.store())["receivers"] if each["name"] == name)

    async def send_good_and_bad(self) -> None:
        await self.write(event("a"), event("b"), b"no line", b"cpu,cluster=alex,hostname=a0101 value=1")

    async def check_store(self, store: Any) -> None:
        """Good and bad lines were sent: each of them is accounted for."""
        for each in store["receivers"]:
            became = each["stored"] + each["waiting"]
            became += sum(each["rejected"].values()) + sum(each["dropped"].values())
            self.assertEqual(each["received"], became, each["name"])
        (api,) = [each for each in store["receivers"] if each["name"] == "api"]
        self.assertEqual((api["received"], api["stored"]), (4, 2))
        rates = [
            api["rates"][name] * store["rates_over"] for name in ("received", "stored", "rejected", "dropped")
        ]
        self.assertEqual([*map(round, rates)], [4, 2, 1, 1])
        self.assertEqual({each["reason"] for each in api["errors"]}, {"malformed", "metric"})
        self.assertEqual({each["sender"] for each in api["errors"]}, {"127.0.0.1"})
        said = [each["says"] for each in store["findings"] if each["receiver"] == "api"]
        self.assertIn("1 lines are metrics, which an event store does not keep", said)
        self.assertTrue(store["ready"])
        self.assertEqual(store["versions"]["ccstore"], __version__)


class SqliteTests(Case):
    async def test_everything_is_accounted_for(self) -> None:
        self.start()
        await self.send_good_and_bad()
        store = await self.store()
        await self.check_store(store)
        self.assertEqual(store, {**(await self.store("/api/v1/store/")), **changing(store)})
        self.assertEqual(store["versions"]["backend"], "sqlite")
        self.assertRegex(store["versions"]["database"], r"^SQLite 3\.\d+")
        self.assertEqual(store["segments"]["kinds"]["event"]["rows"], 2)
        self.assertIsNone(store["segments"]["unknown"])
        disk = store["disk"]
        self.assertGreater(disk["bytes"], 0)
        self.assertGreater(disk["disk_bytes"], disk["disk_free_bytes"])
        self.assertIn(disk["reserve_bytes"], (0, 32 << 20))
        self.assertEqual(store["queue"]["waiting"], 0)
        self.assertGreater(store["queue"]["limit"], 0)

    async def test_what_waits_is_seen(self) -> None:
        backend = ToldBackend()
        backend.hold = Deferred()
        self.start(backend=backend)
        written = Deferred.fromCoroutine(self.write(event("a")))
        await backend.held
        store = await self.store()
        self.assertEqual(store["queue"]["waiting"], 1)
        self.assertEqual((await self.receiver("api"))["waiting"], 1)
        backend.hold.callback(None)
        await written
        self.assertEqual((await self.receiver("api"))["stored"], 1)

    async def test_a_store_that_cannot_write_says_why(self) -> None:
        backend = ToldBackend()
        backend.refusal = StoreUnavailable("the disk is full")
        self.start(backend=backend)
        self.assertEqual((await self.write(event("a"))).status, 503)
        store = await self.store()
        self.assertEqual((store["ready"], store["unready"]), (False, "the disk is full"))
        self.assertIn(
            "the store cannot write: the disk is full", [each["says"] for each in store["findings"]]
        )

    async def test_a_database_that_does_not_answer_hides_nothing_else(self) -> None:
        for error, text in (
            (StoreUnavailable("it is away"), "it is away"),
            (QueryTimeout("too long"), "the database took longer than 2 s to say it"),
        ):
            backend = ToldBackend()
            backend.answer = lambda question, timeout, error=error: fail(error)  # type: ignore[misc]
            self.start(backend=backend)
            store = await self.store()
            self.assertEqual(store["segments"], {"unknown": text, "kinds": {}})
            self.assertEqual(len(store["receivers"]), 4)

    async def test_many_who_look_ask_the_database_once(self) -> None:
        backend = ToldBackend()
        asked: list[object] = []

        def answer(question: Any, timeout: float) -> Deferred[Any]:
            asked.append(question)
            return super(ToldBackend, backend).read(question, timeout=timeout)

        backend.answer = answer
        self.start(backend=backend)
        for _ in range(5):
            await self.store()
        self.assertEqual([*map(type, asked)], [Inventory])

    async def test_the_last_hour_begins_with_the_daemon(self) -> None:
        self.start()
        history = await self.store("/api/v1/store/history")
        self.assertEqual((history["step"], history["times"]), (10.0, []))
        self.assertLess(history["begin"], (await self.store())["time"])
        self.assertEqual(set(history["receivers"]), {"api", "tcp", "udp", "http"})

    async def test_a_token_is_needed_where_one_is(self) -> None:
        self.start(jwt_public_key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        for path in ("/api/v1/store", "/api/v1/store/history"):
            self.assertEqual((await self.ask("GET", path)).status, 401)


class PostgresTests(Case):
    async def test_everything_is_accounted_for(self) -> None:
        name = server().new_database()
        self.addCleanup(server().drop_database, name)
        backend = {
            **{"type": "postgres", "server": "127.0.0.1", "port": server().port, "database_path": name},
            **{"username": USER, "password": PASSWORD},
        }
        self.start_with(storage={"backend": backend}, receivers={})
        await self.send_good_and_bad()
        store = await self.store()
        await self.check_store(store)
        self.assertRegex(store["versions"]["database"], r"^PostgreSQL \d+")
        self.assertIsNone(store["disk"]["disk_free_bytes"])
        self.assertGreater(store["segments"]["kinds"]["event"]["bytes"], 0)
        (leaving,) = store["retention"]["leaving"]
        self.assertGreater(leaving["at"], store["time"])


def changing(store: Any) -> dict[str, Any]:
    """What differs from one moment to the next."""
    return {name: store[name] for name in ("time", "rates_over", "receivers", "daemon", "disk", "retention")}
