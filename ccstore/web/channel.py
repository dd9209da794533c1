"""Connections: no more is read than there is use for, and nobody is waited for longer than it makes sense."""

from __future__ import annotations

import fcntl
import re
import select
import struct
import termios
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableDescriptor, IHalfCloseableProtocol
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from ccstore.network.addresses import address_of
from ccstore.network.greetings import is_http, is_tls, spoken

from .answers import WebError
from .connections import Waiting
from .request import READ, LimitedRequest

#: How the first line of a request may begin; RFC 9112, 3.
_FIRST_LINE: Final = re.compile(
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}(?: [!-\xff]*(?: [HTP/.0-9]{0,8})?)?)?\r?"
)
#: An answer that says nothing, and another follows it; RFC 9110, 15.2.
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@frozen
class Patience:
    """
    How long a connection is waited for, in seconds.

    :ivar head: for the whole head of a request, from its first byte, or from the beginning of the connection.
    :ivar body: until so many bytes of a body must have come, as :attr:`least` says, and so on.
    :ivar least: bytes.
    :ivar answer: until the client must have taken something of an answer, and so on.
    :ivar last_answer: for the client to read why its request was refused, while it still sends.
    :ivar grace: of these, after the daemon itself may have been held up.
    :ivar sign_of_life: after which a client that sends no more is asked whether it is still there, and so on.
    :ivar first_sign: after which it is asked for the first time, and its answer is looked for.
    """

    head: float = 10.0
    body: float = 10.0
    least: int = 1000
    answer: float = 30.0
    last_answer: float = 2.0
    grace: float = 1.0
    sign_of_life: float = 1.0
    first_sign: float = 0.05


