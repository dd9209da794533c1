"""What every backend has to answer: the same questions get the same answers as from a plain list."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

from ccstore.batch import Batch
from ccstore.message import Message
from ccstore.query import (
    ALL_TAGS,
    LEVEL_TAGS,
    Arrival,
    Count,
    Counting,
    Counts,
    Matcher,
    Page,
    Position,
    Selection,
    TextCondition,
)
from ccstore.storage.reading.arrived import Arrivals, LastArrival
from ccstore.storage.reading.counts import CountsQuestion, KnownValues
from ccstore.storage.reading.evaluate import evaluate
from ccstore.storage.reading.inventory import Inventory
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.reading.studying import StudyQuestion
from tests.support.insight_story import inquiries, story, without_ids
from tests.support.some_spans import SpansInquiry, some_spans, told
from tests.support.stores import NOW, MemoryBackend, message

BEFORE_ALL = -(2**63)


class ReadingContract:
    """Mixed into a test case that has a backend."""

    backend: Any

    # -- selections

    async def test_statements_select_what_python_selects(self) -> None:
        """Whatever the matchers, conditions on the text, bounds, orders, limits and positions."""
        memory = MemoryBackend()
        memory.open()
        pick = random.Random(7)
        for _ in range(12):
            batch = Batch.of([some_message(pick) for _ in range(25)])
            await self.backend.write(batch)
            await memory.write(batch)
            await self.backend.tend(NOW)
        for _ in range(250):
            selection = some_selection(pick)
            question = Pages([selection], NOW + pick.randrange(-3, 9), Limits(pick.choice((3, 40, 1000))))
            (found,) = await self.backend.read(question, timeout=60)
            (expected,) = await memory.read(question, timeout=60)
            self.assertEqual(_shown(found), _shown(expected), selection)
            test = evaluate(selection)
            for row in found.rows:
                self.assertTrue(test(found.streams[row.stream], row.othertags, row.time, row.text), row)

    async def test_pages_lead_through_everything_in_both_directions(self) -> None:
        """A thousand messages of one time, of both kinds, and some around them: none lost, none twice."""
        stored = [message(str(number), NOW, pick) for number in range(500) for pick in ("event", "log")]
        around = [message(f"at {offset}", NOW + offset, kind="log") for offset in (-2, -1, 1, 2)]
        await self.store(*around[:2], *stored, *around[2:])
        for is_newest_first in (False, True):
            after, rows = None, []
            while True:
                selection = Selection(("alex",), is_newest_first=is_newest_first, limit=77, after=after)
                (page,) = await self.backend.read(Pages([selection], BEFORE_ALL, Limits(1000)), timeout=60)
                rows += page.rows
                if not page.is_cut:
                    break
                after = Position.decode(page.rows[-1].position.encode())
            positions = [row.position for row in rows]
            self.assertEqual(positions, sorted(set(positions), reverse=is_newest_first))
            self.assertEqual(len(rows), 1004)

    # -- counts

    async def test_counts_are_those_of_the_messages(self) -> None:
        """By any labels and steps, of any selection; the total is that of its messages."""
        memory = await self._filled(11)
        pick = random.Random(11)
        labels = ("cluster", "kind", "name", "hostname", "type-id", "function", "tag.kind ", ALL_TAGS)
        labels += ("level", "tag.level")
        for _ in range(150):
            selection = some_selection(pick)
            by = tuple(pick.sample(labels, pick.choice((0, 1, 1, 2))))
            step, origin = pick.choice((None, 1, 3, 5)), pick.choice((0, 1, NOW))
            top, with_times = pick.choice((None, None, 0, 1, 3)), pick.random() < 0.5
            counting = Counting(selection, by, step, origin, top, with_times)
            question = CountsQuestion(counting, NOW + pick.randrange(-3, 9))
            found = await self.backend.read(question, timeout=60)
            expected = await memory.read(question, timeout=60)
            self.assertEqual(_counted(found), _counted(expected), counting)  # type: ignore[attr-defined]

    async def test_steps_begin_before_the_epoch_as_after_it(self) -> None:
        times = (-(2**63), -11, -10, -1, 0, 9, 10, 2**63 - 1)
        await self.backend.write(Batch.of([message(str(time), time, "log") for time in times]))
        question = CountsQuestion(Counting(Selection(end=11), step=10, origin=3), BEFORE_ALL)
        found = await self.backend.read(question, timeout=60)
        starts = sorted((count.start, count.messages) for count in found.counts)
        self.assertEqual(starts[1:], [(-17, 2), (-7, 2), (3, 2)])  # type: ignore[attr-defined]

    async def test_knows_the_values_of_labels(self) -> None:
        await self._filled(3)
        for label, values in (
            ("cluster", {"alex", "fritz"}),
            ("hostname", {"a01", "a02", "b01"}),
            ("stype", set()),
        ):
            found = await self.backend.read(KnownValues(label, 100), timeout=60)
            self.assertEqual(set(found), values)  # type: ignore[attr-defined]
            self.assertEqual(len(found), len(values))  # type: ignore[attr-defined]
        await self.backend.write(Batch.of([message(cluster="emmy", hostname="e01")]))
        found = await self.backend.read(KnownValues("hostname", 100, "emmy"), timeout=60)
        self.assertEqual([*found], ["e01"])  # type: ignore[attr-defined]

    # -- arrivals

    async def test_arrivals_are_in_their_order_and_none_is_missed(self) -> None:
        """From any moment to any other, page by page, of any selection."""
        pick = random.Random(5)
        moments = [await self.backend.read(LastArrival(), timeout=60)]
        batches: list[list[Message]] = []
        for _ in range(8):
            batches.append([some_message(pick) for _ in range(25)])
            await self.backend.write(Batch.of(batches[-1]))
            await self.backend.tend(NOW)
            moments.append(await self.backend.read(LastArrival(), timeout=60))
        for _ in range(60):
            begin, end = sorted(pick.choices(range(len(moments)), k=2))
            selection = some_selection(pick)
            came = [each for batch in batches[begin:end] for each in batch]
            test = evaluate(selection)
            expected = [
                each.text
                for kind in selection.kinds
                for each in came
                if each.kind == kind and test(each.series.stream, each.series.othertags, each.time, each.text)
            ]
            after, texts = moments[begin], []
            while True:
                question = Arrivals(selection, after, moments[end], BEFORE_ALL, 7)
                page = await self.backend.read(question, timeout=60)
                texts += [row.text for row in page.rows]
                for row in page.rows:
                    after = after.after(row.kind, row.id)
                if not page.is_cut:
                    break
                after = Arrival.decode(after.encode())
            self.assertEqual(texts, expected, selection)  # type: ignore[attr-defined]

    async def test_writes_tell_the_ids(self) -> None:
        """The last one of each kind; those before it go before."""
        for count in (1, 3):
            kinds = ("event", "log", "log")
            stored = [message(f"{place}", NOW, kind) for place in range(count) for kind in kinds]
            lasts = await self.backend.write(Batch.of(stored))
            last = await self.backend.read(LastArrival(), timeout=60)
            for kind, number in (("event", count), ("log", 2 * count)):
                after = last.after(kind, lasts[kind] - number)
                question = Arrivals(Selection(kinds=(kind,)), after, last, BEFORE_ALL, 100)  # type: ignore[arg-type]
                page = await self.backend.read(question, timeout=60)
                ids = [*range(lasts[kind] - number + 1, lasts[kind] + 1)]
                self.assertEqual([row.id for row in page.rows], ids)  # type: ignore[attr-defined]

    # -- what there is

    async def test_tells_what_it_holds(self) -> None:
        held = await self.backend.read(Inventory(10**9), timeout=60)
        self.assertEqual([each.kind for each in held.kinds], ["event", "log"])  # type: ignore[attr-defined]
        self.assertEqual([each.rows for each in held.kinds], [0, 0])  # type: ignore[attr-defined]
        self.assertEqual(held.leaving, [])  # type: ignore[attr-defined]
        await self._filled(4)
        held = await self.backend.read(Inventory(10**9), timeout=60)
        for kind in held.kinds:
            # A server counts in its own time.
            self.assertNotEqual(kind.rows, 0)  # type: ignore[attr-defined]
            self.assertLessEqual(kind.oldest, NOW + 10)  # type: ignore[attr-defined]
            self.assertGreaterEqual(kind.newest, NOW)  # type: ignore[attr-defined]

    # -- studies

    async def test_studies_find_what_they_find_in_a_list(self) -> None:
        for batch in story():
            await self.backend.write(batch)
            await self.backend.tend(NOW)
        for inquiry, expected in zip(inquiries(), answers_from_a_list(), strict=True):
            found = (await self.backend.read(StudyQuestion(inquiry, BEFORE_ALL), timeout=60)).found
            self.assertEqual(without_ids(found), expected, inquiry)  # type: ignore[attr-defined]

    async def test_spans_have_what_is_in_them(self) -> None:
        """Each row once, of each stream the newest of a span, whatever the spans of the others are."""
        memory = await self._filled(11)
        pick = random.Random(11)
        for most in (2, 1000):
            for _ in range(20):
                asked = SpansInquiry(some_spans(pick), most)
                expected = (await memory.read(StudyQuestion(asked, BEFORE_ALL), timeout=60)).found
                found = (await self.backend.read(StudyQuestion(asked, BEFORE_ALL), timeout=60)).found
                self.assertEqual(told(found), told(expected), asked)  # type: ignore[attr-defined]

    async def _filled(self, seed: int) -> MemoryBackend:
        """Write the same to this backend and to one in memory, which is given back."""
        memory = MemoryBackend()
        memory.open()
        pick = random.Random(seed)
        for _ in range(12):
            batch = Batch.of([some_message(pick) for _ in range(25)])
            await self.backend.write(batch)
            await memory.write(batch)
            await self.backend.tend(NOW)
        return memory


@cache
def answers_from_a_list() -> Sequence[Any]:
    """What each of the inquiries comes to, which takes as long as all else that is done with them."""
    memory = MemoryBackend()
    memory.open()
    found: list[Any] = []
    for batch in story():
        memory.write(batch)
    for inquiry in inquiries():
        memory.read(StudyQuestion(inquiry, BEFORE_ALL), timeout=60).addCallback(found.append)
    return [without_ids(each.found) for each in found]


def _counted(counts: Counts) -> Any:
    def in_order(found: Sequence[Count]) -> list[Count]:
        return sorted(found, key=lambda count: (count.by, count.start or 0))

    return in_order(counts.counts), counts.is_cut, in_order(counts.rest), counts.others


def _shown(page: Page) -> Any:
    return [(row.time, row.kind, row.text, row.othertags) for row in page.rows], page.is_cut


def some_message(pick: random.Random) -> Message:
    labels = {
        "hostname": pick.choice((None, "a01", "a02", "b01")),
        "type_id": pick.choice((None, "0", "1")),
        "function": pick.choice((None, "start_job", 'quo"ted', "日本")),
        "kind ": pick.choice((None, "odd")),
        **{tag: pick.choice((None, None, "err", "0", 'quo"ted', "start_job")) for tag in LEVEL_TAGS},
    }
    text = " ".join(pick.choices(("error", "Error", "ERROR", "ok", "50%", "a_b", "ß", "\n"), k=3))
    return message(
        text,
        NOW + pick.randrange(12),
        pick.choice(("event", "event", "log")),
        cluster=pick.choice(("alex", "fritz")),
        name=pick.choice(("job", "slurmd")),
        **{label: value for label, value in labels.items() if value is not None},
    )


def some_selection(pick: random.Random) -> Selection:
    ops: Any = ("=", "!=", "=~", "!~")
    values = ("a01", "0", "start_job", 'quo"ted', "日本", "job", "", "a.*", "a0[12]|b01", ".*", "(?i)JOB")
    words = ("error", "0%", "a_b", "e.r", "SS")
    labels = (
        "hostname",
        "name",
        "type-id",
        "cluster",
        "function",
        "kind ",
        "none such",
        "level",
        "tag.level",
    )
    text_ops: Any = ("contains", "lacks", "matches", "fails")
    after = Position(NOW + pick.randrange(12), pick.choice(("event", "log")), pick.choice((0, 2**62)))
    return Selection(
        pick.choice(((), (), ("alex",), ("alex", "fritz"), ("nobody",))),
        pick.choice((("event", "log"), ("event",), ("log",))),
        NOW + pick.randrange(-1, 8),
        NOW + pick.randrange(4, 14),
        tuple(
            Matcher(pick.choice(labels), pick.choice(ops), pick.sample(values, pick.choice((1, 1, 1, 2, 3))))
            for _ in range(pick.choice((0, 0, 1, 1, 2)))
        ),
        tuple(
            TextCondition(pick.choice(text_ops), pick.choice(words), pick.random() < 0.4)
            for _ in range(pick.choice((0, 0, 1, 2)))
        ),
        is_newest_first=pick.random() < 0.5,
        limit=pick.choice((None, None, 0, 1, 20)),
        after=pick.choice((None, None, after)),
    )
