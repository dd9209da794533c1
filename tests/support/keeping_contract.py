"""What both databases answer where rules of retention and holds keep messages for different times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ccstore.batch import Batch
from ccstore.keeping import Hold, KeepRule
from ccstore.message import INT64_MIN
from ccstore.query import Counting, Matcher, Selection
from ccstore.storage.reading.arrived import Arrivals, LastArrival
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.leaving import KeepingQuestion
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.pages import Limits, Pages
from tests.support.stores import SECOND, MemoryBackend, message

#: Seconds.
RETENTION = 1600
LONG, SHORT, LOGS = 6400, 400, 3200
RULES = (
    KeepRule(Selection(kinds=("event",), matchers=(Matcher("name", "=", "job"),)), LONG, "name=job"),
    KeepRule(Selection(kinds=("event",), matchers=(Matcher("name", "=", "noise"),)), SHORT, "name=noise"),
    KeepRule(
        Selection(kinds=("log",), matchers=(Matcher("hostname", "=~", "b.*"),)), LOGS, "kind=log host=b*"
    ),
)


def some_messages(pick: random.Random, now: int) -> Batch:
    return Batch.of(
        message(
            f"{pick.randrange(10**6)}",
            now - pick.choice((0, 0, 0, 0, 700, 3000, 9000)) * SECOND - pick.randrange(50 * SECOND),
            pick.choice(("event", "event", "event", "log")),
            cluster=pick.choice(("alex", "fritz")),
            name=pick.choice(("job", "noise", "noise", "node", "node")),
            hostname=pick.choice(("a01", "a02", "b01")),
        )
        for _ in range(30)
    )


class KeepingContract:
    """Mixed into a test case that makes a backend, whose time is ``now``."""

    backend: Any
    now: int

    async def tend(self, seconds: int, times: int) -> None:
        """Let time pass, and the house be kept."""
        for _ in range(times):
            self.now += seconds * SECOND // times
            await self.backend.expire(self.moment.cutoff)
            await self.backend.tend(self.now)

    @property
    def moment(self) -> Moment:
        return Moment(self.now - RETENTION * SECOND, self.now)

    async def rows(self, backend: Any, selection: Selection, moment: Moment) -> Sequence[Any]:
        question = Pages([selection], moment, Limits(10**6))
        (page,) = await backend.read(question, timeout=60)
        return [(row.kind, row.time, row.text, page.streams[row.stream]) for row in page.rows]

    async def check(self, memory: MemoryBackend, pick: random.Random) -> None:
        """The same is seen of the messages, and counted, at this moment and at some before and behind it."""
        for seconds in (0, pick.randrange(1, 3000)):
            later = seconds * SECOND
            moment = Moment(self.moment.cutoff + later, self.now + later)
            for _ in range(4):
                selection = self.selection(pick)
                self.assertEqual(  # type: ignore[attr-defined]
                    sorted(await self.rows(self.backend, selection, moment)),
                    sorted(await self.rows(memory, selection, moment)),
                    selection,
                )
                counting = Counting(
                    selection, pick.choice(((), ("name",), ("hostname", "kind"))), with_times=False
                )
                found, expected = [
                    await backend.read(CountsQuestion(counting, moment), timeout=60)
                    for backend in (self.backend, memory)
                ]
                self.assertEqual(sorted(found.counts), sorted(expected.counts))  # type: ignore[attr-defined]

    def selection(self, pick: random.Random) -> Selection:
        return Selection(
            pick.choice(((), ("alex",))),
            pick.choice((("event", "log"), ("event",), ("log",))),
            pick.choice((INT64_MIN, self.now - 2000 * SECOND)),
            matchers=pick.choice(((), (Matcher("hostname", "=", "a01"),), (Matcher("name", "!=", "job"),))),
            is_newest_first=pick.random() < 0.5,
        )

    async def fill(self, pick: random.Random, *backends: Any) -> None:
        batch = some_messages(pick, self.now)
        for backend in backends:
            await backend.write(batch)

    async def test_rules_decide_what_is_seen_and_what_is_deleted(self) -> None:
        memory = MemoryBackend()
        memory.open()
        pick = random.Random(5)
        for backend in (self.backend, memory):
            await backend.retain(float(RETENTION), RULES)
        await self.backend.expire(self.moment.cutoff)
        number: dict[Any, int] = {}
        for step in range(14):
            await self.fill(pick, self.backend, memory)
            if step in (3, 6):
                hold = self.hold(pick, step)
                number = {backend: await backend.hold(hold) for backend in (self.backend, memory)}
            if step == 10:
                for backend in (self.backend, memory):
                    self.assertTrue(await backend.release(number[backend]))  # type: ignore[attr-defined]
            await self.tend(240, 3)
            await self.check(memory, pick)
        for _ in range(3):
            await self.tend(3000, 4)
            await self.check(memory, pick)
        await self.tend(60, 60)
        left = await self.stored_in_all()
        kept = len(await self.rows(memory, Selection(), self.moment))
        # What has expired is deleted soon: less than as much as is kept, and what is in the open segments.
        self.assertLessEqual(left, 2 * kept + 200)  # type: ignore[attr-defined]

    def hold(self, pick: random.Random, step: int) -> Hold:
        """Of what is there and has not expired; of one host or of all."""
        matchers = (Matcher("hostname", "=", "a02"),) if step == 3 else ()
        chosen = Selection(
            kinds=("event",),
            begin=self.now - 350 * SECOND,
            end=self.now + 1,
            matchers=matchers,
        )
        return Hold(chosen, "host=a02", "a test", "somebody", self.now)

    async def stored_in_all(self) -> int:
        """How many messages are in the database, expired or not."""
        raise NotImplementedError

    async def test_what_has_expired_stays_so_whatever_becomes_of_rules_and_holds(self) -> None:
        await self.backend.retain(float(RETENTION), RULES)
        await self.backend.expire(self.moment.cutoff)
        await self.backend.write(Batch.of([message(name, self.now, name=name) for name in ("noise", "job")]))
        self.now += (SHORT + 10) * SECOND
        await self.backend.expire(self.moment.cutoff)
        self.assertEqual(await self.all_seen(), ["job"])  # type: ignore[attr-defined]
        # Kept longer from now on: what had expired does not come back, what comes is kept.
        await self.backend.retain(float(RETENTION), RULES[:1])
        await self.backend.expire(self.moment.cutoff)
        await self.backend.write(Batch.of([message("late", self.now - 100 * SECOND, name="noise")]))
        self.assertEqual(await self.all_seen(), ["job", "late"])  # type: ignore[attr-defined]
        hold = Hold(Selection(kinds=("event",)), "everything", "a test", "somebody", self.now)
        number = await self.backend.hold(hold)
        self.assertEqual(await self.all_seen(), ["job", "late"])  # type: ignore[attr-defined]
        await self.tend(3 * LONG, 6)
        self.assertEqual(await self.all_seen(), ["job", "late"])  # type: ignore[attr-defined]
        self.assertTrue(await self.backend.release(number))  # type: ignore[attr-defined]
        self.assertEqual(await self.all_seen(), [])  # type: ignore[attr-defined]
        self.assertFalse(await self.backend.release(number))  # type: ignore[attr-defined]

    async def test_what_a_rule_kept_is_there_when_it_is_gone_and_events_are_kept_longer(self) -> None:
        await self.backend.retain(float(RETENTION), RULES[:1])
        await self.backend.expire(self.moment.cutoff)
        await self.backend.write(Batch.of([message(name, self.now, name=name) for name in ("job", "node")]))
        await self.tend(RETENTION * 5 // 4, 5)
        self.assertEqual(await self.all_seen(), ["job"])  # type: ignore[attr-defined]
        longer = 2 * RETENTION
        for rules in (RULES[:1], ()):
            await self.backend.retain(float(longer), rules)
            await self.backend.expire(self.now - longer * SECOND)
            await self.backend.tend(self.now)
            moment = Moment(self.now - longer * SECOND, self.now)
            seen = [text for _, _, text, _ in await self.rows(self.backend, Selection(), moment)]
            self.assertEqual(seen, ["job"], rules)  # type: ignore[attr-defined]

    async def test_rules_that_are_tried_find_what_is_held(self) -> None:
        await self.backend.retain(float(RETENTION), ())
        await self.backend.expire(self.moment.cutoff)
        ages = range(0, 1000, 10)
        batch = [
            message(f"{age}", self.now - age * SECOND, kind, hostname=host)
            for age in ages
            for kind, host in (("log", "b01"), ("log", "b02"), ("event", "b01"), ("event", "a01"))
        ]
        await self.backend.write(Batch.of(batch))
        begin, end = self.now - 500 * SECOND, self.now - 300 * SECOND
        chosen = Selection(begin=begin, end=end, matchers=(Matcher("hostname", "=", "b01"),))
        await self.backend.hold(Hold(chosen, "host=b01", "a test", "somebody", self.now))
        await self.tend(60, 3)
        of_logs = KeepRule(Selection(kinds=("log",)), 400, "kind=log")
        question = KeepingQuestion([of_logs], RETENTION * SECOND, self.now)
        reports = {each.kind: each for each in (await self.backend.read(question, timeout=60)).reports}
        old = sum(age >= 400 - 60 for age in ages)
        held = sum(340 <= age <= 500 for age in ages)
        log, event = reports["log"], reports["event"]
        found = [
            (each.rows, each.held) for each in (log.now, log.within_a_day, event.now, event.within_a_day)
        ]
        in_time = sum(300 < age < 340 for age in ages)
        expected = [
            (2 * old - held, held),
            (2 * (100 - old) - in_time, in_time),
            (0, 0),
            (2 * 100 - held - in_time, held + in_time),
        ]
        self.assertEqual(found, expected)  # type: ignore[attr-defined]

    async def all_seen(self) -> list[str]:
        """The texts that are seen now, also by who follows."""
        found = await self.rows(self.backend, Selection(), self.moment)
        last = await self.backend.read(LastArrival(), timeout=60)
        question = Arrivals(Selection(), type(last)(0, 0), last, self.moment, 1000)
        page = await self.backend.read(question, timeout=60)
        texts = sorted(text for _, _, text, _ in found)
        self.assertEqual(texts, sorted(row.text for row in page.rows))  # type: ignore[attr-defined]
        self.assertEqual(texts, sorted(await self.viewed()))  # type: ignore[attr-defined]
        return texts

    async def viewed(self) -> list[str]:
        """The texts that the view of alex's events shows now."""
        raise NotImplementedError
