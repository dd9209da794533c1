"""The views that a site's own SQL relies on."""

from __future__ import annotations

import json

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from tests.support.sqlite_files import SPAN, SqliteFiles, texts
from tests.support.store_contract import CLUSTERS
from tests.support.stores import NOW, SECOND, message

HISTORICAL = [
    "id",
    "timestamp",
    "name",
    "hostname",
    "type",
    "typeid",
    "stype",
    "stypeid",
    "othertags",
    "field",
]


class ViewTests(SqliteFiles, TestCase):
    """``<cluster>_events`` and ``<cluster>_logs``, for a site's own SQL."""

    def columns(self, view: str) -> list[str]:
        return [row[1] for row in self.sql(f"PRAGMA table_info({view})")]

    async def test_have_the_historical_columns(self) -> None:
        await self.open().write(Batch.of([message(), message(kind="log")]))
        self.assertEqual(self.columns("alex_events"), HISTORICAL)
        self.assertEqual(self.columns("alex_logs"), HISTORICAL)

    async def test_show_every_column(self) -> None:
        full = message(
            "text", 7 * SECOND + 999, hostname="h", type="t", type_id="1", stype="s", stype_id="2", zone="z"
        )
        await self.open().write(Batch.of([full]))
        expected = (1, 7, "job", "h", "t", "1", "s", "2", '{"zone": "z"}', "text")
        self.assertEqual(self.sql("SELECT * FROM alex_events"), [expected])

    async def test_show_null_for_what_is_absent(self) -> None:
        await self.open().write(Batch.of([message("text", 7 * SECOND)]))
        self.assertEqual(
            self.sql("SELECT * FROM alex_events"),
            [(1, 7, "job", None, None, None, None, None, None, "text")],
        )

    async def test_other_tags_are_a_json_object(self) -> None:
        tags = {"z": 'a "quoted" one', "a": "日本", "function": "start_job"}
        await self.open().write(Batch.of([message(hostname="h", **tags)]))
        othertags = self.value("SELECT othertags FROM alex_events")
        self.assertEqual(json.loads(othertags), tags)
        self.assertEqual(list(json.loads(othertags)), sorted(tags))

    async def test_other_tags_belong_to_the_message_and_not_to_the_stream(self) -> None:
        await self.open().write(
            Batch.of([message(hostname="h", job=str(job)) for job in range(3)] + [message(hostname="h")])
        )
        self.assertEqual(
            self.sql("SELECT othertags FROM alex_events ORDER BY id"),
            [('{"job": "0"}',), ('{"job": "1"}',), ('{"job": "2"}',), (None,)],
        )
        self.assertEqual(self.value("SELECT count(*) FROM stream"), 1)

    async def test_there_is_one_for_each_cluster_and_kind(self) -> None:
        stored = [(name, kind) for name in CLUSTERS for kind in ("event", "log")]
        await self.open().write(
            Batch.of(message(f"{kind} of {name}", kind=kind, cluster=name) for name, kind in stored)
        )
        without = {"alex", "sqlite"}  # cannot be told from Alex, and a name that SQLite keeps to itself
        for name, kind in stored:
            if name not in without:
                view = f"{name}_{kind}s".replace('"', '""')
                self.assertEqual(self.sql(f'SELECT field FROM "{view}"'), [(f"{kind} of {name}",)])

    async def test_last_while_segments_come_and_go(self) -> None:
        """Also those whose names are like the views that the store makes for itself."""
        self.limit(segment_rows=2)
        self.now += SPAN
        backend = self.open()
        for index in range(3):
            await backend.write(
                Batch.of([message(str(index), NOW + index, cluster=name) for name in CLUSTERS])
            )
            await backend.tend(NOW)
        await backend.expire(NOW)
        for name in ("my-cluster", "ccstore_event_rows", "ccstore_event_rows-x"):
            self.assertEqual(self.sql(f'SELECT field FROM "{name}_events" ORDER BY id'), [("1",), ("2",)])

    async def test_too_many_clusters_get_no_views(self) -> None:
        await self.open().close()
        names = self.value("SELECT count(*) FROM sqlite_schema") + 1
        self.limit(names=names)
        backend = self.open()
        with capturedLogs() as logs:
            await backend.write(Batch.of(message(f"{n}", cluster=f"c{n}") for n in range(20)))
        self.assertEqual(self.value("SELECT count(*) FROM sqlite_schema"), names)
        self.assertEqual(self.value("SELECT count(*) FROM c0_events"), 1)
        (text,) = [formatEvent(entry) for entry in logs]
        self.assertIn("too many clusters", text)
        self.assertEqual(await texts(backend, "c19"), ["19"])

    async def test_a_missing_view_is_said_once(self) -> None:
        backend = self.open()
        with capturedLogs() as logs:
            for host in ("a", "b", "c"):
                for cluster in ("Alex", "alex", "sqlite"):
                    await backend.write(Batch.of([message(cluster=cluster, hostname=host)]))
        said = [formatEvent(entry) for entry in logs]
        self.assertEqual(len(said), 2)
        self.assertIn("no view 'alex_events': SQLite cannot tell it from 'Alex_events'", said[0])
        self.assertIn("no view 'sqlite_events' for cluster 'sqlite'", said[1])

    async def test_ids_and_order_are_those_of_arrival(self) -> None:
        self.limit(segment_rows=3)
        backend = self.open()
        for index in range(10):
            await backend.write(Batch.of([message(str(index), NOW - index), message("log", kind="log")]))
        self.assertEqual(
            self.sql("SELECT id, field FROM alex_events ORDER BY id"),
            [(index + 1, str(index)) for index in range(10)],
        )
        self.assertEqual(
            self.sql("SELECT id FROM alex_logs ORDER BY id"), [(number,) for number in range(1, 11)]
        )
