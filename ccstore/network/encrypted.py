"""Connections with TLS: what came to none is counted, and said in words that help."""

from __future__ import annotations

from typing import Any, Final, cast

from OpenSSL import SSL
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

from ccstore.logs import RateLimit, more_like_it
from ccstore.network.addresses import address_of
from ccstore.network.greetings import is_http
from ccstore.network.renewal import Renewal

_WARN_EVERY: Final = 10.0
#: What OpenSSL says of a handshake that failed, and what it comes from.
_HANDSHAKES = {
    "peer did not return a certificate": "it has no certificate, and one is required",
    "certificate verify failed": "its certificate is not accepted",
    "http request": "it does not speak TLS",
    "https proxy request": "it does not speak TLS",
    "wrong version number": "it does not speak TLS",
    "packet length too long": "it does not speak TLS",
    "unsupported protocol": "its version of TLS is too old",
    "no shared cipher": "it has no cipher in common with us",
}


#: For who speaks HTTP where TLS has to come first.
_NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nX-Content-Type-Options: nosniff\r\n"
    b"Connection: close\r\n\r\nthis port speaks TLS: use https://\n"
)


class _EncryptedConnection(BufferingTLSTransport):
    """A connection that tells if there was no talking TLS with the other side."""

    def dataReceived(self, bytes: bytes) -> None:
        if not self._handshakeDone and is_http(bytes):
            # Below TLS; what OpenSSL says of it, and the end, are as for any other that speaks none.
            cast(ITransport, self.transport).write(_NOT_TLS)
        super().dataReceived(bytes)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # The first is what OpenSSL said, and what the protocol above is told.
        cause: Failure = getattr(self, "_reason", None) or reason
        if cause.check(SSL.Error):
            cast(EncryptedFactory, self.factory).failed(
                cast(SSL.Error, cause.value), address_of(self.getPeer())
            )
        super().connectionLost(reason)


class EncryptedFactory(TLSMemoryBIOFactory):
    """Makes connections with TLS.

    :ivar renewal: what it uses for that.
    :ivar failures: how many of them came to nothing, or ended by an error of TLS.
    """

    log = Logger()
    protocol = _EncryptedConnection

    def __init__(self, renewal: Renewal, factory: ServerFactory[Any], clock: Any, what: str) -> None:
        super().__init__(renewal, False, factory, clock)
        self.renewal = renewal
        self.failures = 0
        self._what = what
        self._warnings = RateLimit(clock, _WARN_EVERY)

    def startFactory(self) -> None:
        self.renewal.start()

    def stopFactory(self) -> None:
        self.renewal.stop()

    def failed(self, error: SSL.Error, sender: str) -> None:
        """Count a connection without TLS, and say so now and then."""
        self.failures += 1
        said = openssl_says(error)
        suppressed = self._warnings.check((said, sender.rsplit(":", 1)[0]))
        if suppressed is not None:
            meaning = _HANDSHAKES.get(said)
            self.log.warn(
                "{what}: {sender}: no connection with TLS: {reason}{more}",
                what=self._what,
                sender=sender,
                reason=said if meaning is None else f"{meaning} ({said})",
                more=more_like_it(suppressed),
            )


def openssl_says(error: SSL.Error) -> str:
    """The reason that OpenSSL gives, in its words."""
    queue = error.args[0] if error.args else None
    if isinstance(queue, list) and queue:
        return str(queue[-1][-1])
    return " ".join(str(error).split()) or "it gives no reason"
