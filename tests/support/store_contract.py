"""What every backend has to do: the same writes and the same questions give the same answers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

from zope.interface.verify import verifyObject

from ccstore.batch import Batch
from ccstore.interfaces import IBackend, QueryTimeout, StoreError, StoreUnavailable
from ccstore.message import Message
from ccstore.query import Page, Selection
from tests.support.reading_contract import ReadingContract
from tests.support.stores import NOW, SECOND, ask, asking, message, messages

BEFORE_ALL = -(2**63)

#: Names that are harmless only as long as they are quoted.
CLUSTERS = (
    "my-cluster",
    "eventx",
    "logs",
    "x; drop table y",
    "日本",
    "Alex",
    "alex",
    "sqlite",
    "a\"b'c",
    "a%b_c",
    "event_1",
    "stream",
    "ccstore_event_rows",
    "ccstore_event_rows-x",
    "ccstore_log_rows_1_0",
)

TEXTS = (
    "",
    " ",
    'it\'s "quoted" -- and; so on',
    "two\nlines\r\nand\ta tab",
    "\0",
    "before\0after",
    '{"jobId": 69, "script": "#!/bin/bash\\n"}',
    "%s ? :name $1",
    "日本 \U0001f680 e\u0301",
    "1234",
    "x" * 2**20,
)

#: Around the numbers of rows that one statement takes, and sums of them.
BATCH_SIZES = (0, 1, 2, 7, 8, 9, 16, 63, 64, 65, 72, 511, 512, 513, 585, 4095, 4096, 4097, 4681, 9362)


class StoreContract(ReadingContract):
    """Mixed into a test case, with :meth:`make_backend` to say which backend it is about."""

    backend: Any
    now = NOW
    #: Whether a text may have a NUL in it.
    stores_nul = True

    def make_backend(self) -> Any:
        """A backend that is not open yet; nothing in it."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.backend = self.make_backend()
        self.backend.open()
        self.addCleanup(lambda: self.backend.close())  # type: ignore[attr-defined]

    async def pages(
        self, *queries: Selection, cutoff: int = BEFORE_ALL, max_rows: int = 10**6, timeout: float = 60
    ) -> Sequence[Page]:
        return await ask(self.backend, queries, cutoff=cutoff, max_rows=max_rows, timeout=timeout)

    async def texts(self, cluster: str = "alex", cutoff: int = BEFORE_ALL, **asked: Any) -> list[str]:
        """The texts of what one query finds."""
        (page,) = await self.pages(asking(cluster, **asked), cutoff=cutoff)
        self.assertFalse(page.is_cut)
        return [row.text for row in page.rows]

    async def shown(self) -> list[str]:
        """The texts that the view of alex's events shows, if there are views."""
        return await self.texts()

    async def store(self, *stored: Message) -> None:
        await self.backend.write(Batch.of(stored))

    def test_provides_the_interface(self) -> None:
        self.assertTrue(verifyObject(IBackend, self.backend))
        self.assertIsInstance(self.backend.describe(), str)

    # -- what is announced

    async def test_what_is_announced_is_there_once_it_is_written(self) -> None:
        parts = [messages(text, NOW + 10 * place) for place, text in enumerate(("ab", "cd", "ef"))]
        await self.store(message("first"))
        for count in (1, 2):
            self.backend.announce(parts[:count])
        self.assertEqual(await self.texts(), ["first"])
        await self.backend.write(Batch.together(parts))
        self.assertEqual(await self.texts(), ["first", *"abcdef"])

    async def test_what_is_announced_and_not_written_is_not_there(self) -> None:
        for work in (lambda: self.store(message("other")), lambda: self.backend.tend(NOW)):
            self.backend.announce([messages("ab", hostname="announced")])
            await work()
            self.assertEqual(await self.texts(hostname="announced"), [])
        parts = [messages("ab", hostname="announced"), messages("c", NOW + 10)]
        self.backend.announce(parts[:1])
        await self.store(message("another"))
        await self.backend.write(Batch.together(parts))
        self.assertEqual(await self.texts(), ["other", "another", *"abc"])

    # -- what is found

    async def test_finds_time_and_text(self) -> None:
        await self.store(message("hello", NOW + 7))
        (page,) = await self.pages(asking("alex"))
        (row,) = page.rows
        time, text = row.time, row.text
        self.assertEqual((time, text, page.is_cut), (NOW + 7, "hello", False))

    async def test_finds_nothing_in_an_unknown_cluster(self) -> None:
        await self.store(message())
        (page,) = await self.pages(asking("fritz"))
        self.assertEqual((list(page.rows), page.is_cut), ([], False))

    async def test_each_column_filters(self) -> None:
        columns = {
            "name": "name",
            "hostname": "hostname",
            "type": "type",
            "typeid": "type_id",
            "stype": "stype",
            "stypeid": "stype_id",
        }
        for tag in columns.values():
            await self.store(message(f"{tag}=a", **{tag: "a"}), message(f"{tag}=b", **{tag: "b"}))
        for column, tag in columns.items():
            self.assertEqual(await self.texts(**{column: "a"}), [f"{tag}=a"])
            self.assertEqual(await self.texts(**{column: "c"}), [])

    async def test_all_filters_must_match(self) -> None:
        values = [{"hostname": host, "name": name} for host in "ab" for name in "xy"]
        await self.store(*[message(value["hostname"] + value["name"], **value) for value in values])
        for value in values:
            self.assertEqual(await self.texts(**value), [value["hostname"] + value["name"]])

    async def test_a_filter_that_is_not_given_matches_anything(self) -> None:
        await self.store(message("none"), message("empty", hostname=""), message("some", hostname="a0101"))
        self.assertEqual(await self.texts(), ["none", "empty", "some"])
        self.assertEqual(await self.texts(name="job"), ["none", "empty", "some"])

    async def test_a_label_that_a_message_lacks_is_the_empty_string(self) -> None:
        await self.store(message("none"), message("empty", hostname=""), message("a", hostname="a"))
        self.assertEqual(await self.texts(hostname=""), ["none", "empty"])

    async def test_filters_heed_case_and_have_no_wildcards(self) -> None:
        await self.store(message("upper", hostname="A"), message("lower", hostname="a"))
        self.assertEqual(await self.texts(hostname="a"), ["lower"])
        self.assertEqual(await self.texts(hostname="%"), [])

    async def test_equal_series_are_one(self) -> None:
        """Senders do not share a series, and other tags are no part of what is asked for."""
        await self.store(message("1", hostname="a"), message("2", hostname="a", function="start_job"))
        await self.store(message("3", hostname="a", function="stop_job"))
        self.assertEqual(await self.texts(hostname="a"), ["1", "2", "3"])

    async def test_both_ends_of_the_time_belong_to_it(self) -> None:
        await self.store(*[message(str(offset), NOW + offset) for offset in range(5)])
        self.assertEqual(await self.texts(begin=NOW + 1, end=NOW + 3), ["1", "2", "3"])
        self.assertEqual(await self.texts(begin=NOW + 2, end=NOW + 2), ["2"])
        self.assertEqual(await self.texts(begin=NOW + 3, end=NOW + 2), [])

    async def test_times_may_be_negative_and_huge(self) -> None:
        times = [2**63 - 1, -1, 0, -(2**63), 1]
        await self.store(*[message(str(time), time, "log") for time in times])
        self.assertEqual(await self.texts(kind="log"), [str(time) for time in sorted(times)])
        self.assertEqual(await self.texts(kind="log", end=-1), [str(-(2**63)), "-1"])
        self.assertEqual(await self.texts(kind="log", begin=2**63 - 1), [str(2**63 - 1)])

    async def test_events_and_logs_are_apart(self) -> None:
        await self.store(message("event"), message("log", kind="log"))
        self.assertEqual(await self.texts(), ["event"])
        self.assertEqual(await self.texts(kind="log"), ["log"])

    async def test_cluster_names_are_only_names(self) -> None:
        kinds = ("event", "log")
        stored = [
            message(f"{kind} of {name}", kind=kind, cluster=name) for name in CLUSTERS for kind in kinds
        ]
        await self.store(*stored)
        await self.store(*stored)
        await self.backend.tend(NOW)
        for name, kind in itertools.product(CLUSTERS, kinds):
            self.assertEqual(await self.texts(name, kind=kind), 2 * [f"{kind} of {name}"])

    async def test_texts_come_back_as_they_were(self) -> None:
        stored = self.storable(TEXTS)
        await self.store(*messages(stored))
        self.assertEqual(await self.texts(), stored)

    def storable(self, texts: Sequence[str]) -> list[str]:
        return [text for text in texts if self.stores_nul or "\0" not in text]

    async def test_a_nul_is_stored_or_refused(self) -> None:
        if self.stores_nul:
            await self.store(message("before\0after"))
            self.assertEqual(await self.texts(), ["before\0after"])
        else:
            await self.refuses(message("before\0after"))
            await self.refuses(message(hostname="a\0b"), stored=1)

    async def test_tags_are_only_text(self) -> None:
        texts = self.storable(TEXTS[:-1])
        for text in texts:
            await self.store(message(text, cluster="tags", hostname=text, name=text, other=text))
        for text in texts:
            self.assertEqual(await self.texts("tags", hostname=text, name=text), [text])

    async def test_a_batch_of_any_size_is_stored_whole(self) -> None:
        for size in BATCH_SIZES:
            cluster = f"of {size}"
            texts = [f"{index} of {size}" for index in range(size)]
            await self.store(*messages(texts, cluster=cluster))
            self.assertEqual(await self.texts(cluster), texts)

    async def test_a_batch_may_mix_clusters_and_kinds(self) -> None:
        kinds = itertools.cycle(("event", "log", "log"))
        await self.store(*[message(str(n), NOW, next(kinds), cluster=f"c{n % 4}") for n in range(600)])
        found = []
        for cluster, kind in itertools.product(("c0", "c1", "c2", "c3"), ("event", "log")):
            found.append(await self.texts(cluster, kind=kind))
            self.assertEqual(found[-1], sorted(found[-1], key=int))
        self.assertEqual(sorted(map(int, itertools.chain(*found))), list(range(600)))

    async def test_many_streams_match(self) -> None:
        """As few as can be looked up one by one, as many as that, and more."""
        for hosts in (199, 200, 201, 700):
            cluster = f"of {hosts}"
            texts = [str(host) for host in range(hosts)]
            await self.store(*[message(text, cluster=cluster, hostname=text, name="up") for text in texts])
            await self.store(message("another", cluster=cluster, name="down"))
            self.assertEqual(await self.texts(cluster, name="up"), texts)
            (page,) = await self.pages(asking(cluster, name="up"), max_rows=3)
            self.assertEqual([row.text for row in page.rows], texts[:3])

    # -- the order

    async def test_rows_order_by_time(self) -> None:
        await self.store(message("c", NOW + 3), message("a", NOW + 1, hostname="x"))
        await self.store(message("b", NOW + 2), message("d", NOW + 4))
        self.assertEqual(await self.texts(), ["a", "b", "c", "d"])

    async def test_rows_of_one_time_order_by_arrival(self) -> None:
        texts = [str(index % 7) for index in range(50)]
        for index in range(0, 50, 5):
            await self.store(
                *[message(text, hostname=text) for text in texts[index : index + 5]],
            )
        self.assertEqual(await self.texts(), texts)

    async def test_ids_rise_with_arrival_among_one_kind(self) -> None:
        for index in range(20):
            await self.store(message(str(index), NOW - index), message("log", kind="log"))
        (page,) = await self.pages(asking("alex"))
        self.assertEqual(
            [row.text for row in sorted(page.rows, key=lambda row: row.id)], [*map(str, range(20))]
        )
        self.assertEqual(len({row.id for row in page.rows}), 20)

    # -- pages

    async def test_a_page_for_each_query_in_their_order(self) -> None:
        await self.store(message("a", hostname="a"), message("b", hostname="b"))
        pages = await self.pages(*[asking("alex", hostname=host) for host in "bcab"])
        self.assertEqual([[row.text for row in page.rows] for page in pages], [["b"], [], ["a"], ["b"]])

    async def test_no_query_no_page(self) -> None:
        self.assertEqual(list(await self.pages()), [])

    async def test_the_first_rows_are_kept_of_too_many(self) -> None:
        await self.store(*[message(str(index), NOW - index) for index in range(5)])
        (page,) = await self.pages(asking("alex"), max_rows=2)
        self.assertEqual(([row.text for row in page.rows], page.is_cut), (["4", "3"], True))

    async def test_a_page_that_is_just_full_is_not_cut(self) -> None:
        await self.store(*messages("abc"))
        (page,) = await self.pages(asking("alex"), max_rows=3)
        self.assertEqual((len(page.rows), page.is_cut), (3, False))

    async def test_rows_count_over_all_pages(self) -> None:
        await self.store(*messages("abc", hostname="a"), *messages("def", hostname="b"))
        asked = [asking("alex", hostname=host) for host in ("a", "b", "a", "nobody")]
        pages = await self.pages(*asked, max_rows=4)
        self.assertEqual([len(page.rows) for page in pages], [3, 1, 0, 0])
        self.assertEqual([page.is_cut for page in pages], [False, True, True, False])

    # -- what expires

    async def test_the_cutoff_hides_events(self) -> None:
        await self.store(*[message(str(offset), NOW + offset) for offset in range(3)])
        self.assertEqual(await self.texts(cutoff=NOW - 1), ["0", "1", "2"])
        self.assertEqual(await self.texts(cutoff=NOW), ["1", "2"])
        self.assertEqual(await self.texts(cutoff=NOW + 2), [])
        self.assertEqual(await self.texts(cutoff=NOW, begin=NOW + 2), ["2"])

    async def test_the_cutoff_does_not_hide_logs(self) -> None:
        await self.store(message("log", kind="log"), message("log of eventx", kind="log", cluster="eventx"))
        self.assertEqual(await self.texts(kind="log", cutoff=NOW + 1), ["log"])
        self.assertEqual(await self.texts("eventx", kind="log", cutoff=NOW + 1), ["log of eventx"])

    async def test_expiring_keeps_what_is_newer_and_all_logs(self) -> None:
        for cluster, kind in itertools.product(("alex", "eventx"), ("event", "log")):
            await self.store(message("old", NOW, kind, cluster=cluster))
            await self.store(message("new", NOW + 1, kind, cluster=cluster))
        expired = await self.backend.expire(NOW)
        self.assertIn(expired, range(3))
        for cluster in ("alex", "eventx"):
            self.assertEqual(await self.texts(cluster, cutoff=NOW), ["new"])
            self.assertEqual(await self.texts(cluster, kind="log", cutoff=NOW), ["old", "new"])

    async def test_what_has_expired_does_not_come_back(self) -> None:
        """Also when events are kept longer; but what comes late after that is there."""
        await self.store(message("old", NOW), message("new", NOW + 1))
        for cutoff, late in ((NOW, "first"), (NOW - 10 * SECOND, "second"), (NOW - 20 * SECOND, "third")):
            await self.backend.expire(cutoff)
            await self.backend.tend(self.now)
            await self.store(message(late, cutoff + 1))
        self.assertEqual(sorted(await self.texts()), ["first", "new", "second", "third"])
        self.assertEqual(sorted(await self.shown()), ["first", "new", "second", "third"])
        await self.backend.expire(NOW - SECOND)
        self.assertEqual(sorted(await self.texts()), ["first", "new"])
        self.assertEqual(sorted(await self.shown()), ["first", "new"])

    async def test_expires_in_any_order_of_times(self) -> None:
        """Whatever comes when, and however long events are kept: it is as if they were in a plain list."""
        for seed in range(4):
            chance = random.Random(seed)
            left = [message(f"{seed}", NOW)]
            await self.store(*left)
            for step in range(40):
                if chance.random() < 0.5:
                    times = [NOW - chance.randrange(1000) * SECOND for _ in range(chance.randint(1, 5))]
                    stored = [
                        message(f"{seed} {step} {place}", time, hostname=chance.choice("ab"))
                        for place, time in enumerate(times)
                    ]
                    await self.store(*stored)
                    left += stored
                elif chance.random() < 0.5:
                    cutoff = NOW - chance.randrange(300, 1000) * SECOND
                    await self.backend.expire(cutoff)
                    left = [each for each in left if each.time > cutoff]
                else:
                    self.now += 10 * SECOND
                    await self.backend.tend(self.now)
                expected = sorted(each.text for each in left)
                self.assertEqual(sorted(await self.texts()), expected, (seed, step))
                self.assertEqual(sorted(await self.shown()), expected, (seed, step))
            await self.backend.expire(NOW)

    async def test_goes_on_after_everything_expired(self) -> None:
        await self.store(message("old"))
        await self.backend.expire(NOW)
        await self.store(message("new", NOW + 1))
        self.assertEqual(await self.texts(cutoff=NOW), ["new"])

    async def test_another_retention_changes_nothing_that_is_stored(self) -> None:
        for retention in (160.0, 160_000.0, 16.0):
            await self.backend.retain(retention)
            await self.store(message(str(retention)))
            await self.backend.tend(NOW)
        self.assertEqual(await self.texts(), ["160.0", "160000.0", "16.0"])

    # -- errors

    async def refuses(self, bad: Message, stored: int = 0) -> None:
        """The batch is refused for good, and nothing of it is stored besides what was before."""
        with self.assertRaises(StoreError) as caught:
            await self.store(message("good"), bad, message("good", kind="log"))
        self.assertNotIsInstance(caught.exception, StoreUnavailable)
        self.assertEqual(await self.texts(), ["good"] * stored)
        self.assertEqual(await self.texts(kind="log"), [])
        await self.store(message("good"))
        self.assertEqual(await self.texts(), ["good"] * (stored + 1))

    async def test_refuses_a_message_without_cluster(self) -> None:
        await self.refuses(message(cluster=None))

    async def test_refuses_a_text_that_is_not_unicode(self) -> None:
        await self.refuses(message("\ud800"))

    async def test_refuses_a_time_that_is_out_of_range(self) -> None:
        await self.refuses(message(time=2**63))

    async def test_a_query_without_time_left_times_out(self) -> None:
        await self.store(message())
        with self.assertRaises(QueryTimeout) as caught:
            await self.pages(asking("alex"), timeout=-1)
        self.assertTrue(str(caught.exception))
        self.assertEqual(await self.texts(), ["text"])

    async def test_is_unavailable_once_closed(self) -> None:
        await self.store(message())
        await self.backend.close()
        with self.assertRaises(StoreUnavailable):
            await self.store(message())
        with self.assertRaises(StoreUnavailable):
            await self.pages(asking("alex"))

    async def test_has_a_status_at_any_time(self) -> None:
        self.assertIsInstance(dict(self.backend.status()), dict)
        await self.backend.tend(NOW + SECOND)
        self.assertTrue(self.backend.status())
