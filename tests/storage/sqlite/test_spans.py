"""What some hosts said, each in times of its own, where a statement gives few rows."""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.storage.reading.dialect import Fetching
from ccstore.storage.reading.statement import Reading
from ccstore.storage.reading.studying import StudyQuestion
from ccstore.storage.sqlite.dialect import SqliteDialect
from tests.support.reading_contract import BEFORE_ALL, some_message
from tests.support.some_spans import SpansInquiry, some_spans, told
from tests.support.sqlite_files import SPAN, SqliteFiles
from tests.support.stores import NOW, MemoryBackend, message


class SpansTests(SqliteFiles, TestCase):
    now = NOW + SPAN

    async def test_statements_that_give_few_rows_give_all_of_them(self) -> None:
        self.dialect = SqliteDialect(Fetching(most=3))
        backend = self.open()
        memory = MemoryBackend()
        memory.open()
        pick = random.Random(5)
        batch = Batch.of([some_message(pick) for _ in range(300)])
        await backend.write(batch)
        await memory.write(batch)
        for most in (1, 2, 1000):
            asked = SpansInquiry(some_spans(pick), most)
            expected = (await memory.read(StudyQuestion(asked, BEFORE_ALL), timeout=60)).found
            found = (await backend.read(StudyQuestion(asked, BEFORE_ALL), timeout=60)).found
            self.assertEqual(told(found), told(expected), asked)

    async def test_many_spans_take_as_many_statements_as_few(self) -> None:
        backend = self.open()
        hosts = [f"a{number:04}" for number in range(101, 151)]
        lines = [message("ok", NOW + place, "log", hostname=host) for place in range(20) for host in hosts]
        await backend.write(Batch.of(lines))
        statements = []
        for spans in ([(NOW, NOW + 5)], [(NOW + place, NOW + place + 1) for place in range(0, 20, 2)]):
            for some in (hosts[:1], hosts[:8]):
                asked = SpansInquiry({("alex", host): spans for host in some}, 10)
                counted = _Counted(asked)
                found = await backend.read(counted, timeout=60)
                statements.append(found[1])
                self.assertEqual(len(found[0].rows), len(some) * (5 if len(spans) == 1 else 10))
        self.assertEqual(len({*statements}), 1, statements)


class _Counted:
    """A study, and how many statements it takes."""

    count = 1
    is_long = is_heavy = False

    def __init__(self, inquiry: SpansInquiry) -> None:
        self._question = StudyQuestion(inquiry, BEFORE_ALL)

    def division(self) -> None:
        return None

    def reading(self, dialect: Any) -> Reading[Any]:
        reading = self._question.reading(dialect)
        statements, rows = 0, None
        while True:
            try:
                statement = reading.send(rows)  # type: ignore[arg-type]
            except StopIteration as stop:
                return stop.value.found, statements
            statements += 1
            rows = yield statement
