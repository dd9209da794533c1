"""The life of the storage service, what queries see, housekeeping, and figures."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs, formatEvent

from ccstore.interfaces import (
    QueryTimeout,
    Refusal,
    StoreError,
    StoreUnavailable,
)
from ccstore.query import Page, Row
from ccstore.storage.answering import Patience
from ccstore.storage.reading.moment import Moment
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.schedule import expiry_interval
from tests.support.service_case import LOCKED, RETENTION, START, ServiceCase
from tests.support.stores import SECOND, ScriptedBackend, asking


class StartTests(ServiceCase):
    def test_does_not_run_on_a_backend_that_does_not_open(self) -> None:
        class Broken(ScriptedBackend):
            def open(self) -> None:
                raise StoreError("cannot open the database")

        self.backend = Broken()
        with self.assertRaises(StoreError):
            self.start()
        self.clock.advance(100)
        self.assertFalse(self.service.running)
        self.assertEqual((self.backend.cutoffs, self.backend.tended), ([], []))


class ReadYourWritesTests(ServiceCase):
    """A query sees what was accepted before it."""

    def test_does_not_wait_long_in_a_flood(self) -> None:
        self.start(patience=Patience(flood=3))
        self.accept("abcd")
        for texts in ("efg", "h"):
            self.accept(texts, urgent=False)
            self.query()
        self.clock.advance(0.01)
        self.assertEqual(len(self.backend.queries), 1)  # the first did not see a flood yet
        self.commit()
        self.commit()
        self.assertEqual(len(self.backend.queries), 2)

    def test_does_not_wait_when_more_than_a_batch_is_behind(self) -> None:
        self.start(batch_size=2, largest=2)
        self.accept("a")
        self.accept("bc", urgent=False)
        self.query()
        self.assertEqual(self.backend.queries, [])
        self.accept("d", urgent=False)
        self.query()
        self.assertEqual(len(self.backend.queries), 1)

    def test_waits_for_what_was_accepted_before(self) -> None:
        self.accept("a")
        self.accept("b", urgent=False)
        found = self.query()
        self.commit()
        self.assertEqual(self.backend.queries, [])
        self.commit()
        self.assertEqual(len(self.backend.queries), 1)
        pages = [Page([Row(1, "event", 1, 0, "a", None)])]
        self.backend.queries[0].succeed(pages)
        self.assertEqual(self.successResultOf(found), pages)

    def test_what_lingers_is_written_for_it(self) -> None:
        self.accept("a", urgent=False)
        self.query()
        self.assertEqual(self.backend.written, [["a"]])
        self.assertEqual(self.status()["query_flushes"], 1)

    def test_does_not_wait_for_what_comes_later(self) -> None:
        self.accept("a")
        self.query()
        self.accept("b")
        self.accept("c")
        self.commit()
        self.assertEqual(self.backend.written, [["a"], ["b", "c"]])
        self.assertEqual(len(self.backend.queries), 1)

    def test_does_not_wait_when_all_is_committed(self) -> None:
        self.query()
        self.accept("a")
        self.commit()
        self.query()
        self.assertEqual(len(self.backend.queries), 2)
        self.assertEqual(self.status()["query_flushes"], 0)

    def test_does_not_wait_for_a_backend_that_takes_no_writes(self) -> None:
        turned_away = self.accept("a")
        self.lock()
        self.failureResultOf(turned_away, StoreUnavailable)
        self.query()
        self.assertEqual(len(self.backend.queries), 1)

    def test_waits_two_seconds_at_most(self) -> None:
        self.accept("a")
        self.query()
        self.clock.advance(1.9)
        self.assertEqual(self.backend.queries, [])
        self.clock.advance(0.1)
        self.assertEqual(len(self.backend.queries), 1)
        self.commit()
        self.assertEqual(len(self.backend.queries), 1)

    def test_passes_on_what_is_asked_and_what_has_expired(self) -> None:
        self.query()
        self.assertEqual(
            self.backend.queries[0].argument,
            (
                Pages(
                    [asking("alex")],
                    Moment(int((START - RETENTION) * SECOND), int(START * SECOND)),
                    Limits(10),
                ),
                5.0,
            ),
        )

    def test_passes_on_what_goes_wrong(self) -> None:
        found = self.query()
        self.backend.queries[0].fail(QueryTimeout("the query took too long"))
        self.failureResultOf(found, QueryTimeout)


class StopTests(ServiceCase):
    """At the end everything that was accepted is in the file."""

    def test_writes_everything_and_then_closes(self) -> None:
        self.start(batch_size=3, largest=3)
        accepted = [self.accept(texts) for texts in ("a", "bc", "de")]
        accepted.append(self.accept("f", urgent=False))
        stopped = self.service.stopService()
        for _ in range(3):
            self.assertNoResult(stopped)
            self.assertTrue(self.backend.is_open)
            self.commit()
        self.successResultOf(stopped)
        self.assertFalse(self.backend.is_open)
        self.assertEqual(self.backend.written, [["a"], list("bc"), list("def")])
        for committed in accepted:
            self.assertEqual(list(self.successResultOf(committed)), [])

    def test_writes_what_lingers(self) -> None:
        committed = self.accept("a", urgent=False)
        stopped = self.service.stopService()
        self.assertEqual(self.backend.written, [["a"]])
        self.commit()
        self.successResultOf(stopped)
        self.successResultOf(committed)

    def test_closes_at_once_if_nothing_waits(self) -> None:
        self.successResultOf(self.service.stopService())
        self.assertFalse(self.backend.is_open)

    def test_leaves_nothing_for_later(self) -> None:
        self.accept("a", urgent=False)
        self.query()
        self.service.stopService()
        self.commit()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_comes_during_the_stop_is_written_too(self) -> None:
        self.accept("a")
        stopped = self.service.stopService()
        committed = self.accept("b", urgent=False)
        self.commit()
        self.commit()
        self.successResultOf(committed)
        self.successResultOf(stopped)

    def test_what_comes_after_it_is_refused(self) -> None:
        self.successResultOf(self.service.stopService())
        for urgent in (True, False):
            self.failureResultOf(self.accept("a", urgent=urgent), StoreUnavailable)
        self.assertEqual(self.backend.writes, [])

    def test_tries_once_more_and_gives_up_if_unavailable(self) -> None:
        committed = self.accept("a", urgent=False)
        self.service.flush()
        self.lock()
        self.clock.advance(0.1)
        self.lock()
        waiting = self.accept("b", urgent=False)
        stopped = self.service.stopService()
        self.clock.advance(0)
        self.assertEqual(self.backend.written, 3 * [["a"]])
        self.lock()
        self.failureResultOf(committed, StoreUnavailable)
        # A lock takes its time to be found, so it is not looked for again.
        self.assertEqual(len(self.backend.writes), 3)
        self.failureResultOf(waiting, StoreUnavailable)
        self.successResultOf(stopped)
        self.assertFalse(self.backend.is_open)

    def test_the_last_try_may_succeed(self) -> None:
        committed = self.accept("a", urgent=False)
        self.service.flush()
        self.lock()
        stopped = self.service.stopService()
        self.clock.advance(0)
        self.commit()
        self.successResultOf(committed)
        self.successResultOf(stopped)

    def test_becoming_unavailable_during_the_stop_does_not_hold_it_up(self) -> None:
        committed = self.accept("a")
        stopped = self.service.stopService()
        self.lock()
        self.failureResultOf(self.accept("b", urgent=False), StoreUnavailable)
        self.clock.advance(0.1)
        self.lock()
        self.failureResultOf(committed, StoreUnavailable)
        self.successResultOf(stopped)

    def test_becoming_unavailable_in_the_middle_of_halving_does_not_hold_it_up(self) -> None:
        committed = self.accept("abcd")
        stopped = self.service.stopService()
        self.backend.writes[-1].fail(StoreError("no"))
        self.commit()
        for _ in range(2):
            self.lock()
            self.clock.advance(0.1)
        self.assertEqual(self.backend.written, [list("abcd"), list("ab"), list("cd"), list("cd")])
        refusals = self.successResultOf(committed)
        self.assertEqual(list(refusals), [Refusal(2, LOCKED), Refusal(3, LOCKED)])
        self.successResultOf(stopped)

    def test_housekeeping_that_has_begun_ends_first(self) -> None:
        expiring: Deferred[int] = Deferred()
        self.backend.expiring = lambda: expiring
        self.clock.advance(expiry_interval(RETENTION))
        stopped = self.service.stopService()
        self.assertTrue(self.backend.is_open)
        expiring.callback(3)
        self.successResultOf(stopped)
        self.assertFalse(self.backend.is_open)


class HousekeepingTests(ServiceCase):
    """What is done from time to time."""

    def test_events_expire(self) -> None:
        self.backend.cutoffs.clear()
        self.clock.pump([30, 30, 30, 30])
        self.assertEqual(
            self.backend.cutoffs, [int((START + passed - RETENTION) * SECOND) for passed in (60, 120)]
        )

    def test_begins_with_the_service(self) -> None:
        self.assertEqual(self.backend.cutoffs, [int((START - RETENTION) * SECOND)])
        self.assertEqual(self.backend.tended, [int(START * SECOND)])

    def test_the_backend_is_tended_every_second(self) -> None:
        self.clock.pump([0.5] * 6)
        self.assertEqual(self.backend.tended, [int((START + passed) * SECOND) for passed in range(4)])

    def test_one_begins_when_the_last_has_ended(self) -> None:
        tending: Deferred[None] = Deferred()
        self.backend.tending = lambda: tending
        self.clock.pump([1] * 5)
        self.assertEqual(len(self.backend.tended), 2)
        tending.callback(None)
        self.clock.pump([1] * 5)
        self.assertGreater(len(self.backend.tended), 5)

    def test_survives_whatever_happens(self) -> None:
        def stumble() -> Deferred[Any]:
            raise ZeroDivisionError

        self.backend.expiring = lambda: fail(StoreUnavailable(LOCKED))
        self.backend.tending = stumble
        with capturedLogs() as logs:
            self.clock.pump([10] * 12)
        self.assertEqual(len(self.backend.cutoffs), 3)
        self.assertEqual(len(self.backend.tended), 13)
        self.assertEqual(
            self.service.stats()["backend"]["errors"], {"delete_sql_exec_failed": 2, "tend_failed": 12}
        )
        # Each is said once in a while, and in a line if the cause is known.
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        said = [formatEvent(event) for event in logs if "log_failure" not in event]
        self.assertEqual(said, [f"cannot delete expired events, will try again: {LOCKED}"] * 2)

    def test_trouble_that_shows_while_nothing_is_written(self) -> None:
        """It is found out whether writing works, and known until it does again."""
        self.backend.tending = lambda: fail(StoreUnavailable("the file is gone"))
        with capturedLogs() as logs:
            self.clock.advance(1)
            self.assertEqual(self.backend.written, [[]])
            self.backend.writes[-1].fail(StoreUnavailable("the file is gone"))
            self.assertEqual(self.service.unreadiness(), "the file is gone")
            self.failureResultOf(self.accept("a"), StoreUnavailable)
            for _ in range(20):
                self.clock.advance(1)
                if not self.backend.writes[-1].answer.called:
                    self.backend.writes[-1].fail(StoreUnavailable("the file is gone"))
        self.assertEqual(
            [formatEvent(event) for event in logs],
            ["cannot write: the file is gone; 0 messages are waiting, trying again"],
        )
        self.backend.tending = lambda: succeed(None)
        while self.backend.writes[-1].answer.called:
            self.clock.advance(1)
        self.commit()
        self.assertIsNone(self.service.unreadiness())
        self.accept("b")
        self.assertEqual(self.backend.written[-1], ["b"])

    def test_trouble_that_does_not_concern_writing_is_only_said(self) -> None:
        self.backend.tending = lambda: fail(StoreUnavailable(LOCKED))
        with capturedLogs() as logs:
            self.clock.advance(1)
            self.commit()
        self.assertIsNone(self.service.unreadiness())
        self.assertEqual(
            [formatEvent(event) for event in logs], [f"cannot tidy up, will try again: {LOCKED}"]
        )

    def test_the_interval_follows_the_retention_time(self) -> None:
        self.assertEqual([expiry_interval(seconds) for seconds in (1, 8, 64, 86400)], [0.25, 0.25, 2, 60])

    def test_counts_what_has_expired(self) -> None:
        counts = iter((7, 0, 5))
        self.backend.expiring = lambda: succeed(next(counts))
        self.clock.pump([60] * 3)
        self.assertEqual(self.service.stats()["backend"]["status"]["expired"], 12)


class StatsTests(ServiceCase):
    """What the REST interface shows."""

    def test_shape(self) -> None:
        self.assertEqual(
            self.service.stats(),
            {
                "manager": {
                    "errors": {},
                    "status": {
                        "processed": 0,
                        "flushed": 0,
                        "write_batch": 0,
                        "timer_flushes": 0,
                        "query_flushes": 0,
                        "queries": 0,
                        "waiting": 0,
                    },
                },
                "backend": {"errors": {}, "status": {"writes": 0, "expired": 0}},
                "storage": {
                    "write_seconds": 0.0,
                    "waiting_limit": 1000,
                    "oldest_waiting_seconds": 0.0,
                    "retention_seconds": RETENTION,
                    "next_expiry": START + 60.0,
                },
                "info": {"backend_type": "scripted", "flush_time": "1s", "retention_time": "53m20s"},
            },
        )

    def test_counts(self) -> None:
        self.accept("abc")
        self.accept("de")
        self.service.answers.pages([asking("alex")] * 2, max_rows=10, timeout=5.0)
        self.commit()
        status = self.status()
        expected = {"processed": 5, "flushed": 3, "write_batch": 1, "queries": 2, "waiting": 2}
        self.assertEqual({name: status[name] for name in expected}, expected)

    def test_durations_are_never_rounded(self) -> None:
        self.start(retention=30 * 86400.0 + 1, flush_time=0.25)
        info = self.service.stats()["info"]
        self.assertEqual((info["retention_time"], info["flush_time"]), ("30d1s", "250ms"))
