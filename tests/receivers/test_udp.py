"""Line protocol over UDP."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ccstore.interfaces import StoreUnavailable
from ccstore.network.listening import ListenError
from ccstore.pipeline.scheduler import TurnLimits
from ccstore.receivers.kernel_drops import kernel_drops
from ccstore.receivers.udp import GatherLimits, UdpReceiver
from tests.support.configuration import port_in, receiver_config
from tests.support.loopback import Loopback
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, event, intake_for

SENDER = ("10.0.0.1", 40000)
TURN = TurnLimits().seconds


class DatagramTests(SynchronousTestCase):
    """What becomes of a datagram, without a network."""

    def setUp(self) -> None:
        self.start()

    def start(self, *, max_waiting: int = 1000, max_waiting_size: int = 10**9, **keys: Any) -> None:
        config = receiver_config(scratch(self), "udp", **keys)
        self.clock = Loopback()
        self.sink = FakeSink()
        self.receiver = UdpReceiver(
            config,
            intake_for(config, "udp", self.sink, self.clock),
            self.clock,
            max_waiting=max_waiting,
            max_waiting_size=max_waiting_size,
        )

    def send(self, *datagrams: bytes, sender: tuple[str, int] = SENDER) -> None:
        """Datagrams that are read in one go."""
        for datagram in datagrams:
            self.receiver.take(datagram, sender)
        self.clock.advance(0)

    def test_one_line(self) -> None:
        self.send(event("a"))
        self.assertEqual(self.sink.texts, ["a"])

    def test_many_lines(self) -> None:
        self.send(event("a") + b"\n" + event("b") + b"\r\n" + event("c"))
        self.assertEqual(self.sink.texts, ["a", "b", "c"])

    def test_no_line_goes_on_in_the_next_datagram(self) -> None:
        line = event("a")
        self.send(line[:-3], line[-3:], event("b"))
        self.assertEqual(self.sink.texts, ["b"])
        self.assertEqual(self.receiver.account.rejected, {"malformed": 2})

    def test_a_bad_line_costs_no_neighbour(self) -> None:
        self.send(event("a") + b"\nbad\n" + event("b"), b"\x00\xff", b"", event("c"))
        self.assertEqual(self.sink.texts, ["a", "b", "c"])
        self.assertEqual(self.receiver.account.rejected, {"malformed": 2})

    def test_a_line_that_is_too_long_costs_no_neighbour(self) -> None:
        self.start(max_line_length=100)
        self.send(event("x" * 200), event("y" * 200) + b"\n" + event("b"))
        self.assertEqual(self.sink.texts, ["b"])
        self.assertEqual(self.receiver.account.rejected, {"malformed": 2})

    def test_what_takes_long_to_decode_is_left_for_the_next_turn(self) -> None:
        self.clock.passes = TURN / 20
        for _ in range(30):
            self.receiver.take(b"x\n", SENDER)
        self.receiver.take(event("a"), SENDER)
        self.clock.turn()
        self.assertEqual(self.sink.texts, [])
        self.assertLess(self.receiver.account.rejected["malformed"], 30)
        for _ in range(10):
            self.clock.turn()
        self.assertEqual(self.receiver.account.rejected, {"malformed": 30})
        self.assertEqual(self.sink.texts, ["a"])
        self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_where_many_come_the_kernel_gathers_them_for_a_moment(self) -> None:
        self.start(address="127.0.0.1")
        self.receiver.listen()
        gathering = GatherLimits()
        few = gathering.many - 1
        self.send(*[event("a")] * few)
        self.assertTrue(self.receiver.is_reading)
        self.send(*[event("b")] * gathering.many)
        self.assertEqual(len(self.sink.texts), few + gathering.many)
        self.assertFalse(self.receiver.is_reading)
        self.clock.advance(gathering.seconds)
        self.assertTrue(self.receiver.is_reading)
        # There is more to read at once.
        self.send(*[event("c" * (gathering.read // gathering.many))] * gathering.many)
        self.assertTrue(self.receiver.is_reading)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        (port,) = self.clock.udpPorts
        self.assertEqual((port.pauses, port.is_paused), (1, False))

    def test_a_large_datagram_is_decoded_in_turns_and_before_what_comes_after_it(self) -> None:
        self.clock.passes = TURN / 3
        lines = event("a") + b"\n" + b"x\n" * 5000 + event("b")
        self.receiver.take(lines, SENDER)
        self.clock.turn()
        self.assertEqual(self.sink.texts, ["a"])
        self.receiver.take(event("c"), ("10.0.0.2", 1))
        while self.clock.getDelayedCalls():
            self.assertTrue(self.receiver.account.is_balanced)
            self.clock.turn()
        self.assertEqual(self.sink.texts, [*"abc"])
        self.assertEqual(self.receiver.account.rejected, {"malformed": 5000})
        senders = [sender for origin in self.sink.origins for sender in origin.senders]
        self.assertEqual([sender[-1] for sender in senders], [*"112"])

    def test_each_line_has_its_sender(self) -> None:
        for last in (event("f"), b"bad", event("f\\n")):
            self.start()
            self.receiver.take(event("a\r") + b"\n", ("10.0.0.1", 1))
            self.receiver.take(event("b") + b"\r\n" + event("c") + b"\n" + event("d"), ("10.0.0.2", 1))
            self.receiver.take(b"", ("10.0.0.3", 1))
            self.receiver.take(event("e"), ("10.0.0.4", 1))
            self.receiver.take(last, ("10.0.0.5", 1))
            self.clock.advance(0)
            (origin,) = self.sink.origins
            found = [origin.sender_of(index)[-1] for index in range(len(self.sink.texts))]
            self.assertEqual(found, [*"122245"][: len(self.sink.texts)])
            self.assertEqual("".join(self.sink.texts[:5]), "a\rbcde")

    def test_datagrams_beyond_the_limit_are_dropped_and_counted(self) -> None:
        self.start(max_waiting=3)
        self.sink.holds = True
        self.send(event("a") + b"\n" + event("b"))
        with capturedLogs() as logs:
            self.send(event("c") + b"\n" + event("d"))
            self.send(event("e") + b"\n" + event("f"))
        self.assertEqual(self.receiver.account.dropped, {"overload": 3})
        self.assertEqual(self.sink.texts, ["a", "b", "c"])
        (text,) = [formatEvent(entry) for entry in logs]
        self.assertIn("udp: 10.0.0.1: dropped lines", text)
        self.sink.commit()
        self.send(event("g"))
        self.assertEqual(self.sink.texts, ["a", "b", "c", "g"])
        self.assertTrue(self.receiver.account.is_balanced)

    def test_the_limit_holds_for_what_is_read_in_one_go_too(self) -> None:
        self.start(max_waiting=3)
        self.sink.holds = True
        self.send(*[event(str(number)) for number in range(10)])
        self.assertEqual(self.sink.texts, ["0", "1", "2"])
        self.assertEqual(self.receiver.account.dropped, {"overload": 7})

    def test_bytes_count_like_messages(self) -> None:
        self.start(max_waiting_size=1000)
        self.sink.holds = True
        self.send(event("a" * 600))
        self.send(event("b" * 600), event("c" * 600))
        self.assertEqual(self.receiver.account.dropped, {"overload": 2})
        self.sink.commit()
        self.send(event("d" * 600))
        self.assertEqual([text[0] for text in self.sink.texts], ["a", "d"])

    def test_what_cannot_be_stored_is_said_and_does_not_stay_in_the_way(self) -> None:
        self.start(max_waiting_size=1000)
        self.sink.failure = StoreUnavailable("the disk is full")
        with capturedLogs() as logs:
            self.send(event("a" * 600))
        self.assertIn("the disk is full", formatEvent(logs[0]))
        self.sink.failure = None
        self.send(event("b" * 600))
        self.assertEqual(self.receiver.account.stored, 1)


class KernelDropTests(TestCase):
    """The kernel's own count of what it had no room for."""

    def test_it_is_in_the_last_column_of_the_row_of_the_socket(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            inode = Path(f"/proc/self/fd/{handle.fileno()}").readlink().name[8:-1]
            table = scratch(self) / "udp"
            head = (
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
            )
            row = "{}: 0100007F:1F9E 00000000:0000 07 0:0 00:00000000 00000000 0 0 {} 2 0000000 {}"
            lines = [
                head + " inode ref pointer drops",
                row.format(7, "1", 99),
                row.format(8, inode, 42),
                "short",
            ]
            table.write_text("\n".join(lines) + "\n")
            self.assertEqual(kernel_drops(handle, (table.with_name("none"), table)), 42)

    def test_where_the_kernel_does_not_tell_there_is_none(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            self.assertIsNone(kernel_drops(handle, [scratch(self) / "none"]))


class SocketTests(TestCase):
    """With the network."""

    def start(self, gathering: GatherLimits | None = None, **keys: Any) -> int:
        config = receiver_config(scratch(self), "udp", **keys)
        self.sink = FakeSink()
        self.receiver = UdpReceiver(
            config,
            intake_for(config, "udp", self.sink, reactor),
            reactor,
            max_waiting=10**6,
            max_waiting_size=10**9,
            gathering=gathering,
        )
        port = port_in(self.receiver.listen())
        self.addCleanup(lambda: ensureDeferred(self.receiver.stop_listening()))
        return port

    def send(self, port: int, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for datagram in datagrams:
                sender.sendto(datagram, ("127.0.0.1", port))

    async def test_the_stop_reads_all_that_the_kernel_holds(self) -> None:
        port = self.start()
        texts = [f"{number:04}{'x' * 2000}" for number in range(500)]
        self.send(port, *map(event, texts))
        if self.receiver.figures()["kernel_drops"]:
            raise SkipTest("the kernel's receive buffer is too small for this")
        await self.receiver.stop_listening()
        self.assertEqual(self.sink.texts, texts)

    async def test_the_stop_while_the_kernel_gathers(self) -> None:
        port = self.start(GatherLimits(seconds=60, room=0))
        self.send(port, *map(event, "abcd"))
        while self.receiver.is_reading:
            await deferLater(reactor, 0)  # type: ignore[arg-type]
        self.send(port, event("e"))
        await self.receiver.stop_listening()
        self.assertEqual(self.sink.texts, [*"abcde"])

    async def test_nothing_is_left_to_a_kernel_with_a_small_buffer(self) -> None:
        port = self.start(receive_buffer="64k")
        self.send(port, *map(event, "abcd"))
        while len(self.sink.texts) < 4:
            await deferLater(reactor, 0)  # type: ignore[arg-type]
        self.assertTrue(self.receiver.is_reading)

    async def test_the_stop_ends_for_a_kernel_that_holds_only_nonsense(self) -> None:
        port = self.start()
        self.send(port, b"", b"bad", b"", b"#comment", event("a"))
        await self.receiver.stop_listening()
        self.assertEqual(self.sink.texts, ["a"])
        self.assertEqual(self.receiver.account.rejected, {"malformed": 1})

    async def test_what_the_kernel_drops_is_counted(self) -> None:
        port = self.start(receive_buffer="4k")
        if self.receiver.figures()["kernel_drops"] is None:
            raise SkipTest("this kernel does not tell of drops")
        self.assertEqual(self.receiver.figures()["kernel_drops"], 0)
        self.send(port, *[event("x" * 1000)] * 100)
        with capturedLogs() as logs:
            dropped = self.receiver.figures()["kernel_drops"]
        self.assertIn(f"the kernel has dropped {dropped} datagrams", formatEvent(logs[0]))
        await self.receiver.stop_listening()
        self.assertEqual(self.receiver.figures()["kernel_drops"], dropped)
        self.assertGreater(dropped, 0)
        self.assertEqual(dropped + len(self.sink.messages), 100)

    def test_a_port_in_use_is_said_in_one_line(self) -> None:
        port = self.start()
        config = receiver_config(scratch(self), "udp", port=port)
        intake = intake_for(config, "udp", self.sink, reactor)
        other = UdpReceiver(config, intake, reactor, max_waiting=1, max_waiting_size=1)
        with self.assertRaisesRegex(
            ListenError, f"^receiver 'udp': cannot listen on UDP 127.0.0.1:{port}: address already in use$"
        ):
            other.listen()
