"""What an error of Twisted's client, by which a request failed, is made of and says."""

from __future__ import annotations

from typing import Final

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed


def causes(error: Exception) -> list[BaseException]:
    """The errors that an error of Twisted's client was made of, or itself; what tells most comes first."""
    found: list[BaseException] = []
    for reason in getattr(error, "reasons", ()) if isinstance(error, ResponseFailed) else ():
        if isinstance(reason, Failure) and isinstance(reason.value, Exception):
            found += causes(reason.value)
    found.append(error)
    return sorted(found, key=lambda cause: not isinstance(cause, (SSL.Error, VerificationError)))


_TLS_REASONS: Final = {
    "certificate verify failed": "its certificate is not signed by anybody who is trusted here; see --ca",
    "wrong version number": "the server does not talk TLS; is it http:// and not https://?",
    "http request": "the server does not talk TLS; is it http:// and not https://?",
}


def tls_reason(error: SSL.Error) -> str:
    """Why TLS was not agreed on, for people."""
    for reason in error.args[0] if error.args and isinstance(error.args[0], list) else ():
        said = str(reason[-1])
        if "alert" in said and ("certificate" in said or "unknown ca" in said):
            return f"the server wants another certificate from us ({said}); see --cert and --key"
        return _TLS_REASONS.get(said, said)
    return "the connection ended in the handshake"


def words_of(error: BaseException) -> str:
    """What an error says, in one line without a full stop."""
    return " ".join(str(error).rstrip(".").split())
