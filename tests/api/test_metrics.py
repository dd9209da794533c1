"""The metrics, read by the library of those who will scrape them."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ccstore import __version__
from ccstore.accounting.figures import Figures, counter, counters, gauge, gauges, text
from ccstore.api import metrics
from tests.support.api_case import ApiTestCase
from tests.support.metric_names import (
    BACKEND,
    BOOKS,
    FIRST,
    MANAGER,
    POSTGRES,
    RECEIVERS,
    SENDERS,
    SPOOL,
    SQLITE,
    STORAGE,
)
from tests.support.nats_server import Server
from tests.support.postgres_server import PASSWORD, USER, server
from tests.support.scraping import check, families
from tests.support.scratch import scratch
from tests.support.sinks import event

STATS: dict[str, Any] = {
    "manager": {
        "errors": {},
        "status": Figures(processed=counter(3, "Taken in."), waiting=gauge(1, "Waiting.")),
    },
    "backend": {
        "errors": {"write_unavailable": 2},
        "status": Figures(writes=counter(1, "Batches."), bytes=gauge(4096, "Bytes.")),
    },
    "storage": Figures(waiting_limit=gauge(9, "Waiting at most.")),
    "senders": Figures(silent=gauges({"alex": 2, "fritz": 0}, "Silent.", by="cluster")),
    "info": {"backend_type": "sqlite", "flush_time": "1s", "retention_time": "86400s"},
    "receivers": {
        'a "b"\\\n': Figures(
            type=text("udp"),
            received=counter(5, "Lines.", metric="lines_received_total"),
            rejected=counters({"malformed": 2}, "Wrong.", by="reason", metric="lines_rejected_total"),
            dropped=counters({}, "Dropped.", by="reason", metric="lines_dropped_total"),
            kernel_drops=counter(None, "Datagrams."),
            connections=gauge(7, "Connections."),
            connected=gauge(True, "Whether it is."),
            jobs=gauge(4, "Jobs.", former="receiver_jobs_total"),
            pauses=counter(1, "Pauses."),
        )
    },
    "ccstore": Figures(version=text("1"), uptime=gauge(1.5, "Time.", metric="uptime_seconds")),
}
#: Has had this name from the beginning.
COUNTERS_WITHOUT_TOTAL = ("ccstore_backend_settled",)


def render(stats: dict[str, Any]) -> bytes:
    return "".join(metrics.render(stats)).encode()


def read(body: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    """The value of each metric by the values of its labels."""
    return {
        family.name: {tuple(value for _, value in labels): number for labels, number in family.values.items()}
        for family in families(body).values()
    }


class RenderTests(SynchronousTestCase):
    def test_every_figure_is_there_as_what_it_says_it_is(self) -> None:
        body = render(STATS)
        check(body)
        types = {family.name: family.type for family in families(body).values()}
        found = read(body)
        receiver = ('a "b"\\\n', "udp")
        self.assertEqual(found["ccstore_info"], {("1", "sqlite"): 1})
        self.assertEqual(found["ccstore_uptime_seconds"], {(): 1.5})
        self.assertEqual(found["ccstore_senders_silent"], {("alex",): 2, ("fritz",): 0})
        self.assertEqual(found["ccstore_ready"], {(): 1})
        self.assertEqual(found["ccstore_lines_received_total"], {receiver: 5})
        self.assertEqual(found["ccstore_lines_rejected_total"], {(*receiver, "malformed"): 2})
        self.assertNotIn("ccstore_lines_dropped_total", found)
        self.assertEqual(found["ccstore_receiver_connections"], {receiver: 7})
        self.assertEqual(found["ccstore_receiver_connected"], {receiver: 1})
        self.assertEqual(found["ccstore_receiver_pauses_total"], {receiver: 1})
        self.assertNotIn("ccstore_receiver_kernel_drops_total", found, "it is not known")
        self.assertEqual(found["ccstore_manager_processed_total"], {(): 3})
        self.assertEqual(found["ccstore_manager_waiting"], {(): 1})
        self.assertEqual(found["ccstore_backend_writes_total"], {(): 1})
        self.assertEqual(found["ccstore_backend_errors_total"], {("write_unavailable",): 2})
        # A gauge that was called as if it were a counter, and that somebody may still ask for by that name.
        self.assertEqual(found["ccstore_receiver_jobs"], {receiver: 4})
        self.assertEqual(found["ccstore_receiver_jobs_total"], {receiver: 4})
        self.assertEqual(types["ccstore_receiver_jobs"], "gauge")
        self.assertEqual(types["ccstore_receiver_jobs_total"], "unknown")

    def test_a_store_that_cannot_write_is_not_ready(self) -> None:
        manager = {"errors": {"unavailable": "the disk is full"}, "status": Figures()}
        self.assertEqual(read(render({**STATS, "manager": manager}))["ccstore_ready"], {(): 0})

    def test_what_breaks_a_rule_is_found(self) -> None:
        good = b"# HELP ccstore_a_total Text.\n# TYPE ccstore_a_total counter\nccstore_a_total 1\n"
        check(good)
        for bad in (
            good.replace(b"a_total", b"a"),  # a counter without its suffix
            good.replace(b"counter", b"gauge"),  # a gauge with that of a counter
            good.replace(b"a_total", b"a_ms_total"),  # no base unit
            good.replace(b"a_total", b"bytes_of_it_total"),  # the unit in the middle
            good.replace(b"a_total", b"counter_total"),
            good.replace(b"# HELP ccstore_a_total Text.\n", b""),
            good.replace(b"# TYPE ccstore_a_total counter\n", b""),
            good + b"ccstore_a_total 2\n",  # the same series again
            good + good,
            good.replace(b"total 1", b'total{le="x"} 1'),
            good.replace(b"total 1", b"total NaN"),
            good + b"ccstore_b 1\n",
        ):
            with self.assertRaises((AssertionError, ValueError), msg=bad):
                check(bad)


class ServerTests(ApiTestCase):
    async def metrics(self, *expected: dict[str, str]) -> None:
        """The metrics keep all rules, and are these; each figure of the statistics is there."""
        await self.ask("GET", "/api/v1/senders")  # whose figures are as of the last look
        body = (await self.ask("GET", "/metrics")).body
        found = check(body, counters_without_total=COUNTERS_WITHOUT_TOTAL)
        everything = {name: kind for part in expected for name, kind in part.items()}
        types = {family.name: family.type for family in found.values()}
        kernel_drops = "ccstore_receiver_kernel_drops_total"
        self.assertEqual(
            {name: kind for name, kind in types.items() if name != kernel_drops},
            # Not every system knows of these.
            {name: kind for name, kind in everything.items() if name != kernel_drops},
        )
        self.assertIn(types.get(kernel_drops, "counter"), "counter")
        stats = await self.stats()
        for part in ("manager", "backend"):
            for key in stats[part]["status"]:
                self.assertTrue({f"ccstore_{part}_{key}", f"ccstore_{part}_{key}_total"} & set(found), key)

    async def test_every_receiver_and_sqlite(self) -> None:
        receivers = {
            kind: {"type": kind, "address": "127.0.0.1", "port": 0}
            for kind in ("tcp", "udp", "http", "eecpt")
        }
        nats = Server(scratch(self), jetstream=True)
        self.addCleanup(nats.kill)
        with nats.client() as client:
            client.make_stream("EVENTS", "x")
            client.publish("x", event("b"))
        receivers["nats"] = {
            **{"type": "nats", "address": "127.0.0.1", "port": nats.port, "subject": "x"},
            **{"stream": "EVENTS", "durable": "ccstore"},
        }
        self.start_with(receivers=receivers)
        await self.write(event("a"), b"bad", b"cpu,cluster=alex value=1")
        while not (await self.stats())["receivers"]["nats"]["acknowledged"]:
            pass  # it connects in its own time
        books = {name: kind for one in RECEIVERS.values() for name, kind in one.items()}
        await self.metrics(FIRST, BOOKS, books, MANAGER, STORAGE, BACKEND, SQLITE, SENDERS)
        body = (await self.ask("GET", "/metrics")).body
        for name, labels in (
            (name, dict(labels)) for name, f in families(body).items() for labels in f.values
        ):
            if name.startswith("ccstore_receiver_"):
                self.assertIn(name, RECEIVERS[labels["type"]])
                self.assertEqual(labels["receiver"], labels["type"])

    async def test_postgres_and_a_spool(self) -> None:
        name = server().new_database()
        self.addCleanup(server().drop_database, name)
        backend = {
            **{"type": "postgres", "server": "127.0.0.1", "port": server().port, "database_path": name},
            **{"username": USER, "password": PASSWORD},
        }
        self.start_with(
            storage={"backend": backend, "spool": {"path": str(scratch(self) / "spool.db")}},
            receivers={"tcp": {"type": "tcp", "address": "127.0.0.1", "port": 0}},
        )
        await self.write(event("a"), b"bad", b"cpu,cluster=alex value=1")
        while "bytes" not in (await self.stats())["backend"]["status"]:
            pass  # the first look at the partitions takes its time
        receivers = RECEIVERS["api"], RECEIVERS["tcp"]
        await self.metrics(FIRST, BOOKS, *receivers, MANAGER, STORAGE, SPOOL, BACKEND, POSTGRES, SENDERS)

    async def test_the_books_balance_in_the_metrics_too(self) -> None:
        self.start()
        await self.write(event("a"), b"bad", b"cpu,cluster=alex value=1")
        answer = await self.ask("GET", "/metrics")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8")
        found = read(answer.body)
        self.assertEqual(found["ccstore_info"], {(__version__, "sqlite"): 1})
        for receiver, received in found["ccstore_lines_received_total"].items():
            became = sum(
                value
                for name in ("stored_total", "rejected_total", "dropped_total", "waiting")
                for labels, value in found.get(f"ccstore_lines_{name}", {}).items()
                if labels[:2] == receiver
            )
            self.assertEqual(received, became)
        self.assertEqual(found["ccstore_lines_received_total"]["api", "api"], 3)

    async def test_they_need_a_token_like_the_statistics(self) -> None:
        self.start(jwt_public_key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        for path in ("/metrics", "/api/samples", "/api/stats"):
            self.assertEqual((await self.ask("GET", path)).status, 401)

    async def test_the_statistics_have_the_values_alone(self) -> None:
        self.start()
        stats = json.loads((await self.ask("GET", "/api/stats")).body)
        self.assertEqual(stats["manager"]["status"]["processed"], 0)
        self.assertEqual(stats["receivers"]["tcp"]["rejected"], {})
        self.assertEqual(stats["receivers"]["tcp"]["type"], "tcp")
