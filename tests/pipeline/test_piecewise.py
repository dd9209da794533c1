"""How much is decoded in one go, and messages that are decoded one after the other."""

from __future__ import annotations

from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from ccstore.lineprotocol import StreamDecoder
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.piecewise import MessageQueue, PieceSizes, Piecewise
from tests.support.loopback import Loopback
from tests.support.sinks import FakeSink, event

SIZES = PieceSizes(least=10, first=40, largest=100)


class Sender(NamedTuple):
    """Somebody who sends messages."""

    host: str

    def pass_over(self, lines: bytes) -> None:
        """See :class:`ccstore.pipeline.joint.Sender`."""


class PieceTests(SynchronousTestCase):
    """How large the next piece is."""

    def sizes(self, data: bytes) -> list[int]:
        """The sizes of the pieces in which a stream is decoded."""
        pieces, position = Piecewise(StreamDecoder(), SIZES), 0
        found = []
        while position < len(data):
            begin = position
            _, position = pieces.feed(data, 0, begin)
            found.append(position - begin)
        return found

    def test_what_is_right_is_decoded_in_larger_and_larger_pieces(self) -> None:
        self.assertEqual(self.sizes(b"# a\n" * 100), [40, 80, 100, 100, 80])

    def test_after_a_mistake_they_are_small(self) -> None:
        self.assertEqual(self.sizes(b"# a\n" * 9 + b"bad\n" + b"# a\n" * 20), [40, 10, 20, 40, 10])

    def test_what_was_little_says_nothing_of_what_is_much(self) -> None:
        pieces = Piecewise(StreamDecoder(), SIZES)
        for _ in range(10):
            pieces.feed(b"# a\n", 0)
        self.assertEqual(pieces.size, 40)

    def test_mistakes_are_counted_to_the_end(self) -> None:
        pieces = Piecewise(StreamDecoder(), SIZES)
        pieces.feed(b"bad\nbad\nba", 0)
        self.assertEqual((pieces.mistakes, pieces.is_wrong), (2, True))
        pieces.feed(b"d\n# a\n# a\n", 0)
        pieces.feed(b"# a\n# a\nba", 0)
        self.assertEqual((pieces.mistakes, pieces.is_wrong, pieces.size), (3, False, 20))
        pieces.finish(0)
        self.assertEqual((pieces.mistakes, pieces.is_wrong, pieces.size), (4, True, 10))


class QueueTests(SynchronousTestCase):
    """Messages that are decoded as far as there is time."""

    def setUp(self) -> None:
        self.clock = Loopback()
        self.queue: MessageQueue[Sender] = MessageQueue(
            Intake("queue", "udp", FakeSink(), self.clock), PieceSizes(10, 10, 10)
        )

    def test_in_their_order_and_by_whom_they_are(self) -> None:
        self.queue.unread += [
            (event("a") + b"\nbad", Sender("x")),
            (b"", Sender("y")),
            (event("b"), Sender("z")),
        ]
        parts = list(self.queue.in_pieces(1.0))
        self.assertEqual(self.queue.unread, [])
        self.assertEqual([part.sender.host for part in parts if part.is_last], [*"xyz"])
        texts = [(message.text, part.sender.host) for part in parts for message in part.decoded.messages]
        self.assertEqual(texts, [("a", "x"), ("b", "z")])
        self.assertEqual([part.sender.host for part in parts if part.decoded.errors], ["x"])
        self.assertEqual(sum(part.size for part in parts), len(event("a") + b"\nbad" + event("b")))

    def test_what_there_is_no_time_for_is_left_for_the_next_time(self) -> None:
        line = event("a") + b"\n"
        self.queue.unread += [(line, Sender("x")), (line, Sender("y"))]
        self.clock.passes = 1.0
        self.assertEqual([part.size for part in self.queue.in_pieces(3.5)], [10] * 2)
        self.assertEqual([sender.host for _, sender in self.queue.unread], [*"xy"])
        # Its rest goes before what came after it.
        self.assertIsNone(self.queue.together())
        parts = list(self.queue.in_pieces(1000.0))
        self.assertEqual(sum(part.size for part in parts), 2 * len(line) - 20)
        self.assertEqual([part.sender.host for part in parts if part.is_last], [*"xy"])
        self.assertEqual(self.queue.unread, [])

    def test_all_at_once_where_nothing_is_out_of_the_ordinary(self) -> None:
        self.queue.unread += [(event("a") + b"\n" + event("b"), Sender("x")), (event("c"), Sender("y"))]
        together = self.queue.together()
        assert together is not None
        self.assertEqual(([message.text for message in together[0]], together[1]), ([*"abc"], [*"xxy"]))
        self.assertEqual(self.queue.unread, [])
        self.queue.unread += [(event("a"), Sender("x")), (b"bad", Sender("y"))]
        self.assertIsNone(self.queue.together())
        self.assertEqual(len(self.queue.unread), 2)
