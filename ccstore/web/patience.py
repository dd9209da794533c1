"""How long a client is waited for: for its request, for taking its answer, and while it is silent.

Each class is about one connection, and is given what it needs of that.
"""

from __future__ import annotations

import fcntl
import select
import struct
import termios
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from .request import LimitedRequest

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
    :ivar sign_of_life: after about which a client that sends no more is asked again whether it is there.
    :ivar first_sign: after which it is asked for the first time; what comes of it is looked for as soon.
    """

    head: float = 10.0
    body: float = 10.0
    least: int = 1000
    answer: float = 30.0
    last_answer: float = 2.0
    grace: float = 1.0
    sign_of_life: float = 1.0
    first_sign: float = 0.02


class Deadline:
    """When a request must have come, or be over.

    :param too_late: called with what did not come, in words.
    :ivar received: bytes of the connection so far; whoever reads it counts them here.
    """

    def __init__(self, clock: IReactorTime, patience: Patience, too_late: Callable[[str], None]) -> None:
        self._clock = clock
        self._patience = patience
        self._too_late = too_late
        self._call: IDelayedCall | None = None
        self._received_before = 0
        self.received = 0

    def for_head(self) -> None:
        """From now on, the head of a request is waited for."""
        self._wait(self._patience.head, self._no_head)

    def for_body(self) -> None:
        """From now on, a body is waited for, as long as some of it comes."""
        self._received_before = self.received
        self._wait(self._patience.body, self._look_at_body)

    def for_end(self, hang_up: Callable[[], None]) -> None:
        """The last answer is sent: give the client the time to read it."""
        self.stop()
        self._set(self._patience.last_answer, hang_up)

    def stop(self) -> None:
        """Wait no longer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _wait(self, seconds: float, time_is_up: Callable[[], None]) -> None:
        # What came while the daemon itself was held up is read before anybody is cut off.
        grace = self._patience.grace
        self.stop()
        self._set(seconds - grace, lambda: self._set(grace, time_is_up))

    def _set(self, seconds: float, function: Callable[[], None]) -> None:
        def call() -> None:
            self._call = None
            function()

        self._call = self._clock.callLater(seconds, call)

    def _no_head(self) -> None:
        self._too_late(f"the head of a request did not come within {self._patience.head:g} s")

    def _look_at_body(self) -> None:
        patience = self._patience
        if self.received - self._received_before >= patience.least:
            self.for_body()
        else:
            self._too_late(
                f"less than {patience.least} bytes of the body of a request came in {patience.body:g} s"
            )


class Taking:
    """Whether a client takes anything of what is sent to it.

    :param too_late: called with what was not taken, in words.
    """

    def __init__(
        self, transport: Any, clock: IReactorTime, patience: Patience, too_late: Callable[[str], None]
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._patience = patience
        self._too_late = too_late
        self._call: IDelayedCall | None = None
        self._unsent: int | None = None

    def wait(self) -> None:
        """Something waits to be taken."""
        if self._call is None:
            self._unsent = _unsent(self._transport)
            self._call = self._clock.callLater(self._patience.answer, self._look)

    def stop(self) -> None:
        """It is taken, or nothing more is to be."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        before, now = self._unsent, _unsent(self._transport)
        if before is not None and now is not None and now < before:
            self.wait()
        else:
            self._too_late(f"nothing of an answer was taken for {self._patience.answer:g} s")


class SignOfLife:
    """Whether a client that sends no more still waits for its answer, or has gone.

    :param in_hand: gives the request that it waits for, or None.
    """

    def __init__(
        self,
        transport: Any,
        clock: IReactorTime,
        patience: Patience,
        in_hand: Callable[[], LimitedRequest | None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._patience = patience
        self._in_hand = in_hand
        self._call: IDelayedCall | None = None
        self._wait = 0.0  # before the next look

    def begin(self) -> None:
        """It sends no more from now on, and a request of it is in hand."""
        if self._call is None:
            self._call = self._clock.callLater(self._patience.first_sign, self._ask)

    def stop(self) -> None:
        """The connection is over."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _ask(self) -> None:
        """Send what a client that waits passes over, and what the system of one that has gone refuses."""
        self._call = None
        request = self._in_hand()
        if request is None:
            return
        if not request.startedWriting and request.clientproto == b"HTTP/1.1":
            self._transport.write(_CONTINUE)
        self._wait = self._patience.first_sign
        self._look_later()

    def _look_later(self) -> None:
        self._call = self._clock.callLater(self._wait, self._look_for_a_reset)

    def _look_for_a_reset(self) -> None:
        """See whether the system of the client refused what was sent: nothing else tells.

        How long that takes depends on how far away it is, so the looks are soon, and then further apart.
        """
        self._call = None
        if _is_reset(self._transport):
            self._transport.abortConnection()
        elif self._in_hand() is None:
            return
        elif 2 * self._wait < self._patience.sign_of_life:
            self._wait *= 2
            self._look_later()
        else:
            self._ask()


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
