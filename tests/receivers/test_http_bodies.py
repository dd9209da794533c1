"""Bodies over HTTP: how large they may be, unpacked and all together, and whose turn it is."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib

from ccstore.pipeline.scheduler import TurnLimits
from ccstore.web import Room, WebError, unpack
from tests.support.http_case import HttpTestCase, head, read_answer
from tests.support.sinks import event


class LimitTests(HttpTestCase):
    """Bodies that are too large are refused as soon as that is known."""

    def setUp(self) -> None:
        self.start(max_body=2000, max_unpacked=5000)

    def chunk(self, data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data)

    def check_refused(self) -> None:
        answer = self.answer()
        self.assertEqual(answer.status, 413)
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(answer.error["error"], "the body is larger than 2000 bytes (max_body)")

    def test_of_too_many_bodies_at_once_the_largest_that_still_arrives_is_refused(self) -> None:
        self.start(Room(10_000, small=1000))
        self.sink.holds = True
        wires = []
        for size in (3000, 4000, 2000):
            self.connect().dataReceived(head(length=8000) + b"#" * size)
            wires.append(self.wire)
        self.connect().dataReceived(head(length=2000) + event("x" * 1900).ljust(2000))
        self.assertEqual([bool(wire.value()) for wire in wires], [False, True, False])
        answer, _ = read_answer(wires[1].value())
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        self.assertIn("too much is being sent at once", answer.error["error"])
        self.sink.commit()
        self.assertEqual(self.answer().status, 200)
        # What is answered or refused is held no longer.
        self.connect().dataReceived(head(length=8000) + b"#" * 4500)
        self.assertEqual([self.wire.value(), wires[0].value(), wires[2].value()], [b"", b"", b""])
        self.assertEqual(self.receiver.figures()["refused_bodies"], 1)

    def test_what_is_decoded_of_a_large_body_is_announced(self) -> None:
        self.start()
        lines = [event(f"{number}") for number in range(1000)]
        self.assertEqual(self.send(b"\n".join(lines)).status, 200)
        self.assertEqual(self.sink.texts, [f"{number}" for number in range(1000)])
        counts = [sum(map(len, parts)) for parts in self.sink.announced]
        self.assertGreater(len(counts), 2)
        self.assertEqual(sorted(set(counts)), counts)
        self.assertLess(counts[-1], 1000)
        self.assertEqual(
            [message.text for part in self.sink.announced[-1] for message in part],
            self.sink.texts[: counts[-1]],
        )

    def test_nothing_is_announced_of_a_body_after_a_mistake(self) -> None:
        self.start()
        lines = [event(f"{number}") for number in range(1000)]
        lines[300] = b"x"
        self.assertEqual(self.send(b"\n".join(lines)).status, 400)
        self.assertTrue(self.sink.announced)
        for parts in self.sink.announced:
            self.assertLess(sum(map(len, parts)), 300)
        self.assertEqual(len(self.sink.texts), 999)

    def test_there_is_room_for_a_small_body_beside_many_large_ones(self) -> None:
        self.start(Room(10_000))
        self.connect().dataReceived(head(length=10_000) + b"#" * 9990)
        large = self.wire
        self.assertEqual(self.send(event("a")).status, 200)
        self.assertEqual(large.value(), b"")
        # But not for any number of them.
        for _ in range(4):
            self.connect().dataReceived(head(length=1000) + b"#" * 900)
        self.assertIn(b" 503 ", large.value())

    def test_little_is_read_of_the_request_after_the_one_in_hand(self) -> None:
        self.start()
        body = b"#" * 100_000
        connection = self.connect()
        before = self.wire.bufferSize  # type: ignore[attr-defined]
        connection.dataReceived(head(length=len(body)) + body[:-1])
        during = self.wire.bufferSize  # type: ignore[attr-defined]
        self.sink.holds = True
        connection.dataReceived(body[-1:])
        self.assertLess(before, during)
        self.assertEqual(self.wire.bufferSize, before)  # type: ignore[attr-defined]

    def test_a_body_alone_may_be_of_any_size(self) -> None:
        self.start(Room(100))
        for _ in range(2):
            self.assertEqual(self.send(event("a" * 1000)).status, 200)

    def test_there_is_no_time_for_too_many_bodies_with_mistakes(self) -> None:
        each = TurnLimits().waiting_each
        self.start(turns=TurnLimits(waiting_size=2 * each))
        self.clock.passes = TurnLimits().seconds
        wires = []
        for lines in (3000, 2500):
            body = b"x\n" * lines
            self.connect().dataReceived(head(length=len(body)) + body)
            wires.append(self.wire)
        while not all(wire.value() for wire in wires):
            self.clock.turn()
        answers = [read_answer(wire.value())[0] for wire in wires]
        self.assertEqual([answer.status for answer in answers], [503, 400])
        self.assertEqual(answers[0].headers["retry-after"], "5")
        self.assertIn("too many bodies with mistakes", answers[0].error["error"])
        self.assertEqual(answers[1].error["rejected"], 2500)
        self.assertTrue(self.receiver.account.is_balanced)

    def test_what_is_committed_is_never_sent_away(self) -> None:
        self.start(turns=TurnLimits(waiting_size=0))
        self.sink.holds = True
        self.sink.refuses = lambda message: "no" if message.text == "999" else None
        lines = [event(f"{number}") for number in range(1000)]
        lines[100] = b"x"
        body = b"\n".join(lines)
        self.connect().dataReceived(head(length=len(body)) + body)
        committed = self.wire
        while not self.sink.messages:
            self.clock.turn()
        # One with less left to decode waits, and there is no place for two.
        self.clock.passes = TurnLimits().seconds
        other = b"x\n" * 6000
        self.connect().dataReceived(head(length=len(other)) + other)
        self.clock.turn()
        self.sink.commit()
        while not committed.value():
            self.clock.turn()
        answer, _ = read_answer(committed.value())
        self.assertEqual(answer.status, 400)
        self.assertEqual([line["line"] for line in answer.error["lines"]], [101, 1000])

    def test_of_equals_it_is_others_that_are_refused(self) -> None:
        self.start(Room(10_000, small=0))
        wires = []
        for _ in range(3):
            self.connect().dataReceived(head(length=6000) + b"#" * 4000)
            wires.append(self.wire)
        self.assertEqual(wires[2].value(), b"")
        refused = [wire for wire in wires if b" 503 " in wire.value()]
        self.assertEqual(len(refused), 1)

    def test_there_must_be_room_for_what_is_unpacked(self) -> None:
        self.start(Room(10_000))
        self.sink.holds = True
        self.connect().dataReceived(head(length=8000) + event("x" * 7000).ljust(8000))
        waiting = self.wire
        bomb = gzip.compress(bytes(9000))
        answer = self.send(bomb, content_encoding="gzip")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        self.sink.commit()
        self.assertTrue(waiting.value())
        self.assertEqual(self.send(bomb, content_encoding="gzip").status, 400)

    def test_a_body_of_just_that_size_is_taken(self) -> None:
        body = event("x" * (2000 - len(event(""))))
        self.assertEqual(len(body), 2000)
        self.assertEqual(self.send(body).status, 200)

    def test_by_its_length_before_any_of_it_came(self) -> None:
        self.connect().dataReceived(head(length=2001))
        self.check_refused()
        self.assertEqual(self.receiver.figures()["refused_bodies"], 1)

    def test_in_chunks_while_it_comes(self) -> None:
        connection = self.connect()
        connection.dataReceived(head(transfer_encoding="chunked") + self.chunk(b"x" * 2000))
        self.assertEqual(self.wire.value(), b"")
        connection.dataReceived(self.chunk(b"x"))
        self.check_refused()

    def test_a_client_that_says_what_it_expects_is_not_told_to_go_on(self) -> None:
        self.connect().dataReceived(head(length=2001, expect="100-continue"))
        self.check_refused()
        self.connect().dataReceived(head(length=100, expect="100-continue"))
        self.assertTrue(self.wire.value().startswith(b"HTTP/1.1 100 Continue\r\n"))

    def test_the_rest_of_a_refused_body_is_not_stored_and_then_the_connection_ends(self) -> None:
        body = (event("a") + b"\n") * 100
        connection = self.connect()
        connection.dataReceived(head(length=len(body)) + body[:3000])
        self.assertTrue(self.wire.connected)
        connection.dataReceived(body[3000:])
        self.assertFalse(self.wire.connected)
        self.check_refused()
        self.assertEqual(self.sink.texts, [])

    def test_a_client_that_sends_on_and_on_is_cut_off(self) -> None:
        connection = self.connect()
        connection.dataReceived(head(transfer_encoding="chunked"))
        for _ in range(30):
            connection.dataReceived(self.chunk(b"x" * 1000))
        self.check_refused()
        self.assertTrue(self.wire.connected)
        self.clock.advance(3)
        self.assertFalse(self.wire.connected)

    def test_a_refused_body_takes_no_memory(self) -> None:
        connection = self.connect()
        connection.dataReceived(head(transfer_encoding="chunked"))
        piece = self.chunk(b"x" * 100_000)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for _ in range(200):
            connection.dataReceived(piece)
        self.assertLess(tracemalloc.get_traced_memory()[1], 2_000_000)
        self.check_refused()

    def test_gzip(self) -> None:
        packed = gzip.compress(event("a") + b"\n") + gzip.compress(event("b") + b"\n")
        for name in ("gzip", "x-gzip", "GZIP"):
            self.assertEqual(self.send(packed, content_encoding=name).status, 200)
        self.assertEqual(self.send(event("c"), content_encoding="identity").status, 200)
        self.assertEqual(self.sink.texts, ["a", "b"] * 3 + ["c"])

    def test_a_gzip_bomb_is_refused_before_it_goes_off(self) -> None:
        self.start()
        packed = zlib.compress(b"\n" * 500_000_000, level=1, wbits=31)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        answer = self.send(packed, content_encoding="gzip")
        self.assertEqual(answer.status, 413)
        self.assertEqual(
            answer.error["error"], f"the body is larger than {32 * 2**20} bytes when it is unpacked"
        )
        self.assertLess(tracemalloc.get_traced_memory()[1], 200_000_000)

    def test_the_limit_holds_for_the_members_of_a_gzip_body_together(self) -> None:
        member = gzip.compress(b"\n" * 2500)
        self.assertEqual(len(unpack(member * 2, "gzip", 5000)), 5000)
        with self.assertRaises(WebError) as caught:
            unpack(member * 2 + gzip.compress(b"\n"), "gzip", 5000)
        self.assertEqual(caught.exception.status, 413)

    def test_many_empty_members_do_not_stall_the_server(self) -> None:
        begun = time.thread_time()
        with self.assertRaises(WebError) as caught:
            unpack(gzip.compress(b"") * 200_000, "gzip", 5000)
        self.assertEqual(caught.exception.status, 400)
        self.assertLess(time.thread_time() - begun, 2)

    def test_broken_gzip(self) -> None:
        packed = gzip.compress(event("a"))
        for broken in (packed[:-3], b"not gzip", packed[:15], packed + b"junk", b"\x1f\x8b"):
            answer = self.send(broken, content_encoding="gzip")
            self.assertEqual(answer.status, 400)
            self.assertIn("not valid gzip", answer.error["error"])
        self.assertEqual(self.sink.texts, [])

    def test_unknown_encodings(self) -> None:
        for name in ("br", "deflate", "gzip, gzip", b"\xff\xfe"):
            answer = self.send(b"x", content_encoding=name)
            self.assertEqual(answer.status, 415, name)
            self.assertIn("gzip", answer.error["error"])
