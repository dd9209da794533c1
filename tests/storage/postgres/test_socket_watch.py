"""libpq closes the socket of a connection itself, and the reactor mixes up nobody."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from ccstore.storage.postgres.socket_watch import SocketWatch


class Watching:
    """Waits for something to read, from a socket of its own or by a watch."""

    def __init__(self, number: int = -1) -> None:
        self._number = number
        self.told: Deferred[str] = Deferred()

    def fileno(self) -> int:
        return self._number

    def logPrefix(self) -> str:
        return "watching"

    def doRead(self) -> None:
        self._tell("read")

    def doWrite(self) -> None:
        self._tell("write")

    def connectionLost(self, reason: Failure) -> None:
        self._tell("lost")

    def _tell(self, what: str) -> None:
        if not self.told.called:
            self.told.callback(what)


class SocketWatchTests(TestCase):
    def setUp(self) -> None:
        self.number = -1
        self.watch = SocketWatch(reactor, lambda: self.number)
        self.addCleanup(self.watch.end)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        return one, other

    def follow(self, theirs: socket.socket) -> Watching:
        self.number = theirs.fileno()
        watching = Watching()
        self.watch.addReader(watching)
        return watching

    async def test_the_number_of_a_closed_socket_is_free_for_others(self) -> None:
        theirs, _ = self.pair()
        number = theirs.fileno()
        self.follow(theirs)
        theirs.close()
        client, peer = self.pair()
        self.assertEqual(client.fileno(), number)
        watching = Watching(number)
        reactor.addReader(watching)  # type: ignore[attr-defined]
        self.addCleanup(reactor.removeReader, watching)  # type: ignore[attr-defined]
        # As the connection is given up when it is known to be lost.
        self.number = -1
        self.watch.end()
        peer.send(b"x")
        self.assertEqual(await watching.told, "read")

    async def test_another_socket_of_the_same_number_is_followed(self) -> None:
        theirs, _ = self.pair()
        number = theirs.fileno()
        before = self.follow(theirs)
        theirs.close()
        theirs, peer = self.pair()
        self.assertEqual(theirs.fileno(), number)
        watching = self.follow(theirs)
        peer.send(b"x")
        self.assertEqual(await watching.told, "read")
        self.assertFalse(before.told.called)
        self.watch.removeReader(watching)

    async def test_what_can_be_written_is_told(self) -> None:
        theirs, _ = self.pair()
        self.number = theirs.fileno()
        watching = Watching()
        self.watch.addWriter(watching)
        self.assertEqual(await watching.told, "write")

    async def test_it_is_told_that_it_is_lost(self) -> None:
        theirs, peer = self.pair()
        self.number = theirs.fileno()
        watching = Watching()
        self.watch.addReader(watching)
        self.watch.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(await watching.told, "lost")
        peer.close()

    def test_without_a_socket_there_is_nothing_to_watch(self) -> None:
        for add in (self.watch.addReader, self.watch.addWriter):
            with self.assertRaises(ConnectionLost):
                add(Watching())
        self.assertEqual(self.watch.fileno(), -1)
