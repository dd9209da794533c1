"""Line protocol over TCP."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ccstore.interfaces import StoreUnavailable
from ccstore.network.listening import ListenError
from ccstore.pipeline import scheduler as pace
from ccstore.receivers import tcp
from ccstore.receivers.tcp import TcpReceiver
from tests.support.certificates import certificates
from tests.support.configuration import port_in, receiver_config
from tests.support.connections import Client, Loopback
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, event, intake_for


class _TcpTests(SynchronousTestCase):
    """A receiver without a network."""

    def start(self, *, max_waiting: int = 1000, max_waiting_size: int = 10**9, **keys: Any) -> None:
        config = receiver_config(scratch(self), "tcp", **keys)
        self.clock = Loopback()
        self.sink = FakeSink()
        self.receiver = TcpReceiver(
            config,
            intake_for(config, "tcp", self.sink, self.clock),
            self.clock,
            max_waiting=max_waiting,
            max_waiting_size=max_waiting_size,
        )
        self.receiver.listen()

    def read(self, connection: Any, data: bytes) -> None:
        """A connection reads this in one turn of the reactor."""
        connection.dataReceived(data)
        self.clock.advance(0)

    def lose(self, wire: Any, reason: Exception) -> None:
        """The other side goes away."""
        wire.lose(reason)
        self.clock.advance(0)

    @property
    def rejected(self) -> int:
        return self.receiver.account.rejected.total()

    def drain(self) -> Deferred[None]:
        """Let the receiver come to its end, as far as the time is given to it."""
        drained = ensureDeferred(self.receiver.drain())
        self.clock.pump([0.1] * 3)
        return drained


class LineTests(_TcpTests):
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
        self.clock.passes = pace.TURN / 20
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
        self.clock.passes = pace.TURN
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
        self.patch(tcp, "_MOST_UNREAD", 10_000)
        other, other_wire = self.clock.connect("10.0.0.2")
        right = event("a") + b"\n"
        self.read(other, right * 2000)
        self.assertGreater(other_wire.bufferSize, tcp._FIRST_PIECE)
        self.clock.passes = pace.TURN
        self.connection.dataReceived(b"x\n" * 10_000)
        self.clock.turn()
        # Whose bytes they are has to wait, and nobody else.
        self.assertEqual([self.wire.is_paused, other_wire.is_paused], [True, False])
        self.assertEqual(other_wire.bufferSize, tcp._FIRST_PIECE)
        stored = len(self.sink.texts)
        other.dataReceived(right * (tcp._FIRST_PIECE // len(right)))
        self.clock.turn()
        self.assertGreater(len(self.sink.texts), stored)
        self.assertEqual(other_wire.bufferSize, tcp._FIRST_PIECE)
        while self.wire.is_paused:
            self.clock.turn()
        self.assertEqual(self.rejected, 10_000)
        self.clock.passes = 0
        self.read(other, right * 2000)
        self.assertGreater(other_wire.bufferSize, tcp._FIRST_PIECE)

    def test_what_waits_to_be_decoded_counts_at_the_close(self) -> None:
        self.clock.passes = pace.TURN / 20
        self.connection.dataReceived(b"x\n" * 30_000 + event("a"))
        self.clock.turn()
        self.assertEqual(self.wire.producerState, "paused")
        self.lose(self.wire, ConnectionDone())
        self.assertEqual((self.rejected, self.sink.texts), (30_000, ["a"]))

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


class LongLineTests(_TcpTests):
    def setUp(self) -> None:
        self.start(max_line_length=100)
        self.connection, self.wire = self.clock.connect()

    def test_a_line_that_is_too_long_is_rejected_and_its_neighbours_are_not(self) -> None:
        self.read(self.connection, event("a") + b"\n" + event("b" * 200) + b"\n" + event("c") + b"\n")
        self.assertEqual(self.sink.texts, ["a", "c"])
        self.assertEqual(self.rejected, 1)
        self.assertTrue(self.wire.connected)

    def test_many_of_them_at_once_are_not_held(self) -> None:
        self.patch(tcp, "MAX_HELD", 1000)
        self.start(max_line_length=600)
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
        self.assertEqual(self.receiver._held, 0)

    def test_it_is_skipped_without_being_held(self) -> None:
        self.read(self.connection, b'job,cluster=alex event="')
        for _ in range(1000):
            self.read(self.connection, b"x" * 1000)
            self.assertLess(self.connection.decoder.pending, 200)
        self.read(self.connection, b'"\n' + event("c") + b"\n")
        self.assertEqual(self.sink.texts, ["c"])
        self.assertEqual(self.rejected, 1)

    def test_a_line_of_just_that_length_is_taken(self) -> None:
        line = event("")
        line = event("x" * (100 - len(line)))
        self.assertEqual(len(line), 100)
        self.read(self.connection, line + b"\n")
        self.assertEqual(len(self.sink.messages), 1)


class IdleTests(_TcpTests):
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


class ManyConnectionsTests(_TcpTests):
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

    def test_newcomers_wait_at_the_door_while_many_have_to_wait_for_their_turn(self) -> None:
        class Door:
            is_open = True
            came = 0

            def __init__(self, *arguments: Any) -> None:
                self.__class__.last = self

            last: Any

            def open(self) -> None:
                self.is_open = True

            def close(self) -> None:
                self.is_open = False

            def somebody_came(self) -> None:
                self.came += 1

        self.patch(tcp, "Door", Door)
        self.patch(tcp, "_CROWD", 4)
        self.start()
        connections = [self.clock.connect(port=port)[0] for port in range(1, 8)]
        self.assertEqual(Door.last.came, 7)
        self.clock.passes = pace.TURN
        for connection in connections:
            connection.dataReceived(b"x\n")
        waiting = []
        while self.clock.getDelayedCalls():
            self.clock.turn()
            waiting.append((7 - self.rejected, Door.last.is_open))
        self.assertEqual(waiting[0][1], False)
        self.assertEqual({is_open for count, is_open in waiting if count > 4}, {False})
        self.assertEqual({is_open for count, is_open in waiting if count <= 2}, {True})
        self.assertEqual(self.rejected, 7)

    def test_of_too_many_who_make_mistakes_the_worst_is_cut_off_and_its_lines_are_counted(self) -> None:
        self.patch(tcp, "_MOST_WRONG", 2)
        self.start()
        right = event("a") + b"\n"
        half = (b"x\n" + right) * 2000
        (worst, worst_wire), (first, first_wire), (second, second_wire), (other, _) = (
            self.clock.connect(port=port) for port in range(1, 5)
        )
        self.clock.passes = pace.TURN
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
        self.patch(tcp, "_MOST_WRONG", 1)
        self.start()
        self.clock.passes = pace.TURN
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


class BackPressureTests(_TcpTests):
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


class SocketTests(TestCase):
    """With the network."""

    def start(self, **keys: Any) -> int:
        config = receiver_config(self.directory, "tcp", **keys)
        self.sink = FakeSink()
        self.receiver = TcpReceiver(
            config,
            intake_for(config, "tcp", self.sink, reactor),
            reactor,
            max_waiting=1000,
            max_waiting_size=10**9,
        )
        port = port_in(self.receiver.listen())
        self.addCleanup(self.stop)
        return port

    async def stop(self) -> None:
        await self.receiver.stop_listening()
        await self.receiver.drain()

    def setUp(self) -> None:
        self.directory = scratch(self)

    async def send(self, port: int, data: bytes, *, name: str | None = None, tls: bool = True) -> Client:
        endpoint: Any = HostnameEndpoint(reactor, "127.0.0.1", port)
        if tls:
            trusted = ssl.Certificate.loadPEM((self.directory / "ca.pem").read_bytes())
            mine = None
            if name is not None:
                both = (self.directory / f"{name}.pem").read_bytes()
                both += (self.directory / f"{name}.key").read_bytes()
                mine = ssl.PrivateCertificate.loadPEM(both)
            endpoint = wrapClientTLS(ssl.optionsForClientTLS("127.0.0.1", trusted, mine), endpoint)
        client = await connectProtocol(endpoint, Client())
        client.transport.write(data)
        client.transport.loseConnection()
        await client.closed
        return client

    async def test_lines_come_in_by_a_socket(self) -> None:
        port = self.start()
        await self.send(port, event("a") + b"\n" + event("b"), tls=False)
        await self.stop()
        self.assertEqual(self.sink.texts, ["a", "b"])

    async def test_tls(self) -> None:
        certificates(self.directory)
        port = self.start(tls_certificate="server.pem", tls_key="server.key")
        await self.send(port, event("a") + b"\n" + event("b"))
        await self.stop()
        self.assertEqual(self.sink.texts, ["a", "b"])

    async def test_nothing_is_taken_in_the_clear_where_there_is_tls(self) -> None:
        certificates(self.directory)
        port = self.start(tls_certificate="server.pem", tls_key="server.key")
        await self.send(port, event("a") + b"\n", tls=False)
        await self.stop()
        self.assertEqual(self.sink.texts, [])

    async def test_a_client_certificate_lets_in_whom_the_ca_signed_and_nobody_else(self) -> None:
        certificates(self.directory)
        port = self.start(tls_certificate="server.pem", tls_key="server.key", tls_client_ca="ca.pem")
        await self.send(port, event("a") + b"\n", name="client")
        await self.send(port, event("b") + b"\n", name="stranger")
        await self.send(port, event("c") + b"\n")
        await self.stop()
        self.assertEqual(self.sink.texts, ["a"])

    async def test_endpoint_strings(self) -> None:
        certificates(self.directory)
        port = self.start(endpoint="tcp:0:interface=127.0.0.1")
        await self.send(port, event("a"), tls=False)
        await self.stop()
        self.assertEqual(self.sink.texts, ["a"])
        files = f"certKey={self.directory}/server.pem:privateKey={self.directory}/server.key"
        port = self.start(endpoint=f"ssl:0:interface=127.0.0.1:{files}")
        await self.send(port, event("b"))
        await self.stop()
        self.assertEqual(self.sink.texts, ["b"])

    def test_what_cannot_be_opened_is_said_in_one_line(self) -> None:
        port = self.start()
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"port": port}, f"receiver 'tcp': cannot listen on 127.0.0.1:{port}: "),
            (
                {"endpoint": f"tcp:{port}:interface=127.0.0.1"},
                f"cannot listen on tcp:{port}:interface=127.0.0.1: ",
            ),
        ]
        for keys, said in wrong:
            config = receiver_config(self.directory, "tcp", **keys)
            intake = intake_for(config, "tcp", self.sink, reactor)
            other = TcpReceiver(config, intake, reactor, max_waiting=1, max_waiting_size=1)
            with self.assertRaises(ListenError) as caught:
                other.listen()
            self.assertIn(said, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))
