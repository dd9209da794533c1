"""The watch over the senders, on a clock and a store of the test."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ccstore.accounting.diagnosis import silent_hosts, skewed_hosts
from ccstore.batch import Batch
from ccstore.errors import StoreUnavailable
from ccstore.message import Series
from ccstore.query import Count, Counting, Counts
from ccstore.senders.register import SenderRegister
from ccstore.senders.sender_watch import SenderWatch
from ccstore.timing import SECOND, nanoseconds

START = 1_700_000_000.0


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.asked: list[Counting] = []
        self.held: Callable[[Counting], Deferred[Counts]] = lambda counting: succeed(Counts([]))

    def start(self, *, is_shared: bool = False) -> None:
        def counts(counting: Counting) -> Deferred[Counts]:
            self.asked.append(counting)
            return self.held(counting)

        self.register = SenderRegister()
        self.watch = SenderWatch(
            self.register, self.clock, lambda: succeed(None), counts, is_shared=is_shared
        )
        self.watch.start()
        self.addCleanup(self.watch.stop)

    def send(self, hosts: int, seconds: int, *, every: int = 5, cluster: str = "alex") -> None:
        """So many hosts send for some time."""
        series = [
            Series.of_key(f"slurmd,cluster={cluster},hostname=a{number:04} log=") for number in range(hosts)
        ]
        for _ in range(0, seconds, every):
            now = nanoseconds(self.clock.seconds())
            self.register.hear("tcp", Batch(series, ["x"] * hosts, [now] * hosts), now)
            self.wait(every)

    def wait(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)

    def silent(self) -> dict[str, int]:
        figures = self.watch.figures()
        return dict(figures["silent"])

    def test_a_host_that_goes_silent_is_told_of_and_one_that_comes_back_is_not(self) -> None:
        self.start()
        self.send(10, 600)
        self.assertEqual(self.silent(), {"alex": 0})
        self.send(9, 100)
        self.assertEqual(self.silent(), {"alex": 1})
        (host,) = self.watch.silence()["hosts"]  # type: ignore[misc]
        self.assertEqual((host["host"], host["cluster"]), ("a0009", "alex"))
        self.assertRegex(host["says"], "usually every 5 s, longest gap 5 s, silent for 10. s")
        self.send(10, 30)
        self.assertEqual(self.silent(), {"alex": 0})

    def test_a_maintenance_is_one_finding(self) -> None:
        self.start()
        self.send(128, 600)
        self.send(8, 300)
        self.assertEqual(self.silent(), {"alex": 120})
        (finding,) = silent_hosts({"silence": self.watch.silence()})
        self.assertRegex(
            finding.says, r"120 of 128 hosts of alex are silent since 2023-11-14 .*\(a\[0008-0127\]\)"
        )
        self.assertFalse(finding.is_problem)

    def test_clusters_have_figures_up_to_a_bound(self) -> None:
        self.start()
        for number in range(25):
            self.send(2 if number < 20 else 1, 5, cluster=f"c{number:02}")
        self.wait(10)
        hosts = self.watch.figures()["hosts"]
        self.assertEqual((len(hosts), hosts["c00"], hosts["(others)"]), (21, 2, 5))

    def test_a_wrong_clock_is_told_of(self) -> None:
        self.start()
        one = Series.of_key("slurmd,cluster=alex,hostname=a1 log=")
        now = nanoseconds(self.clock.seconds())
        self.register.hear("tcp", Batch([one], ["x"], [now - 3600 * SECOND]), now)
        self.wait(10)
        figures = self.watch.figures()
        self.assertEqual((figures["skewed"], figures["worst_skew_seconds"]), ({"alex": 1}, {"alex": -3600.0}))
        (finding,) = skewed_hosts({"senders": figures})
        self.assertIn("the worst by -3600 s", finding.says)

    def test_what_the_store_knows_is_learnt_even_if_it_has_no_time_at_first(self) -> None:
        self.held = lambda counting: fail(StoreUnavailable("the database is locked"))
        self.start()
        self.wait(10)
        self.assertEqual(len(self.register), 0)
        now = nanoseconds(START)

        def held(counting: Counting) -> Deferred[Counts]:
            begin = counting.selection.begin
            hours = [Count(("alex", "a1"), begin + hour * 3600 * SECOND, 60, 0, 0) for hour in range(24)]
            whole = [Count(("alex", "a1"), None, 1440, now - 10**15, now - 120 * SECOND)]
            return succeed(Counts(whole if counting.step is None else hours))

        self.held = held
        self.wait(60)
        (sender,) = self.register
        self.assertEqual((sender.host, sender.receiver, sender.messages), ("a1", None, 0))
        self.assertEqual(sender.habit.first, START - 10**6)
        # It could not be heard before the start.
        self.assertEqual(self.silent(), {"alex": 0})
        self.wait(2000)
        self.assertEqual(self.silent(), {"alex": 1})

    def test_a_host_that_another_daemon_hears_is_not_silent(self) -> None:
        self.start(is_shared=True)
        self.send(2, 600)
        now = self.clock.seconds

        def held(counting: Counting) -> Deferred[Counts]:
            (matcher,) = counting.selection.matchers
            self.assertEqual({*matcher.values}, {"a0000", "a0001"})
            return succeed(Counts([Count(("alex", "a0001"), None, 3, 0, nanoseconds(now() - 5))]))

        self.held = held
        self.wait(130)
        self.assertEqual(self.silent(), {"alex": 1})
        self.assertEqual([each["host"] for each in self.watch.silence()["hosts"]], ["a0000"])  # type: ignore
