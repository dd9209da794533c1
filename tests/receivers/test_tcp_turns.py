"""Whose lines over TCP are decoded when, and what becomes of those for which there is no time."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone

from ccstore.pipeline.scheduler import TurnLimits
from ccstore.receivers.tcp_streams import StreamLimits
from tests.support.sinks import event
from tests.support.tcp_case import TcpTestCase

TURN = TurnLimits().seconds


class TurnTests(TcpTestCase):
    """Whose turn it is."""

    def setUp(self) -> None:
        self.start()
        self.connection, self.wire = self.clock.connect()

    def test_what_is_read_in_one_turn_is_handed_over_together(self) -> None:
        other, _ = self.clock.connect("10.0.0.2")
        for odd in (b"", b"# a comment\n", b"bad\n"):
            self.sink.messages.clear()
            self.sink.origins.clear()
            self.connection.dataReceived(event("a") + b"\n" + event("b") + b"\n")
            other.dataReceived(odd + event("c") + b"\r\n" + event("d"))
            self.connection.dataReceived(event("e") + b"\n")
            other.dataReceived(b"\n" + event("f") + b"\n")
            self.assertEqual(self.sink.texts, [])
            self.clock.advance(0)
            self.assertEqual(self.sink.texts, [*"abecdf"])
            (origin,) = self.sink.origins
            self.assertEqual([origin.sender_of(place)[-1] for place in range(6)], [*"111222"])

    def test_a_large_amount_is_handed_over_within_a_turn(self) -> None:
        for _ in range(3):
            self.connection.dataReceived((event("a" * 1000) + b"\n") * 500)
        self.assertEqual(len(self.sink.messages), 1500)

    def test_who_takes_long_to_decode_waits_and_nobody_else(self) -> None:
        other, other_wire = self.clock.connect("10.0.0.2")
        self.clock.passes = TURN / 20
        self.connection.dataReceived(b"x\n" * 30_000)
        other.dataReceived(event("a") + b"\n")
        self.clock.turn()
        self.assertEqual(self.sink.texts, ["a"])
        self.assertGreater(self.rejected, 0)
        self.assertEqual((self.wire.producerState, other_wire.producerState), ("paused", "producing"))
        other.dataReceived(event("b") + b"\n")
        self.clock.turn()
        self.assertEqual(self.sink.texts, ["a", "b"])
        self.assertLess(self.rejected, 30_000)
        while self.wire.producerState == "paused":
            self.clock.turn()
        self.assertEqual(self.rejected, 30_000)
        self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_makes_mistakes_waits_for_those_who_make_none_but_not_for_ever(self) -> None:
        others = [self.clock.connect(f"10.0.0.{number}")[0] for number in range(2, 10)]
        self.clock.passes = TURN
        self.connection.dataReceived(b"x\n" * 20_000)
        self.clock.turn()
        for other in others:
            other.dataReceived(event("a") + b"\n" + event("b"))
        turns = 0
        before = self.rejected
        while len(self.sink.texts) < len(others):
            self.clock.turn()
            turns += 1
            self.assertGreater(self.rejected, before)
            before = self.rejected
        self.assertLessEqual(turns, len(others) + 1)
        self.assertLess(self.rejected, 20_000)
        self.assertTrue(self.receiver.account.is_balanced)

    def test_little_is_read_of_each_when_too_much_waits_to_be_decoded(self) -> None:
        self.start(StreamLimits(unread=10_000))
        first = StreamLimits().pieces.first
        self.connection, self.wire = self.clock.connect()
        other, other_wire = self.clock.connect("10.0.0.2")
        right = event("a") + b"\n"
        self.read(other, right * 2000)
        self.assertGreater(other_wire.bufferSize, first)
        self.clock.passes = TURN
        self.connection.dataReceived(b"x\n" * 10_000)
        self.clock.turn()
        # Whose bytes they are has to wait, and nobody else.
        self.assertEqual([self.wire.is_paused, other_wire.is_paused], [True, False])
        self.assertEqual(other_wire.bufferSize, first)
        stored = len(self.sink.texts)
        other.dataReceived(right * (first // len(right)))
        self.clock.turn()
        self.assertGreater(len(self.sink.texts), stored)
        self.assertEqual(other_wire.bufferSize, first)
        while self.wire.is_paused:
            self.clock.turn()
        self.assertEqual(self.rejected, 10_000)
        self.clock.passes = 0
        self.read(other, right * 2000)
        self.assertGreater(other_wire.bufferSize, first)

    def test_what_waits_to_be_decoded_counts_at_the_close(self) -> None:
        self.clock.passes = TURN / 20
        self.connection.dataReceived(b"x\n" * 30_000 + event("a"))
        self.clock.turn()
        self.assertEqual(self.wire.producerState, "paused")
        self.lose(self.wire, ConnectionDone())
        self.assertEqual((self.rejected, self.sink.texts), (30_000, ["a"]))


class CrowdTests(TcpTestCase):
    """Many connections of which something waits."""

    def test_of_too_many_who_make_mistakes_the_worst_is_cut_off_and_its_lines_are_counted(self) -> None:
        self.start(StreamLimits(wrong=2))
        right = event("a") + b"\n"
        half = (b"x\n" + right) * 2000
        (worst, worst_wire), (first, first_wire), (second, second_wire), (other, _) = (
            self.clock.connect(port=port) for port in range(1, 5)
        )
        self.clock.passes = TURN
        worst.dataReceived(b"x\n" * 30_000 + b"half a line")
        for connection in (first, second):
            connection.dataReceived(half)
        for _ in range(10):
            self.clock.turn()
        wires = (worst_wire, first_wire, second_wire)
        self.assertEqual([wire.connected for wire in wires], [False, True, True])
        other.dataReceived(right)
        while self.clock.getDelayedCalls():
            self.clock.turn()
        figures, rejected = self.receiver.figures(), self.receiver.account.rejected
        self.assertEqual((figures["hung_up_connections"], figures["connections"]), (1, 3))
        self.assertEqual(rejected.total(), 30_001 + 2 * 2000)
        self.assertGreater(rejected["hung_up"], 10_000)
        self.assertEqual(len(self.sink.texts), 2 * 2000 + 1)
        self.assertTrue(self.receiver.account.is_balanced)

    def test_one_who_has_gone_already_is_among_them(self) -> None:
        self.start(StreamLimits(wrong=1))
        self.clock.passes = TURN
        for port in (1, 2):
            connection, wire = self.clock.connect(port=port)
            connection.dataReceived(b"x\n" * 30_000)
            self.clock.turn()
            wire.lose(ConnectionDone())
        while self.clock.getDelayedCalls():
            self.clock.turn()
        figures = self.receiver.figures()
        self.assertEqual((figures["hung_up_connections"], figures["connections"]), (1, 0))
        self.assertEqual(self.rejected, 60_000)
