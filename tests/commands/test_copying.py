"""`ccstore copy`: everything arrives, once, whatever happens on the way."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.keeping import Hold
from ccstore.query import Selection
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.export import SqliteSource
from ccstore.storage.sqlite.keeper import holds
from ccstore.storage.sqlite.sizes import SIZES, SegmentSizes, Sizes
from tests.support.client_commands import COPY, copy
from tests.support.configuration import write_config
from tests.support.faulty_daemon import daemon_in
from tests.support.postgres_server import USER, server
from tests.support.running_daemon import ROOT, environment
from tests.support.scratch import scratch
from tests.support.store_contract import CLUSTERS, TEXTS
from tests.support.stores import NOW, message


def content(path: Path) -> list[tuple[Any, ...]]:
    """All that a store has, in order, without ids."""
    found = []
    with closing(sqlite3.connect(path)) as connection:
        for kind in ("event", "log"):
            found += connection.execute(
                "SELECT s.kind, s.cluster, s.name, s.hostname, s.type, s.typeid, s.stype, s.stypeid, r.time, "
                f"r.text, r.othertags FROM ccstore_{kind}_rows r JOIN stream s ON s.id = r.stream "
                "ORDER BY r.id"
            ).fetchall()
    return found


@contextmanager
def a_database() -> Iterator[str]:
    name = server().new_database()
    try:
        yield f"postgresql://{USER}@/{name}?host={server().directory}&port={server().port}"
    finally:
        server().drop_database(name)


class CopyTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        self.directory = scratch(self)
        self.path = self.directory / "source.db"

    def backend(self, path: Path, sizes: Sizes = SIZES) -> SqliteBackend:
        return SqliteBackend(path, {}, retention=86400.0, now=lambda: NOW, reactor=reactor, sizes=sizes)

    async def fill(self, rows: int = 0, *, texts: Any = TEXTS, clusters: Any = CLUSTERS) -> None:
        """A store with what is hard, and so many plain rows."""
        backend = self.backend(self.path)
        backend.open()
        hard = Batch.of(
            message(text, NOW - place, kind, cluster=cluster, hostname="h", type_id=str(place), job="ü")
            for kind in ("event", "log")
            for cluster in clusters
            for place, text in enumerate(texts)
        )
        await backend.write(hard)
        await backend.write(Batch.of([message("bare"), message("", -1, "log", stype="s", stype_id="")]))
        for start in range(0, rows, 5000):
            for kind in ("event", "log"):
                await backend.write(
                    Batch.of(
                        message(str(number), NOW + number, kind, cluster="plain", hostname=str(number % 7))
                        for number in range(start, start + 5000)
                    )
                )
        await backend.close()

    async def test_everything_arrives_as_it_was(self) -> None:
        await self.fill()
        target = self.directory / "target.db"
        status, told, said = copy(f"sqlite://{self.path}", f"sqlite:{target}")
        self.assertEqual(status, 0, (told, said))
        self.assertEqual(content(target), content(self.path))
        self.assertTrue(told.endswith("all is there\n"))
        self.assertIn("messages (100 %)", said)
        with closing(sqlite3.connect(target)) as connection:
            found = connection.execute('SELECT count(*) FROM "x; drop table y_events"').fetchone()
        self.assertEqual(found, (len(TEXTS),))

    async def test_holds_come_along_once(self) -> None:
        await self.fill(texts=[text for text in TEXTS if "\0" not in text])
        backend = self.backend(self.path)
        backend.open()
        hold = Hold(Selection(kinds=("event",), end=NOW), "to now", "why", "me", NOW)
        await backend.hold(hold)
        await backend.close()
        with a_database() as database:
            for target in (database, f"sqlite:{self.directory / 'target.db'}"):
                for _ in range(2):
                    status, told, said = copy(f"sqlite:{self.path}", target)
                    self.assertEqual(status, 0, (told, said))
            status, told, said = copy(database, f"sqlite:{self.directory / 'back.db'}")
            self.assertEqual(status, 0, (told, said))
        for name in ("target.db", "back.db"):
            with closing(sqlite3.connect(self.directory / name)) as connection:
                self.assertEqual(holds(connection), [evolve(hold, id=1)])

    async def test_to_postgres_and_back(self) -> None:
        # PostgreSQL takes no NUL in a text.
        await self.fill(10000, texts=[text for text in TEXTS if "\0" not in text])
        back = self.directory / "back.db"
        with a_database() as url:
            for words in ((f"sqlite:{self.path}", url), (url, f"sqlite:{back}")):
                status, told, said = copy(*words)
                self.assertEqual(status, 0, (told, said))
        self.assertEqual(content(back), content(self.path))

    async def test_what_the_target_refuses_is_said_and_costs_nothing_else(self) -> None:
        await self.fill(clusters=["alex"])
        back = self.directory / "back.db"
        with a_database() as url:
            status, told, said = copy(f"sqlite:{self.path}", url)
            self.assertEqual(copy(url, f"sqlite:{back}")[0], 0)
        self.assertEqual(status, 1)
        # The newest are first.
        self.assertIn("TO refuses event 5 of 'alex': ", said)
        self.assertIn("2 refused\n", told)
        self.assertTrue(told.endswith("not all is there\n"))
        self.assertEqual(content(back), [row for row in content(self.path) if "\0" not in row[9]])

    async def test_a_second_copy_brings_only_what_is_new(self) -> None:
        await self.fill(5000)
        target = self.directory / "target.db"
        self.assertEqual(copy(f"sqlite:{self.path}", f"sqlite:{target}")[0], 0)
        backend = self.backend(self.path)
        backend.open()
        await backend.write(Batch.of([message("newer")]))
        await backend.close()
        moved = self.path.rename(self.directory / "moved.db")
        status, told, said = copy(f"sqlite:{moved}", f"sqlite:{target}")
        self.assertEqual(status, 0, (told, said))
        self.assertIn("1 of 1 messages", said)
        self.assertEqual(content(target), content(moved))

    async def _killed(self, source: str, target: str) -> None:
        """Kill it again and again on the way, until it comes to an end."""
        for kills in range(8):
            process = subprocess.Popen(
                [*COPY, source, target],
                env=environment(),
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                process.wait(1.0 + 0.25 * kills)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
        status, told, said = copy(source, target)
        self.assertEqual(status, 0, (told, said))

    async def test_a_killed_copy_goes_on(self) -> None:
        await self.fill(200_000)
        target = self.directory / "target.db"
        await self._killed(f"sqlite:{self.path}", f"sqlite:{target}")
        self.assertEqual(content(target), content(self.path))

    async def test_a_killed_copy_to_postgres_goes_on(self) -> None:
        await self.fill(100_000, texts=["a"])
        back = self.directory / "back.db"
        with a_database() as url:
            await self._killed(f"sqlite:{self.path}", url)
            self.assertEqual(copy(url, f"sqlite:{back}")[0], 0)
        self.assertEqual(content(back), content(self.path))

    async def test_merged_logs_come_in_their_order(self) -> None:
        backend = self.backend(self.path, Sizes(SegmentSizes(segment_rows=500)))
        backend.open()
        texts = [str(number) for number in range(12000)]
        for start in range(0, len(texts), 500):
            await backend.write(
                Batch.of(
                    message(text, NOW - int(text), "log", hostname=str(int(text) % 7))
                    for text in texts[start : start + 500]
                )
            )
        for _ in range(100):
            await backend.tend(NOW)
        await backend.close()
        with closing(sqlite3.connect(self.path)) as connection:
            (rows,) = connection.execute("SELECT max(row_count) FROM segment WHERE kind = 'log'").fetchone()
        self.assertEqual(rows, 8000)
        source = SqliteSource(self.path, self.directory)
        source.open()
        self.addCleanup(source.close)
        found = [text for page in source.pages("log", 0) for text in page.messages.texts]
        self.assertEqual(found, texts)
        self.assertEqual([list(page.ids) for page in source.pages("log", 11999)], [[12000]])

    async def test_what_cannot_be(self) -> None:
        await self.fill()
        foreign = self.directory / "foreign.db"
        with closing(sqlite3.connect(foreign)) as connection:
            connection.execute("CREATE TABLE precious (x)")
        missing = self.directory / "missing.db"
        good = f"sqlite:{self.path}"
        for words, expected, says in (
            ((good, f"sqlite:{foreign}"), 1, "it has tables, but ccstore did not make it"),
            ((f"sqlite:{foreign}", f"sqlite:{missing}"), 1, "is no ccstore store"),
            ((f"sqlite:{missing}", good), 1, f"there is no file {missing}"),
            ((good, good), 1, "FROM and TO are the same store"),
            ((good,), 2, "it takes two stores"),
            ((str(self.path), f"sqlite:{missing}"), 1, f"this is a database, write sqlite:{self.path}"),
            (("nowhere.yaml", good), 1, "there is no such configuration file"),
        ):
            status, told, said = copy(*words)
            self.assertEqual((status, told, said.count("\n")), (expected, "", 1), said)
            self.assertIn(says, said)
        self.assertFalse(missing.exists())
        with closing(sqlite3.connect(foreign)) as connection:
            self.assertEqual(connection.execute("SELECT name FROM sqlite_schema").fetchall(), [("precious",)])

    async def test_a_damaged_file(self) -> None:
        await self.fill(5000)
        with self.path.open("r+b") as file:
            file.seek(20 * 8192)
            file.write(b"\xff" * 8192 * 5)
        status, _, said = copy(f"sqlite:{self.path}", f"sqlite:{self.directory / 'x.db'}")
        self.assertEqual(status, 1)
        self.assertIn(f"cannot read {self.path}: database disk image is malformed: the file is damaged", said)
        self.assertNotIn("Traceback", said)

    async def test_a_database_that_is_no_store(self) -> None:
        with a_database() as url:
            status, _, said = copy(url, f"sqlite:{self.directory / 'x.db'}")
        self.assertEqual(status, 1)
        self.assertIn("it is no ccstore store", said)


def test_a_file_in_use_is_left_alone(tmp_path: Path) -> None:
    with daemon_in(tmp_path) as daemon:
        status, told, said = copy(f"sqlite:{tmp_path / 'ccstore.db'}", f"sqlite:{tmp_path / 'x.db'}")
        assert (status, told) == (1, "")
        assert "is in use by another ccstore: stop it" in said
        daemon.stop()
    assert copy(f"sqlite:{tmp_path / 'ccstore.db'}", f"sqlite:{tmp_path / 'x.db'}")[0] == 0


def test_configuration_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for each in (one, two):
        each.mkdir()
    with daemon_in(one) as daemon:
        daemon.stop()
    configs = [write_config(each) for each in (one, two)]
    status, told, said = copy(*configs)
    assert (status, told) == (0, "all is there\n"), said
    assert (two / "ccstore.db").exists()