@implementer(IHalfCloseableProtocol)
class Channel(HTTPChannel):
    """A connection of a client."""

    site: Any
    transport: Any
    host = ""
    _command: bytes
    _path: bytes
    _phase: Waiting | None = Waiting.HEAD
    _is_read_out = False  # the client sends no more, but may wait for an answer
    _is_ending = False  # it has its last answer, or is over
    _is_deaf = False  # what comes is not looked at
    _ends_after_answer = False
    _line = b""  # that was read last
    _has_wrong_length = False
    _received = 0  # bytes
    _received_before = 0
    _deadline: IDelayedCall | None = None  # for a head, or for bytes of a body
    _taking: IDelayedCall | None = None  # for something of an answer to be taken
    _unsent: int | None = None
    _asking: IDelayedCall | None = None  # whether the client is still there
    _has_asked = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.set_read(READ)
        peer: Any = self.transport.getPeer()
        self.host = str(getattr(peer, "host", ""))
        self.site.connections.add(self)
        self._wait(self._patience.head)

    @property
    def _patience(self) -> Patience:
        patience: Patience = self.site.patience
        return patience

    @property
    def sender(self) -> str:
        return address_of(self.transport.getPeer())

    def set_read(self, size: int) -> None:
        """How many bytes are read in one go. TLS reads as much as it likes."""
        self.transport.bufferSize = size

    # -- what comes

    def dataReceived(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._received += len(data)
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
        if self._handlingRequest and self._asking is None:
            self._ask_later(self._patience.first_sign)

    def writeConnectionLost(self) -> None:
        """See :meth:`IHalfCloseableProtocol.writeConnectionLost`."""

    def _has_sent_all(self) -> None:
        if self.requests or self._buffer:
            text = f"the request ended in the middle of its {'head' if self.line_mode else 'body'}"
            self.site.bad_request(self.sender, text)
            if not self.line_mode and self.length is not None:
                request: LimitedRequest = self.requests[-1]
                text += f", after {request.taken} of {self.length} bytes"
            self._say_last_and_end(WebError(400, text))
        self.loseConnection()

    def _ask_later(self, seconds: float) -> None:
        self._asking = self._call_later(seconds, self._ask_for_a_sign_of_life)

    def _ask_for_a_sign_of_life(self) -> None:
        """Send what a client that waits passes over, and what the system of one that has gone refuses."""
        self._asking = None
        if self._handlingRequest:
            request = self.requests[0]
            if not request.startedWriting and request.clientproto == b"HTTP/1.1":
                self.transport.write(_CONTINUE)
            first, self._has_asked = not self._has_asked, True
            if first:
                self._asking = self._call_later(self._patience.first_sign, self._look_for_a_reset)
            else:
                self._ask_later(self._patience.sign_of_life)

    def _look_for_a_reset(self) -> None:
        """See whether the system of the client refused what was sent: nothing else tells."""
        self._asking = None
        if _is_reset(self.transport):
            self.transport.abortConnection()
        elif self._handlingRequest:
            self._ask_later(self._patience.sign_of_life)

    # -- time

    def _call_later(
        self, seconds: float, function: Callable[..., object], *arguments: object
    ) -> IDelayedCall:
        call: IDelayedCall = self.site.reactor.callLater(seconds, function, *arguments)
        return call

    def _enter(self, phase: Waiting | None) -> None:
        """Wait for something of the client; with None, it is the client who waits for an answer."""
        if phase is self._phase and phase is not Waiting.BODY:
            return
        self.site.connections.waits(self, phase)
        if phase is self._phase:
            return
        self._phase = phase
        self._stop_waiting()
        if phase is Waiting.HEAD:
            self._wait(self._patience.head)
        elif phase is Waiting.BODY:
            self._received_before = self._received
            self._wait(self._patience.body)

    def _wait(self, seconds: float) -> None:
        grace = self._patience.grace
        self._deadline = self._call_later(seconds - grace, self._wait_a_little_more, grace)

    def _wait_a_little_more(self, seconds: float) -> None:
        # What came while the daemon itself was held up is read before anybody is cut off.
        self._deadline = self._call_later(seconds, self._time_is_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _time_is_up(self) -> None:
        self._deadline = None
        patience = self._patience
        if self._phase is Waiting.BODY:
            received = self._received - self._received_before
            if received >= patience.least:
                self._received_before = self._received
                self._wait(patience.body)
                return
            text = f"less than {patience.least} bytes of the body of a request came in {patience.body:g} s"
        else:
            text = f"the head of a request did not come within {patience.head:g} s"
        self.site.cut(self.sender, text)
        if self.requests or self._buffer:
            self._say_last_and_end(WebError(408, text))
        else:
            self._is_deaf = True
            self.loseConnection()

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
        self._wait_for_taking()
        self._look()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._stop_waiting_for_taking()
        self._look()

    def _wait_for_taking(self) -> None:
        if self._taking is None:
            self._unsent = _unsent(self.transport)
            self._taking = self._call_later(self._patience.answer, self._look_at_taking)

    def _stop_waiting_for_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _look_at_taking(self) -> None:
        self._taking = None
        before, now = self._unsent, _unsent(self.transport)
        if before is not None and now is not None and now < before:
            self._wait_for_taking()
            return
        self.site.cut(self.sender, f"nothing of an answer was taken for {self._patience.answer:g} s")
        self.transport.abortConnection()

    # -- the end

    def _respondToBadRequestAndDisconnect(self) -> None:
        """What came is no request; called by its super class, too."""
        if is_tls(self._line):
            # Nobody there would understand an answer.
            self.site.bad_request(self.sender, "it speaks TLS, and this port does not")
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
        self.site.bad_request(self.sender, error.text)
        self._say_last_and_end(error)

    def _say_last_and_end(self, error: WebError) -> None:
        self.say_last(error)
        self._end_softly()

    def say_last(self, error: WebError) -> None:
        """Answer for the last time, and give the client time to read that while it still sends."""
        if self._is_ending:
            return
        self._is_ending = True
        self._stop_waiting()
        for request in self.requests:
            request.let_go()
        is_head = getattr(self, "_command", b"") == b"HEAD"
        self.transport.write(error.as_bytes(is_head=is_head))
        self._deadline = self._call_later(self._patience.last_answer, self._hang_up)

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

    def _hang_up(self) -> None:
        self._deadline = None
        self.loseConnection()

    def loseConnection(self) -> None:
        if self._ends_after_answer and not self._is_ending:
            self._is_ending = True
            self._stop_waiting()
            self._deadline = self._call_later(self._patience.last_answer, self._hang_up)
            self._end_softly()
            return
        super().loseConnection()
        if self.transport.connected:
            # For ever, if the client does not take what is still to be sent.
            self._wait_for_taking()

    def make_room(self) -> None:
        """See :class:`ccstore.web.connections.Connection`."""
        self._is_deaf = True
        if self._phase is Waiting.REQUEST:
            self.loseConnection()
        else:
            self.site.cut(self.sender, "it kept the daemon waiting when there were too many connections")
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(reason)
        self._is_ending = True
        self.site.connections.remove(self)
        self._stop_waiting()
        self._stop_waiting_for_taking()
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None


def _is_reset(transport: Any) -> bool:
    """Whether a connection has ended, although it is not read; False if that cannot be told."""
    try:
        watch = select.poll()
        watch.register(transport.fileno(), 0)
        return bool(watch.poll(0))
    except (AttributeError, OSError, TypeError, ValueError):
        return False


def _unsent(transport: Any) -> int | None:
    """Bytes that the other side has not taken yet, here and in the system; None if that cannot be told."""
    try:
        here: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        (in_system,) = struct.unpack("i", fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, bytes(4)))
    except (AttributeError, OSError):
        return None
    return here + int(in_system)
