"""The socket of a connection, as the reactor sees it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReadWriteDescriptor)
class SocketWatch:
    """Watches a socket by a descriptor of its own; for what watches it, it is the reactor.

    libpq closes its socket when it likes to, and takes another one. The reactor would go on with the number
    of it, and the next that has this number, such as a client of another port, would not be watched at all.

    :param reactor: the real one.
    :param number: gives the descriptor that libpq has now, or -1.
    """

    def __init__(self, reactor: Any, number: Callable[[], int]) -> None:
        self._reactor = reactor
        self._theirs = number
        self._number = -1
        self._socket: tuple[int, int] | None = None  # tells it from all others
        self._reader: Any = None
        self._writer: Any = None

    # -- for those who watch it, one at a time

    def addReader(self, reader: Any) -> None:
        """Tell this one when something can be read; raises :class:`ConnectionLost` if there is no socket."""
        self._follow()
        self._reader = reader
        self._reactor.addReader(self)

    def addWriter(self, writer: Any) -> None:
        """Tell this one when something can be written; raises :class:`ConnectionLost` likewise."""
        self._follow()
        self._writer = writer
        self._reactor.addWriter(self)

    def removeReader(self, reader: Any) -> None:
        """Tell nobody any more, whoever it was."""
        self._reader = None
        if self._number >= 0:
            self._reactor.removeReader(self)

    def removeWriter(self, writer: Any) -> None:
        """The same for what can be written."""
        self._writer = None
        if self._number >= 0:
            self._reactor.removeWriter(self)

    def callLater(self, delay: float, what: Callable[..., object], *args: Any, **kw: Any) -> IDelayedCall:
        """As that of the reactor."""
        later: IDelayedCall = self._reactor.callLater(delay, what, *args, **kw)
        return later

    def end(self) -> None:
        """Watch it no more."""
        self.removeReader(None)
        self.removeWriter(None)
        if self._number >= 0:
            os.close(self._number)
            self._number, self._socket = -1, None

    def _follow(self) -> None:
        """Have a descriptor of the socket that libpq has now."""
        number = self._theirs()
        if number < 0:
            raise ConnectionLost
        found = os.fstat(number)
        socket = found.st_dev, found.st_ino
        if socket != self._socket:
            self.end()
            self._number, self._socket = os.dup(number), socket

    # -- for the reactor

    def fileno(self) -> int:
        """Our descriptor, or -1."""
        return self._number

    def logPrefix(self) -> str:
        """Who this is."""
        return "connection"

    def doRead(self) -> None:
        """Something can be read."""
        if self._reader is not None:
            self._reader.doRead()

    def doWrite(self) -> None:
        """Something can be written."""
        if self._writer is not None:
            self._writer.doWrite()

    def connectionLost(self, reason: Failure) -> None:
        """It is gone."""
        watching = [each for each in (self._reader, self._writer) if each is not None]
        self._reader = self._writer = None
        for each in dict.fromkeys(watching):
            each.connectionLost(reason)
