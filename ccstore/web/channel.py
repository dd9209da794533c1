"""Connections: no more is read than there is use for, and nobody is waited for longer than it makes sense."""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.internet.interfaces import IHalfCloseableDescriptor, IHalfCloseableProtocol
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from ccstore.network.addresses import address_of
from ccstore.network.greetings import is_http, is_tls, spoken

from .answers import WebError
from .eviction import Waiting
from .patience import Deadline, SignOfLife, Taking
from .request import READ, LimitedRequest

#: How the first line of a request may begin; RFC 9112, 3.
_FIRST_LINE: Final = re.compile(
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}(?: [!-\xff]*(?: [HTP/.0-9]{0,8})?)?)?\r?"
)


@implementer(IHalfCloseableProtocol)
class Channel(HTTPChannel):
    """A connection of a client."""

    # Most of the methods are hooks of Twisted's class, and tell which of its states they meet: that reads
    # better in one place. What goes by the clock is in `patience`.

    site: Any
    transport: Any
    host = ""
    _command: bytes
    _path: bytes
    _deadline: Deadline
    _taking: Taking
    _sign_of_life: SignOfLife
    _phase: Waiting | None = Waiting.HEAD
    _is_read_out = False  # the client sends no more, but may wait for an answer
    _is_ending = False  # it has its last answer, or is over
    _is_deaf = False  # what comes is not looked at
    _ends_after_answer = False
    _line = b""  # that was read last
    _has_wrong_length = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.set_read(READ)
        peer: Any = self.transport.getPeer()
        self.host = str(getattr(peer, "host", ""))
        self.site.connections.add(self)
        clock, patience = self.site.reactor, self.site.patience
        self._deadline = Deadline(clock, patience, self._request_is_late)
        self._taking = Taking(self.transport, clock, patience, self._cut)
        self._sign_of_life = SignOfLife(self.transport, clock, patience, self._in_hand)
        self._deadline.for_head()

    @property
    def sender(self) -> str:
        """Who is at the other end, for people."""
        return address_of(self.transport.getPeer())

    def set_read(self, size: int) -> None:
        """How many bytes are read in one go. TLS reads as much as it likes."""
        self.transport.bufferSize = size

    # -- what comes

    def dataReceived(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._deadline.received += len(data)
        super().dataReceived(data)
        self._look()

    def lineReceived(self, line: bytes) -> None:
        if not self._is_deaf:
            self._line = line
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        if not self._is_deaf:
            super().rawDataReceived(data)

    def _failChooseTransferDecoder(self) -> bool:
        """There are several lengths of a body, or none that can be read; called by its super class."""
        self._has_wrong_length = True
        return bool(super()._failChooseTransferDecoder())

    def lineLengthExceeded(self, line: bytes) -> None:
        if self.requests:
            self._refuse(WebError(431, "a header of the request is too long"))
        else:
            self._refuse(WebError(414, "the first line of the request is too long"))

    def _look(self) -> None:
        """See what the connection waits for now."""
        if self._busyReceiving or self._is_ending:
            return
        if self._handlingRequest:
            self._enter(Waiting.ANSWER if self._waitingForTransport else None)
        elif self._is_read_out:
            self._has_sent_all()
        elif not self.line_mode:
            self._enter(Waiting.BODY)
        elif self.requests or self._buffer:
            self._enter(Waiting.HEAD)
            self._look_at_half_a_line()
        else:
            self._enter(Waiting.ANSWER if self._waitingForTransport else Waiting.REQUEST)

    def _look_at_half_a_line(self) -> None:
        """Do not wait for the end of what will never be the line of a request."""
        half = self._buffer
        if b"\n" in half or not (self.requests or _FIRST_LINE.fullmatch(half)):
            self._line = half
            self._respondToBadRequestAndDisconnect()

    def requestDone(self, request: Any) -> None:
        super().requestDone(request)
        self._look()

    # -- half-closed connections

    def readConnectionLost(self) -> None:
        """The client sends no more. It may have gone, or wait for what it has asked for."""
        self._is_read_out = True
        if self._is_ending:
            self.loseConnection()
            return
        self._look()
        if self._handlingRequest:
            self._sign_of_life.begin()

    def _in_hand(self) -> LimitedRequest | None:
        return self.requests[0] if self._handlingRequest else None

    def writeConnectionLost(self) -> None:
        """See :meth:`IHalfCloseableProtocol.writeConnectionLost`."""

    def _has_sent_all(self) -> None:
        if self.requests or self._buffer:
            text = f"the request ended in the middle of its {'head' if self.line_mode else 'body'}"
            self.site.refusals.bad_request(self.sender, text)
            if not self.line_mode and self.length is not None:
                request: LimitedRequest = self.requests[-1]
                text += f", after {request.taken} of {self.length} bytes"
            self._say_last_and_end(WebError(400, text))
        self.loseConnection()

    # -- time

    def _enter(self, phase: Waiting | None) -> None:
        """Wait for something of the client; with None, it is the client who waits for an answer."""
        if phase is self._phase and phase is not Waiting.BODY:
            return
        self.site.connections.waits(self, phase)
        if phase is self._phase:
            return
        self._phase = phase
        if phase is Waiting.HEAD:
            self._deadline.for_head()
        elif phase is Waiting.BODY:
            self._deadline.for_body()
        else:
            self._deadline.stop()

    def _request_is_late(self, text: str) -> None:
        self.site.refusals.cut(self.sender, text)
        if self.requests or self._buffer:
            self._say_last_and_end(WebError(408, text))
        else:
            self._is_deaf = True
            self.loseConnection()

    def _cut(self, text: str) -> None:
        """End with a client at once, and count it as cut off."""
        self.site.refusals.cut(self.sender, text)
        self.transport.abortConnection()

    def timeoutConnection(self) -> None:
        """Nothing has come for long; called by its super class."""
        if self._waitingForTransport:
            # It is busy with the last answer.
            self.setTimeout(self.timeOut)
        else:
            super().timeoutConnection()

    # -- answers

    def pauseProducing(self) -> None:
        super().pauseProducing()
        self._taking.wait()
        self._look()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._taking.stop()
        self._look()

    # -- the end

    def _respondToBadRequestAndDisconnect(self) -> None:
        """What came is no request; called by its super class, too."""
        if is_tls(self._line):
            # Nobody there would understand an answer.
            self.site.refusals.bad_request(self.sender, "it speaks TLS, and this port does not")
            self._is_deaf = True
            self.loseConnection()
        elif self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self._refuse(WebError(431, "the head of the request is too large"))
        else:
            self._refuse(WebError(400, self._what_is_wrong()))

    def _what_is_wrong(self) -> str:
        line = self._line
        if not self.line_mode:
            return "the chunks of the body cannot be read"
        if not self.requests or not hasattr(self, "_command"):
            name = spoken(line)
            if name is not None:
                return f"this is {name}, and HTTP is spoken here"
            if not is_http(line):
                return "this is no request of HTTP/1.1 that can be read"
        if b"\n" in line:
            return "the lines of a request end with CR and LF, these with LF alone"
        if self._has_wrong_length:
            return "a body has to have one Content-Length, which is a number, or else to come in chunks"
        return "a header of the request cannot be read"

    def _refuse(self, error: WebError) -> None:
        """Be done with a client whose request cannot be read."""
        self.site.refusals.bad_request(self.sender, error.text)
        self._say_last_and_end(error)

    def _say_last_and_end(self, error: WebError) -> None:
        self.say_last(error)
        self._end_softly()

    def say_last(self, error: WebError) -> None:
        """Answer for the last time, and give the client time to read that while it still sends."""
        if self._is_ending:
            return
        self._is_ending = True
        for request in self.requests:
            request.let_go()
        is_head = getattr(self, "_command", b"") == b"HEAD"
        self.transport.write(error.as_bytes(is_head=is_head))
        self._deadline.for_end(self.loseConnection)

    def end_after_answer(self) -> None:
        """What comes after the request in hand will not be understood: end with its answer."""
        self.persistent = False
        self._ends_after_answer = True

    def _end_softly(self) -> None:
        """Tell the client that nothing more comes, and look at nothing that it still sends.

        But read it: at what is not read the system sends a reset, and a client may throw the answer away.
        """
        self._is_deaf = True
        if self._can_be_half_closed():
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def _can_be_half_closed(self) -> bool:
        return IHalfCloseableDescriptor.providedBy(self.transport) and not self.isSecure()

    def loseConnection(self) -> None:
        if self._ends_after_answer and not self._is_ending:
            self._is_ending = True
            self._deadline.for_end(self.loseConnection)
            self._end_softly()
            return
        super().loseConnection()
        if self.transport.connected:
            # For ever, if the client does not take what is still to be sent.
            self._taking.wait()

    def break_off(self) -> None:
        """See :class:`ccstore.web.eviction.Connection`."""
        request = self._in_hand()
        if request is not None and request.startedWriting:
            # Without chunks, an end in order would be that of the answer.
            self.transport.abortConnection()
        else:
            self.loseConnection()

    def make_room(self) -> None:
        """See :class:`ccstore.web.eviction.Connection`."""
        self._is_deaf = True
        if self._phase is Waiting.REQUEST:
            self.loseConnection()
        else:
            self._cut("it kept the daemon waiting when there were too many connections")

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(reason)
        self._is_ending = True
        self.site.connections.remove(self)
        self._deadline.stop()
        self._taking.stop()
        self._sign_of_life.stop()
