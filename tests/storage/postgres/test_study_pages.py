"""Studies that read on and on: which statements that takes, and what they find."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from itertools import accumulate
from typing import Any

import psycopg2
from attrs import frozen
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.insight.study import Study, each_row
from ccstore.message import STORED_KINDS, Message, StreamKey
from ccstore.query import Matcher, Row, Selection
from ccstore.storage.postgres.dialect import PostgresDialect
from ccstore.storage.postgres.horizon import Horizon
from ccstore.storage.postgres.text_index import TextIndex
from ccstore.storage.reading.dialect import Fetching
from ccstore.storage.reading.studying import StudyQuestion
from tests.support.postgres_case import Databases
from tests.support.stores import NOW, SECOND, message

BEFORE_ALL = -(2**63)


@frozen
class Everything:
    """A question: all messages of a selection, in its order."""

    selection: Selection

    def study(self) -> Study[list[tuple[int, str]]]:
        found: list[tuple[int, str]] = []

        def take(row: Row, stream: StreamKey) -> None:
            found.append((row.time, row.text))

        yield from each_row(self.selection, 10**6, take)
        return found


class StudyPagesTests(Databases, TestCase):
    """The statements are run by the test, which sees what they fetch."""

    async def fill(self, stored: Sequence[Message]) -> None:
        backend = self.open()
        for start in range(0, len(stored), 500):
            await backend.write(Batch.of(stored[start : start + 500]))
        self.dialect = PostgresDialect(
            Horizon(backend._writer.open), TextIndex(backend._pools, None, is_wanted=False)
        )

    def find(self, selection: Selection, **fetching: int) -> tuple[Any, list[int]]:
        """What a study finds, and how many rows each statement fetched that found any messages."""
        self.dialect.fetching = Fetching(**fetching)
        reading = StudyQuestion(Everything(selection), BEFORE_ALL).reading(self.dialect)
        rows: Any = None
        fetched = []
        with closing(psycopg2.connect(**self.server.parameters(self.database))) as connection:
            cursor = connection.cursor()
            while True:
                try:
                    statement = reading.send(rows)
                except StopIteration as stop:
                    return stop.value.found, fetched
                named = {f"p{number}": value for number, value in enumerate(statement.parameters, 1)}
                cursor.execute(statement.sql, named)
                rows = cursor.fetchall()
                if statement.columns == Row._fields and rows:
                    fetched.append(len(rows))

    async def test_they_find_all_in_its_order(self) -> None:
        """However dense it is, of few streams or many."""
        pick = random.Random(5)
        steps = (0, 1, SECOND // 10, SECOND // 10, SECOND)
        times = accumulate(pick.choice(steps) for _ in range(600))
        stored = [
            message(f"{number}", NOW + time, pick.choice(STORED_KINDS), hostname=f"a{pick.randrange(8)}")
            for number, time in enumerate(times)
        ]
        pick.shuffle(stored)
        await self.fill(stored)
        for streams in (2, 200):
            for hosts in (("a1",), ("a1", "a2", "a3"), ()):
                for is_newest_first in (True, False):
                    matchers = (Matcher("hostname", "=", hosts),) if hosts else ()
                    selection = Selection(matchers=matchers, is_newest_first=is_newest_first)
                    expected = [
                        (each.time, each.text)
                        for each in stored
                        if not hosts or dict(each.series.tags)["hostname"] in hosts
                    ]
                    found, _ = self.find(selection, rows=3, most=9, streams=streams)
                    self.assertEqual(sorted(found), sorted(expected))
                    in_order = sorted((time for time, _ in found), reverse=is_newest_first)
                    self.assertEqual([time for time, _ in found], in_order)

    async def test_few_rows_are_fetched_twice(self) -> None:
        """At first a few, and then as many as a statement may fetch."""
        await self.fill([message(f"{number}", NOW + number * SECOND // 50) for number in range(3000)])
        found, fetched = self.find(Selection(), rows=20, most=400, streams=0)
        self.assertEqual(len(found), 3000)
        self.assertEqual(fetched[:3], [21, 400, 400])
        self.assertLessEqual(len(fetched), 10)
        self.assertLess(sum(fetched), 3100)

    async def test_large_texts_come_few_at_a_time(self) -> None:
        await self.fill([message("x" * 1000, NOW + number) for number in range(300)])
        found, fetched = self.find(Selection(), rows=4, most=400, size=20_000, streams=0)
        self.assertEqual(len(found), 300)
        self.assertLessEqual(max(fetched), 20)
