"""Line protocol from a stream of JetStream, with a real server."""

from __future__ import annotations

from ccstore.interfaces import StoreUnavailable
from tests.support.nats_case import SUBJECT, NatsTestCase
from tests.support.nats_server import Server
from tests.support.sinks import event


class JetStreamTests(NatsTestCase):
    """Messages that are acknowledged when they are stored."""

    KEYS = {"stream": "EVENTS", "durable": "ccstore"}

    def serve_stream(self, **consumer: object) -> Server:
        server = self.serve(jetstream=True)
        with server.client() as client:
            client.make_stream("EVENTS", SUBJECT)
            if consumer:
                client.make_consumer("EVENTS", "ccstore", **consumer)
        return server

    def outstanding(self, server: Server) -> tuple[int, int]:
        """Messages without acknowledgement, and those to come."""
        with server.client() as client:
            found = client.consumer("EVENTS", "ccstore")
        return found["num_ack_pending"], found["num_pending"]

    async def test_what_came_while_nobody_was_there(self) -> None:
        server = self.serve_stream()
        self.publish(server, *map(str, range(10000)))
        receiver = await self.connected(server, **self.KEYS)
        await self.until(lambda: len(self.sink.texts) == 10000)
        await self.until(lambda: self.outstanding(server) == (0, 0))
        await self.end(receiver)
        self.publish(server, *map(str, range(10000, 10010)))
        first = self.sink.texts
        await self.connected(server, **self.KEYS)
        await self.until(lambda: len(self.sink.texts) == 10)
        self.assertEqual(first + self.sink.texts, [str(number) for number in range(10010)])

    async def test_acknowledged_after_the_commit_and_not_before(self) -> None:
        server = self.serve_stream()
        receiver = await self.connected(server, holds=True, **self.KEYS)
        self.publish(server, *"abc")
        await self.until(lambda: len(self.sink.texts) == 3)
        self.assertEqual(self.outstanding(server), (3, 0))
        self.sink.commit()
        await self.until(lambda: self.outstanding(server) == (0, 0))
        self.assertEqual(receiver.figures()["acknowledged"], 3)

    async def test_what_is_wrong_or_refused_is_acknowledged_too(self) -> None:
        server = self.serve_stream()
        receiver = await self.connected(server, max_payload="1k", **self.KEYS)
        self.sink.refuses = lambda message: "no" if message.text == "b" else None
        with server.client() as client:
            for payload in (b"bad", event("a") + b"\nbad", event("b"), b"", b"# a", b"x" * 2000):
                client.publish("alex.a", payload)
            client.flush()
        await self.until(lambda: receiver.figures()["acknowledged"] == 6)
        await self.until(lambda: self.outstanding(server) == (0, 0))
        self.assertEqual(self.sink.texts, ["a", "b"])

    async def test_what_could_not_be_stored_comes_again(self) -> None:
        server = self.serve_stream()
        receiver = await self.connected(server, **self.KEYS)
        self.sink.failure = StoreUnavailable("the disk is full")
        self.publish(server, "a", "b")
        await self.until(lambda: len(self.sink.texts) == 2)
        self.sink.failure = None
        await self.until(lambda: len(self.sink.texts) == 4)
        await self.until(lambda: self.outstanding(server) == (0, 0))
        self.assertEqual(receiver.account.dropped, {"store_unavailable": 2})
        self.assertEqual(receiver.account.stored, 2)

    async def test_a_server_that_is_killed_costs_nothing_and_doubles_nothing(self) -> None:
        server = self.serve_stream(filter_subject=SUBJECT)
        receiver = await self.connected(server, holds=True, **self.KEYS)
        self.publish(server, *map(str, range(3000)))
        await self.until(lambda: len(self.sink.texts) == 3000)
        server.stop()
        await self.until(lambda: not receiver.figures()["connected"])
        self.sink.holds = False
        self.sink.commit()
        server.start()
        self.publish(server, "3000")
        await self.until(lambda: len(self.sink.texts) == 3001)
        # The acknowledgements were for a connection that was no more: what comes again is known.
        await self.until(lambda: self.outstanding(server) == (0, 0))
        self.assertEqual(receiver.figures()["redelivered"], 3000)
        self.assertEqual(self.sink.texts, [str(number) for number in range(3001)])

    async def test_what_comes_again_is_known(self) -> None:
        server = self.serve_stream(max_ack_pending=1000)
        receiver = await self.connected(server, holds=True, **self.KEYS)
        self.publish(server, *"abc")
        await self.until(lambda: receiver.figures()["redelivered"] == 3)
        self.assertEqual(self.sink.texts, [*"abc"])
        self.sink.commit()
        await self.until(lambda: self.outstanding(server) == (0, 0))
        # A consumer with few messages at a time must not wait for the store to have many.
        self.publish(server, *map(str, range(600)))
        await self.until(lambda: self.sink.flushes)

    async def test_no_more_is_asked_for_than_there_is_room_for(self) -> None:
        server = self.serve_stream()
        receiver = await self.connected(server, holds=True, max_waiting=100, **self.KEYS)
        self.publish(server, *map(str, range(20000)))
        await self.until(lambda: receiver.figures()["pauses"])
        await self.many_turns()
        # What was asked for, at most, beyond the first that were too many.
        self.assertLess(self.outstanding(server)[0], 10000)
        self.sink.holds = False
        self.sink.commit()
        await self.until(lambda: len(self.sink.texts) == 20000)
        await self.until(lambda: self.outstanding(server) == (0, 0))
        self.assertEqual(self.sink.texts, [str(number) for number in range(20000)])

    async def test_the_stop_waits_for_the_commit_and_acknowledges_it(self) -> None:
        server = self.serve_stream()
        receiver = await self.connected(server, holds=True, **self.KEYS)
        self.publish(server, *"abc")
        await self.until(lambda: len(self.sink.texts) == 3)
        ended = self.end(receiver)
        await self.until(lambda: self.sink.flushes)
        self.sink.commit()
        await ended
        await self.until(lambda: self.outstanding(server) == (0, 0))

    async def test_what_is_wrong_is_told_until_it_is_right(self) -> None:
        server = self.serve()
        self.receive(server, name="without", **self.KEYS)
        self.assertIn("JetStream is not enabled", await self.until_said("without: NATS"))
        server = self.serve(jetstream=True)
        receiver = self.receive(server, name="empty", **self.KEYS)
        line = await self.until_said("empty: NATS")
        self.assertIn("stream 'EVENTS', consumer 'ccstore': stream not found", line)
        with server.client() as client:
            client.make_stream("EVENTS", SUBJECT)
        await self.until(lambda: receiver.figures()["connected"])
        with server.client() as client:
            client.make_consumer("EVENTS", "push", deliver_subject="somewhere")
        self.receive(server, name="push", stream="EVENTS", durable="push")
        self.assertIn("'push' is a push consumer", await self.until_said("push: NATS"))

    async def test_a_consumer_that_is_deleted_is_made_anew(self) -> None:
        server = self.serve_stream()
        receiver = await self.connected(server, **self.KEYS)
        with server.client() as client:
            client.ask("$JS.API.CONSUMER.DELETE.EVENTS.ccstore")
        await self.until(lambda: receiver.figures()["reconnects"] == 1)
        self.publish(server, "a")
        await self.until(lambda: self.sink.texts == ["a"])
