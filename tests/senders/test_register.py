"""Senders, as they are heard of."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ccstore.batch import Batch
from ccstore.message import Series
from ccstore.senders.register import SenderRegister
from ccstore.senders.sender import Sender
from ccstore.timing import SECOND

NOW = 1_700_000_000 * SECOND


def series(host: str, cluster: str = "alex", name: str = "slurmd") -> Series:
    return Series.of_key(f"{name},cluster={cluster},hostname={host} log=")


def batch(*given: tuple[Series, int]) -> Batch:
    """Messages of series, with their times."""
    return Batch([each for each, _ in given], ["x"] * len(given), [time for _, time in given])


class RegisterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.register = SenderRegister()

    def take_in(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.register.take_in(lambda: succeed(None))))

    def hear(self, *given: tuple[Series, int], receiver: str = "tcp", now: int = NOW) -> None:
        self.register.hear(receiver, batch(*given), now)
        self.take_in()

    def known(self) -> dict[Any, Sender]:
        return {(each.host, each.receiver): each for each in self.register}

    def test_messages_are_counted_by_host_and_receiver(self) -> None:
        first, second = series("a1"), series("a1", name="kernel")
        self.hear((first, NOW), (second, NOW), (first, NOW), (series("a2"), NOW))
        self.hear((first, NOW), receiver="udp", now=NOW + 5 * SECOND)
        found = {key: (each.messages, each.habit.last) for key, each in self.known().items()}
        seconds = NOW / SECOND
        self.assertEqual(
            found,
            {("a1", "tcp"): (3, seconds), ("a2", "tcp"): (1, seconds), ("a1", "udp"): (1, seconds + 5)},
        )

    def test_a_flood_is_counted_by_a_sample(self) -> None:
        self.register = SenderRegister(exact=1000)
        hosts = [(series(f"a{number}"), NOW) for number in range(8)]
        for _ in range(100):
            self.register.hear("tcp", batch(*hosts * 10), NOW)
        self.take_in()
        counted = [each.messages for each in self.known().values()]
        self.assertTrue(all(900 <= messages <= 1100 for messages in counted), counted)
        self.hear(*hosts)
        self.assertEqual([each.messages for each in self.known().values()], [each + 1 for each in counted])

    def test_batches_that_are_one_are_counted(self) -> None:
        one = series("a1")
        self.register.hear("tcp", Batch.together([batch((one, NOW)), batch((one, NOW), (one, NOW))]), NOW)
        self.take_in()
        self.assertEqual(self.known()["a1", "tcp"].messages, 3)

    def test_of_tiny_batches_each_is_judged_by_when_it_came(self) -> None:
        first, second = series("a1"), series("a2")
        self.register.hear("udp", batch((first, NOW)), NOW)
        self.register.hear("udp", batch((second, NOW + 60 * SECOND)), NOW + 60 * SECOND)
        self.take_in()
        self.assertEqual([each.skew for each in self.register], [0, 0])
        self.assertEqual([each.messages for each in self.register], [1, 1])

    def test_of_tiny_batches_all_are_counted(self) -> None:
        hosts = [series(f"a{number}") for number in range(3)]
        for number in range(3000):
            self.register.hear("udp", batch((hosts[number % 3], NOW)), NOW + number * SECOND // 1000)
        self.take_in()
        self.assertEqual([each.messages for each in self.register], [1000, 1000, 1000])

    def test_the_skew_is_that_of_the_message_that_came_soonest(self) -> None:
        one = series("a1")
        for delay in (500, 40, 3000):
            self.hear((one, NOW - delay * SECOND))
        self.assertEqual(self.known()["a1", "tcp"].skew, -40)
        for place in range(3):
            self.hear((one, NOW + (3600 + 600 * place) * SECOND), now=NOW + 600 * place * SECOND)
        self.assertEqual(self.known()["a1", "tcp"].skew, 3600)
        self.assertTrue(self.known()["a1", "tcp"].is_skewed)

    def test_a_clock_that_was_mended_is_right_after_two_windows(self) -> None:
        one = series("a1")
        self.hear((one, NOW + 3600 * SECOND))
        for place in range(1, 3):
            later = NOW + 600 * place * SECOND
            self.hear((one, later), now=later)
        self.assertEqual(self.known()["a1", "tcp"].skew, 0)

    def test_there_is_a_bound_and_it_is_told_what_is_left_out(self) -> None:
        self.register = SenderRegister(most=2)
        self.hear(*[(series(f"a{number}"), NOW) for number in range(5)])
        self.hear((series("a1"), NOW))
        self.assertEqual((len(self.register), self.register.left_out), (2, 3))
        self.register.forget(NOW / SECOND + 15 * 86400)
        self.hear((series("a7"), NOW))
        self.assertEqual([*self.known()], [("a7", "tcp")])

    def test_too_many_new_series_are_left_out_once(self) -> None:
        self.register = SenderRegister(most_new=3)
        some = [(series("a1", name=f"n{number}"), NOW) for number in range(5)]
        self.hear(*some)
        self.assertEqual((self.known()["a1", "tcp"].messages, self.register.left_out), (3, 2))
        self.hear(*some)
        self.assertEqual((self.known()["a1", "tcp"].messages, self.register.left_out), (8, 2))

    def test_messages_without_a_host_are_told_apart(self) -> None:
        self.hear((Series.of_key("job,cluster=alex event="), NOW))
        self.assertEqual((len(self.register), self.register.without_host, self.register.left_out), (0, 1, 0))

    def test_what_the_store_knows_becomes_the_habit_of_who_is_heard(self) -> None:
        seconds = NOW / SECOND
        self.register.remember("alex", "a1", seconds - 90_000, seconds - 60, [60] * 24)
        self.assertEqual([*self.known()], [("a1", None)])
        self.hear((series("a1"), NOW))
        self.assertEqual([*self.known()], [("a1", "tcp")])
        sender = self.known()["a1", "tcp"]
        self.assertTrue(sender.habit.is_known)
        self.assertEqual((sender.habit.first, sender.messages), (seconds - 90_000, 1))
