"""Why there is no connection to a NATS server, in a line."""

from __future__ import annotations

from typing import Final

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import TimeoutError
from twisted.internet.error import ConnectionClosed
from twisted.python.failure import Failure

from ccstore.network.encrypted import openssl_says

#: Seconds for a connection to come about, and for an answer.
PATIENCE: Final = 10.0
#: Why a connection has ended that the server, or something on the way, has closed without a word.
CLOSED: Final = "the server has closed the connection"


class NatsError(Exception):
    """A connection has come to nothing, or to an end; the text says why, in a line."""


def why(error: BaseException) -> str:
    """Why there is no connection."""
    if isinstance(error, NatsError):
        return str(error)
    if isinstance(error, VerificationError):
        return "the server's certificate is for another name"
    if isinstance(error, SSL.Error):
        said = openssl_says(error)
        if said == "certificate verify failed":
            return "the server's certificate is not signed by anybody we trust, or has expired"
        return f"no connection with TLS ({said})"
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE:g} s"
    return printable(str(error) or type(error).__name__).rstrip(".")


def why_lost(reason: Failure) -> str:
    """Why a connection has ended that there was."""
    if reason.check(ConnectionClosed):
        return CLOSED
    return why(reason.value or ConnectionClosed())


def printable(text: object) -> str:
    """What somebody else says, fit for a line of the log."""
    return "".join(char if char.isprintable() else "?" for char in str(text)[:200])
