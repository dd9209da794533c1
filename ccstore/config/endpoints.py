"""Endpoint strings: as far as they can be understood without opening anything."""

from __future__ import annotations

import re
from typing import Any

from OpenSSL.crypto import Error as CryptoError
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import VerifyError
from twisted.internet.ssl import CertificateOptions

from . import kinds
from .kinds import Unfit

_EXPECTED = "a Twisted server endpoint"
#: What Python says of a call with the wrong arguments, in words for those who only see the string.
_ARGUMENTS = (
    (re.compile(r"unexpected keyword argument '(.+)'"), r"it has no parameter '\1'"),
    (re.compile(r"multiple values for argument '(.+)'"), r"the parameter '\1' is given twice"),
    (re.compile(r"missing \d+ required positional arguments?: (.+)"), r"\1 is missing"),
    (re.compile(r"takes .* positional arguments? but"), "there are too many parts"),
    (re.compile(r"invalid literal for int\(\) with base 10: (.*)"), r"\1 is not a number"),
)


def endpoint(value: object) -> str:
    """The string form of a Twisted server endpoint, its parameters and the files that they name checked."""
    text = kinds.endpoint(value)
    if text.partition(":")[0].lower() == "stdio":
        raise Unfit(f"{_EXPECTED} (stdio is no place to listen on)")
    try:
        serverFromString(None, text)  # a reactor is needed only to listen
    except (OSError, LookupError):
        # Relative paths are those of the directory that the daemon will run in, and the sockets of systemd
        # are there only when it starts: the start will tell.
        pass
    except Exception as error:
        raise Unfit(f"{_EXPECTED} ({complaint(error)})") from None
    return text


class _Probe:
    """A reactor that opens nothing, and remembers what was to be used for TLS."""

    def __init__(self) -> None:
        self.options: CertificateOptions | None = None

    def listenSSL(self, port: int, factory: Any, contextFactory: CertificateOptions, **more: object) -> None:
        """See :meth:`IReactorSSL.listenSSL`."""
        self.options = contextFactory


def tls_options_of(text: str) -> CertificateOptions | None:
    """
    Read the files of an endpoint string with TLS; None if it has none.

    Whatever stands in the way is raised.
    """
    if "ssl:" not in text.lower():
        return None  # other kinds may open something, though there is no reactor
    probe = _Probe()
    endpoint: Any = serverFromString(probe, text)
    endpoint.listen(None).addErrback(lambda failure: None)  # another kind with such a word in it
    return probe.options


def complaint(error: Exception) -> str:
    """What is wrong with an endpoint string, by the exception that it led to, in one line."""
    if isinstance(error, CryptoError):
        return "there is no certificate or no private key in the file it names"
    if isinstance(error, VerifyError):
        return "the certificate and the private key do not belong together"
    if isinstance(error, RuntimeError):
        return "it ends in the middle of an escape"
    said = str(error)
    for pattern, words in _ARGUMENTS:
        found = pattern.search(said)
        if found:
            return found.expand(words)
    return " ".join(said.split()) or type(error).__name__
