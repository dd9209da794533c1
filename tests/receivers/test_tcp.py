"""Line protocol over TCP: what counts as a line, how long connections stay, and back-pressure."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import capturedLogs, formatEvent

from ccstore.interfaces import StoreUnavailable
from ccstore.receivers.tcp_streams import StreamLimits
from tests.support.sinks import event
from tests.support.tcp_case import TcpTestCase


class LineTests(TcpTestCase):
    """What counts as a line."""

    def setUp(self) -> None:
        self.start()
        self.connection, self.wire = self.clock.connect()

    def test_both_kinds_of_line_ends(self) -> None:
        self.read(self.connection, event("a") + b"\n" + event("b") + b"\r\n" + event("c") + b"\n")
        self.assertEqual(self.sink.texts, ["a", "b", "c"])

    def test_lines_in_pieces(self) -> None:
        for byte in event("a") + b"\r\n" + event("b") + b"\n":
            self.read(self.connection, bytes([byte]))
        self.assertEqual(self.sink.texts, ["a", "b"])

    def test_two_connections_do_not_mix(self) -> None:
        other, _ = self.clock.connect(port=40001)
        line = event("a") + b"\n"
        self.read(self.connection, line[:20])
        self.read(other, event("b") + b"\n")
        self.read(self.connection, line[20:])
        self.assertEqual(self.sink.texts, ["b", "a"])

    def test_lines_are_numbered_over_all_that_a_connection_sends(self) -> None:
        self.read(self.connection, (event("a") + b"\n") * 3)
        self.read(self.connection, b"# one\n" + event("a") + b"\n")
        self.read(self.connection, event("a") + b"\n")
        with capturedLogs() as logs:
            self.read(self.connection, b"bad\n")
        self.assertIn("line 7, column 4", formatEvent(logs[0]))

    def test_a_last_line_without_newline_counts_at_the_close(self) -> None:
        self.read(self.connection, event("a") + b"\n" + event("b"))
        self.assertEqual(self.sink.texts, ["a"])
        self.lose(self.wire, ConnectionDone())
        self.assertEqual(self.sink.texts, ["a", "b"])
        self.assertEqual(self.rejected, 0)

    def test_half_a_line_is_rejected_when_the_connection_breaks(self) -> None:
        self.read(self.connection, event("a") + b"\n" + event("b"))
        self.lose(self.wire, ConnectionLost())
        self.assertEqual(self.sink.texts, ["a"])
        self.assertEqual(self.receiver.account.rejected, {"malformed": 1})

    def test_a_break_between_two_lines_costs_nothing(self) -> None:
        self.read(self.connection, event("a") + b"\n")
        self.lose(self.wire, ConnectionLost())
        self.assertEqual(self.receiver.account.received, 1)
        self.assertEqual(self.rejected, 0)

    def test_half_a_line_is_rejected_at_our_own_stop(self) -> None:
        self.read(self.connection, event("a") + b"\n" + event("b"))
        self.successResultOf(self.drain())
        self.assertFalse(self.wire.connected)
        self.assertEqual(self.sink.texts, ["a"])
        self.assertEqual(self.rejected, 1)

    def test_a_bad_line_costs_neither_its_neighbours_nor_the_connection(self) -> None:
        self.read(self.connection, event("a") + b"\nnothing like a line\n" + event("b") + b"\n")
        self.read(self.connection, b"\xff\xfe\x00\n" + event("c") + b"\n")
        self.assertEqual(self.sink.texts, ["a", "b", "c"])
        self.assertEqual(self.rejected, 2)
        self.assertTrue(self.wire.connected)

    def test_a_bad_line_is_named_in_the_log_with_its_sender_and_cut_short(self) -> None:
        with capturedLogs() as logs:
            self.read(self.connection, b"x" * 5000 + b"\n")
        (text,) = [formatEvent(entry) for entry in logs]
        self.assertIn("tcp: rejected a line from 10.0.0.1:40000: line 1, column 5001", text)
        self.assertLess(len(text), 300)

    def test_the_same_complaint_about_a_host_is_made_once_in_a_while(self) -> None:
        with capturedLogs() as logs:
            for _ in range(100):
                self.read(self.connection, b"bad\n")
        self.assertEqual(len(logs), 1)
        self.clock.advance(60)
        with capturedLogs() as logs:
            self.read(self.connection, b"bad\n")
        self.assertIn("99 more", formatEvent(logs[0]))

    def test_the_sender_and_the_receivers_cluster_travel_along(self) -> None:
        self.start(cluster="fritz")
        self.connection, _ = self.clock.connect("10.1.2.3", 5)
        self.read(self.connection, event("a", cluster=None) + b"\n")
        self.assertEqual(self.sink.origins[0].sender_of(0), "10.1.2.3")
        self.assertEqual(self.sink.origins[0].cluster, "fritz")

    def test_the_unit_of_timestamps_is_that_of_the_receiver(self) -> None:
        self.start(precision="ms")
        self.connection, _ = self.clock.connect()
        self.read(self.connection, event("a", time=1700) + b"\n")
        self.assertEqual(self.sink.messages[0].time, 1_700_000_000)


class LongLineTests(TcpTestCase):
    def setUp(self) -> None:
        self.start(max_line_length=100)
        self.connection, self.wire = self.clock.connect()

    def test_a_line_that_is_too_long_is_rejected_and_its_neighbours_are_not(self) -> None:
        self.read(self.connection, event("a") + b"\n" + event("b" * 200) + b"\n" + event("c") + b"\n")
        self.assertEqual(self.sink.texts, ["a", "c"])
        self.assertEqual(self.rejected, 1)
        self.assertTrue(self.wire.connected)

    def test_many_of_them_at_once_are_not_held(self) -> None:
        self.start(StreamLimits(held=1000), max_line_length=600)
        others = [self.clock.connect(port=port)[0] for port in range(3)]
        for size, connection in zip((550, 100, 300), others, strict=True):
            self.read(connection, event("x" * size)[:size])
        self.assertEqual(self.rejected, 0)
        self.read(others[1], b"y" * 100)
        self.assertEqual(self.rejected, 1)
        for connection in others:
            self.read(connection, b'"\n' + event("next") + b"\n")
        self.assertEqual(sorted(text[:4] for text in self.sink.texts), ["next"] * 3 + ["xxxx"] * 2)
        for connection in others:
            connection.transport.lose(ConnectionLost())
        self.assertEqual(self.receiver.lines.held, 0)

    def test_it_is_skipped_without_being_held(self) -> None:
        self.read(self.connection, b'job,cluster=alex event="')
        for _ in range(1000):
            self.read(self.connection, b"x" * 1000)
            self.assertLess(self.connection.stream.pieces.decoder.pending, 200)
        self.read(self.connection, b'"\n' + event("c") + b"\n")
        self.assertEqual(self.sink.texts, ["c"])
        self.assertEqual(self.rejected, 1)

    def test_a_line_of_just_that_length_is_taken(self) -> None:
        line = event("")
        line = event("x" * (100 - len(line)))
        self.assertEqual(len(line), 100)
        self.read(self.connection, line + b"\n")
        self.assertEqual(len(self.sink.messages), 1)


class IdleTests(TcpTestCase):
    def test_a_quiet_connection_is_closed_after_the_idle_timeout(self) -> None:
        self.start(idle_timeout="10s")
        connection, wire = self.clock.connect()
        self.clock.advance(9)
        self.read(connection, event("a") + b"\n")
        self.clock.advance(9)
        self.assertTrue(wire.connected)
        self.clock.advance(2)
        self.assertFalse(wire.connected)
        self.assertEqual(self.receiver.figures()["connections"], 0)

    def test_by_default_a_connection_may_be_quiet_for_ever(self) -> None:
        self.start()
        _, wire = self.clock.connect()
        self.clock.advance(10**6)
        self.assertTrue(wire.connected)

    def test_half_a_line_is_rejected_when_the_connection_is_closed_as_idle(self) -> None:
        self.start(idle_timeout="10s")
        connection, _ = self.clock.connect()
        self.read(connection, event("half", time=17000))
        self.clock.advance(11)
        self.assertEqual(self.sink.texts, [])
        self.assertEqual(self.rejected, 1)

    def test_a_connection_that_we_hold_back_is_not_idle(self) -> None:
        self.start(idle_timeout="10s", max_waiting=1)
        self.sink.holds = True
        connection, wire = self.clock.connect()
        self.read(connection, event("a") + b"\n" + event("b") + b"\n")
        self.assertTrue(wire.is_paused)
        _, late = self.clock.connect(port=40001)
        self.clock.advance(60)
        self.assertTrue(wire.connected)
        self.assertTrue(late.connected)
        self.sink.commit()
        self.clock.advance(9)
        self.assertTrue(wire.connected)
        self.clock.advance(2)
        self.assertFalse(wire.connected)
        self.assertFalse(late.connected)


class ManyConnectionsTests(TcpTestCase):
    def test_connections_beyond_the_limit_are_refused_and_counted(self) -> None:
        self.start(max_connections=2)
        wires = [self.clock.connect(port=port)[1] for port in (1, 2, 3)]
        self.assertEqual([wire.connected for wire in wires], [True, True, False])
        self.assertEqual(self.receiver.figures()["refused_connections"], 1)

    def test_a_place_that_becomes_free_can_be_taken(self) -> None:
        self.start(max_connections=1)
        _, first = self.clock.connect()
        self.lose(first, ConnectionDone())
        _, second = self.clock.connect()
        self.assertTrue(second.connected)


class BackPressureTests(TcpTestCase):
    """When too much waits to be stored, nobody is read from, and nothing is lost."""

    def setUp(self) -> None:
        self.start(max_waiting=10)
        self.sink.holds = True

    def send(self, connection: Any, lines: int) -> None:
        self.read(connection, (event("x") + b"\n") * lines)

    def test_all_connections_are_paused_when_too_much_waits(self) -> None:
        connection, wire = self.clock.connect()
        _, other = self.clock.connect(port=40001)
        self.send(connection, 10)
        self.assertFalse(wire.is_paused)
        self.send(connection, 1)
        self.assertTrue(wire.is_paused)
        self.assertTrue(other.is_paused)
        self.assertEqual(self.receiver.figures()["pauses"], 1)
        self.assertEqual(self.sink.flushes, 1)

    def test_they_go_on_when_it_is_committed(self) -> None:
        connection, wire = self.clock.connect()
        _, other = self.clock.connect(port=40001)
        self.send(connection, 11)
        self.sink.commit()
        self.assertFalse(wire.is_paused)
        self.assertFalse(other.is_paused)
        self.assertEqual(len(self.sink.messages), 11)

    def test_a_connection_that_comes_meanwhile_starts_paused(self) -> None:
        connection, _ = self.clock.connect()
        self.send(connection, 11)
        _, late = self.clock.connect(port=40001)
        self.assertTrue(late.is_paused)
        self.sink.commit()
        self.assertFalse(late.is_paused)

    def test_bytes_count_like_messages(self) -> None:
        self.start(max_waiting=1000, max_waiting_size=500)
        self.sink.holds = True
        connection, wire = self.clock.connect()
        self.read(connection, event("x" * 600) + b"\n")
        self.assertTrue(wire.is_paused)
        self.sink.commit()
        self.assertFalse(wire.is_paused)

    def test_a_store_that_fails_does_not_leave_them_paused(self) -> None:
        connection, wire = self.clock.connect()
        self.send(connection, 11)
        self.sink.failure = StoreUnavailable("the disk is full")
        with capturedLogs() as logs:
            self.sink.commit()
        self.assertFalse(wire.is_paused)
        self.assertIn("the disk is full", formatEvent(logs[0]))
        self.assertEqual(self.receiver.account.dropped, {"store_unavailable": 11})

    def test_the_stop_reads_on_as_long_as_something_comes(self) -> None:
        connection, wire = self.clock.connect()
        drained = ensureDeferred(self.receiver.drain())
        for number in range(5):
            self.clock.advance(0.06)
            self.read(connection, event(str(number)) + b"\n")
        self.assertNoResult(drained)
        self.clock.pump([0.1] * 3)
        self.assertEqual(self.sink.texts, ["0", "1", "2", "3", "4"])
        self.successResultOf(drained)
        self.assertFalse(wire.connected)

    def test_a_sender_that_never_pauses_cannot_hold_up_the_stop(self) -> None:
        connection, _ = self.clock.connect()
        drained = ensureDeferred(self.receiver.drain())
        for _ in range(30):
            self.clock.advance(0.05)
            self.read(connection, event("x") + b"\n")
        self.successResultOf(drained)
