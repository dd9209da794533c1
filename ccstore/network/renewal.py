"""Certificates: those that are renewed on disk are used, and those that run out are warned of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import frozen
from cryptography.x509 import Certificate
from OpenSSL import SSL, crypto
from twisted.internet import ssl
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.ssl import CertificateOptions, trustRootFromCertificates
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.config import TlsConfig
from ccstore.config.endpoints import tls_options_of
from ccstore.config.kinds import Unfit
from ccstore.config.pem import certificates, complaint_of_age, first_to_end, private_key, show_end
from ccstore.logs import RateLimit

#: Seconds between two looks at the files.
LOOK_EVERY: Final = 60.0
_WARN_EVERY: Final = 86400.0
#: What is raised when files do not make a certificate and its key.
UNUSABLE: Final = (Unfit, OSError, TypeError, ValueError, SSL.Error, crypto.Error)


@frozen
class Material:
    """What files had for TLS, all of it good.

    :ivar options: for Twisted, of a server or of a client.
    :ivar own: our certificate, and those between it and the root; empty if we need none.
    :ivar authorities: of the other side; empty for any.
    """

    options: Any
    own: Sequence[Certificate]
    authorities: Sequence[Certificate] = ()

    def differs_from(self, other: Material) -> bool:
        """Whether the files have others by now; a key never changes without its certificate."""
        return (self.own, self.authorities) != (other.own, other.authorities)

    def complaint(self, now: float) -> str | None:
        """What is to be said of their age, see :func:`complaint_of_age`."""
        return complaint_of_age(self.own, self.authorities, now)

    @property
    def ends_at(self) -> int | None:
        """When our certificate runs out, in seconds since the epoch."""
        return int(first_to_end(self.own).not_valid_after_utc.timestamp()) if self.own else None


def material_of(tls: TlsConfig) -> Material:
    """What the files of a configuration have; raises one of :data:`UNUSABLE`."""
    own, *chain = certificates(tls.certificate)
    options: dict[str, Any] = {
        "privateKey": private_key(tls.key, own),
        "certificate": own,
        "extraCertChain": chain,
    }
    authorities = [] if tls.client_ca is None else certificates(tls.client_ca)
    if authorities:
        roots = [ssl.Certificate(crypto.X509.from_cryptography(each)) for each in authorities]
        options["trustRoot"] = trustRootFromCertificates(roots)
    return Material(_checked(CertificateOptions(**options)), [own, *chain], authorities)


def material_of_endpoint(endpoint: str, given: CertificateOptions | None = None) -> Material:
    """What the files have that the string of an endpoint with TLS names; raises one of :data:`UNUSABLE`.

    :param given: what they had a moment ago.
    """
    options = tls_options_of(endpoint) if given is None else given
    if options is None:
        raise ValueError("the endpoint has no certificate of its own")
    own = [options.certificate, *(options.extraCertChain or ())]
    return Material(_checked(options), [each.to_cryptography() for each in own])


def _checked(options: CertificateOptions) -> CertificateOptions:
    # Made with the first connection otherwise, and what OpenSSL dislikes about a certificate or a key would
    # show only then.
    options.getContext()
    return options


@implementer(IOpenSSLServerConnectionCreator)
class Renewal:
    """What new connections use for TLS; it looks at the files now and then.

    Files that are being written, or are wrong, change nothing: what they had before is used on.

    :param read: reads the files, see :func:`material_of`. What it raises at first is raised here.
    :param what: whose they are, for the log.
    :param why: says in words what :data:`UNUSABLE` was about.
    """

    log = Logger()

    def __init__(
        self, read: Callable[[], Material], clock: IReactorTime, what: str, why: Callable[[Exception], str]
    ) -> None:
        self._read = read
        self._clock = clock
        self._what = what
        self._why = why
        self.material = read()
        self._warnings = RateLimit(clock, _WARN_EVERY)
        # The configuration has warned of its age when it was read.
        if self.material.complaint(clock.seconds()) is not None:
            self._warnings.check("age")
        self._looking = LoopingCall(self.look)
        self._looking.clock = clock

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See :class:`IOpenSSLServerConnectionCreator`."""
        return SSL.Connection(self.material.options.getContext(), None)

    def start(self) -> None:
        """Look at the files from now on."""
        if not self._looking.running:
            self._looking.start(LOOK_EVERY, now=False).addErrback(
                lambda failure: self.log.failure("looking at certificates has ended", failure)
            )

    def stop(self) -> None:
        if self._looking.running:
            self._looking.stop()

    def read_from(self, read: Callable[[], Material]) -> None:
        """Other files are to be read."""
        self._read = read
        self.look()

    def current(self) -> Any:
        """The options for Twisted, by what the files have now."""
        self.look()
        return self.material.options

    def look(self) -> None:
        """Use what the files have, if that is new and good."""
        try:
            found = self._read()
        except UNUSABLE as error:
            why = self._why(error)
            if self._warnings.check(("unusable", why)) is not None:
                self.log.error(
                    "{what}: the files for TLS cannot be used, going on with what they had before: {why}",
                    what=self._what,
                    why=why,
                )
        except Exception:
            if self._warnings.check("failed") is not None:
                self.log.failure("{what}: the files for TLS cannot be read", what=self._what)
        else:
            if found.differs_from(self.material):
                self.material = found
                self._warnings = RateLimit(self._clock, _WARN_EVERY)
                now = self._clock.seconds()
                self.log.info(
                    "{what}: new files for TLS are used from now on{end}",
                    what=self._what,
                    end=f", the certificate {show_end(first_to_end(found.own), now)}" if found.own else "",
                )
        complaint = self.material.complaint(self._clock.seconds())
        if complaint is not None and self._warnings.check("age") is not None:
            self.log.warn("{what}: {complaint}", what=self._what, complaint=complaint)
