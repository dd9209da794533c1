"""One connection over TCP: when it reads, and when it is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Typed

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from ccstore.accounting.samples import TEXT_LIMIT
from ccstore.lineprotocol import LineError
from ccstore.network.greetings import is_http, is_tls
from ccstore.pipeline.backlog import Backlog
from ccstore.pipeline.intake import Intake
from ccstore.receivers.tcp_streams import LineStreams
from ccstore.web import WebError, without_secrets


class IListener(Typed):
    """The receiver, as far as its connections know of it.

    :ivar lines: takes what they read.
    :ivar backlog: says if they may read.
    :ivar idle_timeout: seconds after which a quiet connection is closed, or None.
    """

    intake: Intake
    lines: LineStreams
    backlog: Backlog
    idle_timeout: float | None

    def opened(self, connection: LineProtocol) -> None:
        """A connection is there."""


class LineProtocol(Protocol, TimeoutMixin):
    """One connection of a node.

    :ivar stream: what it has sent, as it is decoded.
    :ivar has_been_read: something came; may be taken back to see if more comes.
    """

    def __init__(self, receiver: IListener, address: str) -> None:
        self._receiver = receiver
        self._is_cut_off = False
        self._is_paused = False
        self.stream = receiver.lines.stream(self, address)
        self.has_been_read = False
        self._has_begun = False
        self._is_refused = False  # what it has sent, and still may send, are no lines

    def connectionMade(self) -> None:
        self.setTimeout(self._receiver.idle_timeout)
        self.read_at_most(self.stream.pieces.size)
        self._receiver.opened(self)

    def dataReceived(self, data: bytes) -> None:
        self.resetTimeout()
        self.has_been_read = True
        if not self._has_begun:
            self._has_begun = True
            if is_tls(data) or is_http(data):
                self._refuse(data)
        if not self._is_refused:
            self._receiver.lines.take(data, self.stream)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)
        self.stream.is_over = True
        # What is left may be half a line, which could pass for a whole one.
        self.stream.is_complete = bool(reason.check(ConnectionDone)) and not self._is_cut_off
        self._receiver.lines.take(b"", self.stream)

    def callLater(self, period: float, func: Callable[..., Any]) -> IDelayedCall:
        """For TimeoutMixin."""
        return self._receiver.intake.clock.callLater(period, func)

    def timeoutConnection(self) -> None:
        self._receiver.intake.warn(
            "idle", self.stream.address, "connection was idle for too long, and is closed"
        )
        self.cut_off()

    def _refuse(self, data: bytes) -> None:
        """Tell at once who would wait for an answer to what are no lines."""
        self._is_refused = True
        lines = [data]
        reason = "TLS, and this port has no tls_certificate"
        if is_http(data):
            lines = data.split(b"\n")
            reason = "HTTP, and this port takes lines as they are: POST them to a receiver of type http"
            self.transport.write(WebError(400, f"this is {reason}").as_bytes())  # type: ignore[union-attr]
        errors = [
            LineError(number, 1, reason, without_secrets(line)[:TEXT_LIMIT].decode(errors="replace").rstrip())
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        self._receiver.intake.reject(errors, self.stream.address)
        self.cut_off()

    def cut_off(self) -> None:
        """Close although the sender may be in the middle of a line."""
        self._is_cut_off = True
        self.close()

    def close(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()

    def abort(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]

    def read_at_most(self, size: int) -> None:
        """Read so many bytes in one go: as many as are decoded in one. TLS reads as much as it likes."""
        self.transport.bufferSize = size  # type: ignore[union-attr]

    def set_timeout(self) -> None:
        """Begin to wait anew, for as long as the receiver says by now."""
        if not (self.stream.is_over or self._is_paused):
            self.setTimeout(self._receiver.idle_timeout)

    def set_pace(self) -> None:
        """Read on, or not for the time being."""
        if self.stream.is_over:
            return
        is_paused = self._receiver.backlog.is_paused or self.stream.is_behind
        if is_paused and not self._is_paused:
            # Whoever is held back is not idle.
            self.setTimeout(None)
            self.transport.pauseProducing()  # type: ignore[union-attr]
        elif self._is_paused and not is_paused:
            self.setTimeout(self._receiver.idle_timeout)
            self.transport.resumeProducing()  # type: ignore[union-attr]
        self._is_paused = is_paused
