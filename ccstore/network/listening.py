"""Listening on ports: what a configuration says, as endpoints, and errors in one clear line."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

from OpenSSL import SSL
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorCore
from twisted.internet.protocol import ServerFactory
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.config import TlsConfig
from ccstore.config.endpoints import complaint
from ccstore.config.kinds import Unfit
from ccstore.network.addresses import address_of as address_of
from ccstore.network.addresses import where as where
from ccstore.network.encrypted import EncryptedFactory, openssl_says
from ccstore.network.open_files import AdmittingFactory, OpenFiles
from ccstore.network.proxied import PREFIX, ProxiedFactory
from ccstore.network.renewal import UNUSABLE, Material, Renewal, material_of, material_of_endpoint

#: Newcomers that the system keeps waiting at a port.
_BACKLOG = 1024


class ListenError(Exception):
    """A port cannot be opened; the text says which and why, in a line.

    :param key: the key of the configuration that is at fault, if it is known.
    """

    def __init__(self, text: str, key: str | None = None) -> None:
        super().__init__(text)
        self._key = key

    @property
    def key(self) -> str:
        """The key of the configuration that is at fault."""
        if self._key is not None:
            return self._key
        cause = self.__context__
        if isinstance(cause, CannotListenError):
            number = getattr(cause.socketError, "errno", None)
            # Errors of looking a name up are negative.
            if number == errno.EADDRNOTAVAIL or (number is not None and number < 0):
                return "address"
        return "port"

    @property
    def is_taken(self) -> bool:
        """Somebody listens there already, who may be ourselves."""
        cause = self.__context__
        if not isinstance(cause, CannotListenError):
            return False
        # A socket in the file system has a lock beside it, and no error of the system.
        is_error = isinstance(cause.socketError, Exception)
        return not is_error or getattr(cause.socketError, "errno", None) == errno.EADDRINUSE

    def at(self, part: str) -> str:
        """The text, with the place in the configuration.

        :param part: ``receivers.NAME`` or ``api``.
        """
        name = part.partition(".")[2]
        text = str(self).removeprefix(f"receiver {name!r}: ").removeprefix("api: ")
        return f"{part}.{self.key}: {text}"


def listen(
    reactor: IReactorCore,
    factory: ServerFactory[Any],
    *,
    what: str,
    endpoint: str | None,
    address: str,
    port: int,
    tls: TlsConfig | None,
    files: OpenFiles,
    for_questions: bool = False,
) -> IListeningPort:
    """Listen for stream connections, at once; raises :class:`ListenError`.

    :param what: who wants to listen, for the error and the log.
    :param for_questions: see :meth:`OpenFiles.has_room`.
    """
    is_proxied, inner = _inner(endpoint or "")
    opener = _Opener(reactor, what, inner, files, for_questions=for_questions, is_proxied=is_proxied)
    if endpoint is not None:
        try:
            return _now(serverFromString(cast(Any, opener), inner).listen(factory))
        except Exception as error:  # a plugin of Twisted may raise anything
            raise ListenError(
                f"{what}: cannot listen on {endpoint}: {why(error, endpoint)}", "endpoint"
            ) from None
    host = "127.0.0.1" if address == "localhost" else address
    try:
        if tls is None:
            return opener.listenTCP(port, factory, backlog=_BACKLOG, interface=host)
        renewal = Renewal(lambda: material_of(tls), cast(Any, reactor), what, why)
        return opener.listen_tls(port, factory, renewal, backlog=_BACKLOG, interface=host)
    except CannotListenError as error:
        raise ListenError(f"{what}: cannot listen on {address or '*'}:{port}: {why(error)}") from None
    except UNUSABLE as error:
        raise ListenError(f"{what}: {why(error)}", "port" if tls is None else "tls_certificate") from None


def why(error: Exception, endpoint: str = "") -> str:
    """The reason why a port cannot be opened, in a line."""
    if isinstance(error, CannotListenError):
        if isinstance(error.socketError, Exception):
            return why(error.socketError)
        # A socket in the file system, which has a lock beside it.
        return "another process listens there"
    if isinstance(error, Unfit):
        return f"TLS needs {error.expected}"
    if isinstance(error, SSL.Error):
        return f"the TLS certificate or key cannot be used: {openssl_says(error)}"
    if isinstance(error, LookupError) and endpoint.startswith("systemd:"):
        return "systemd has passed no such socket"
    if isinstance(error, OverflowError):
        return "a port is a number from 0 to 65535"
    if isinstance(error, OSError) and error.strerror:
        # With two names, the second is that of a lock to be made beside a socket in the file system.
        path = error.filename2 or error.filename
        if not path:
            return error.strerror.lower()
        folder = os.path.dirname(os.path.abspath(os.fsdecode(path)))
        if not os.path.isdir(folder):
            return f"the folder {folder} does not exist"
        if error.filename2:
            return f"nothing can be made in the folder {folder}: {error.strerror.lower()}"
        return f"{os.fsdecode(path)}: {error.strerror.lower()}"
    return complaint(error)


class _Opener:
    """The reactor, as endpoints use it, but that whoever connects has to pass what is ours.

    That is the limit of open files, the header of a load balancer if there is one, and TLS, whichever way it
    was asked for.
    """

    def __init__(
        self,
        reactor: IReactorCore,
        what: str,
        endpoint: str,
        files: OpenFiles,
        *,
        for_questions: bool,
        is_proxied: bool,
    ) -> None:
        self._reactor: Any = reactor
        self._what = what
        self._endpoint = endpoint
        self._files = files
        self._for_questions = for_questions
        self._is_proxied = is_proxied

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def _admit(self, factory: ServerFactory[Any], open_port: Callable[[Any], Any]) -> IListeningPort:
        inner: Any = ProxiedFactory(factory, self._reactor, self._what) if self._is_proxied else factory
        outer = AdmittingFactory(inner, self._files, self._what, for_questions=self._for_questions)
        port = open_port(outer)
        outer.watch(port)
        return cast(IListeningPort, port)

    def listenTCP(
        self, port: int, factory: ServerFactory[Any], backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """See :meth:`IReactorTCP.listenTCP`."""
        return self._admit(
            factory,
            lambda outer: self._reactor.listenTCP(port, outer, backlog=backlog, interface=interface),
        )

    def listenUNIX(
        self,
        address: str,
        factory: ServerFactory[Any],
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        """See :meth:`IReactorUNIX.listenUNIX`."""
        return self._admit(
            factory, lambda outer: self._reactor.listenUNIX(address, outer, backlog, mode, wantPID)
        )

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: ServerFactory[Any]
    ) -> IListeningPort:
        """See :meth:`IReactorSocket.adoptStreamPort`."""
        return self._admit(
            factory, lambda outer: self._reactor.adoptStreamPort(fileDescriptor, addressFamily, outer)
        )

    def listenSSL(
        self,
        port: int,
        factory: ServerFactory[Any],
        contextFactory: CertificateOptions,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """See :meth:`IReactorSSL.listenSSL`."""
        given: CertificateOptions | None = contextFactory

        def read() -> Material:
            nonlocal given
            options, given = given, None  # these were read just now
            return material_of_endpoint(self._endpoint, options)

        renewal = Renewal(read, self._reactor, self._what, lambda error: why(error, self._endpoint))
        return self.listen_tls(port, factory, renewal, backlog=backlog, interface=interface)

    def listen_tls(
        self, port: int, factory: ServerFactory[Any], renewal: Renewal, backlog: int, interface: str
    ) -> IListeningPort:
        """As :meth:`listenSSL`, with what is looked after."""
        tls = EncryptedFactory(renewal, factory, self._reactor, self._what)
        return self.listenTCP(port, cast(Any, tls), backlog=backlog, interface=interface)


def protection(endpoint: str | None, tls: TlsConfig | None) -> str:
    """What is between a port and its senders, for people, after the address."""
    is_proxied, inner = _inner(endpoint or "")
    said = ""
    if tls is not None or inner.lower().startswith(("ssl:", "tls:")):
        said = " with TLS"
    if tls is not None and tls.client_ca is not None:
        said += " and client certificates"
    return said + (" behind a load balancer" if is_proxied else "")


def _inner(endpoint: str) -> tuple[bool, str]:
    """Whether there is a load balancer before an endpoint, and the endpoint without it."""
    is_proxied = endpoint[: len(PREFIX)].lower() == PREFIX
    return is_proxied, endpoint[len(PREFIX) :] if is_proxied else endpoint


def _layers(port: IListeningPort | None) -> Iterator[object]:
    """What connections to a port pass, from the outside."""
    factory = getattr(port, "factory", None)
    while factory is not None:
        yield factory
        factory = getattr(factory, "wrappedFactory", None)


def _refusals(port: IListeningPort | None) -> Counter[str]:
    """How many connections to a port came to nothing before anything of them was read, by reason."""
    counts: Counter[str] = Counter()
    for layer in _layers(port):
        if isinstance(layer, AdmittingFactory):
            counts["refused_no_files"] = layer.refused
        elif isinstance(layer, ProxiedFactory):
            counts["no_proxy_header"] = layer.failures
        elif isinstance(layer, EncryptedFactory):
            counts["tls_failures"] = layer.failures
    return counts


class Place(Protocol):
    """Where a server listens; see :class:`ccstore.config.TcpReceiverConfig`."""

    @property
    def endpoint(self) -> str | None: ...
    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def tls(self) -> TlsConfig | None: ...


class ServerPort:
    """The port of a server. It may move while the server runs, and whoever is connected stays so.

    :param what: who wants to listen, for errors and the log.
    :param for_questions: see :meth:`OpenFiles.has_room`.
    :ivar port: the one that is open, or None.
    """

    def __init__(
        self,
        reactor: IReactorCore,
        factory: ServerFactory[Any],
        what: str,
        files: OpenFiles,
        *,
        for_questions: bool = False,
    ) -> None:
        self._reactor = reactor
        self._factory = factory
        self._what = what
        self._place: Place | None = None
        self._former: list[IListeningPort] = []
        self._files = files
        self._for_questions = for_questions
        self._refusals: Counter[str] = Counter()  # of those that are closed
        self.port: IListeningPort | None = None

    def open(self, place: Place) -> str:
        """Listen there, at once and beside a port that is open already; the address, for people.

        If :class:`ListenError` is raised, nothing has changed.
        """
        port = listen(
            self._reactor,
            self._factory,
            what=self._what,
            endpoint=place.endpoint,
            address=place.address,
            port=place.port,
            tls=place.tls,
            files=self._files,
            for_questions=self._for_questions,
        )
        if self.port is not None:
            self._former.append(self.port)
        self.port, self._place = port, place
        return where(port)

    def stays(self, place: Place) -> bool:
        """Whether the port that is open will do for that place, if need be with other files for TLS."""
        here = self._place
        if here is None or self.port is None or _kind_of(here) != _kind_of(place):
            return False
        renewal = self._renewal
        if renewal is not None and place.tls is not None and place.tls != here.tls:
            tls = place.tls
            renewal.read_from(lambda: material_of(tls))
        elif renewal is not None:
            renewal.look()
        self._place = place
        return True

    async def close_former(self) -> None:
        """Close what was open before the last :meth:`open`."""
        former, self._former = self._former, []
        for port in former:
            _let_in(port)
            self._refusals.update(_refusals(port))
        await gatherResults([maybeDeferred(port.stopListening) for port in former])

    async def close(self) -> None:
        """Let nobody new in."""
        if self.port is not None:
            self._former.append(self.port)
            self.port = None
        await self.close_former()

    @property
    def _renewal(self) -> Renewal | None:
        layers = [layer for layer in _layers(self.port) if isinstance(layer, EncryptedFactory)]
        return layers[0].renewal if layers else None

    def figures(self) -> Figures:
        """Connections that came to nothing, by reason, and with TLS, when the certificate runs out."""
        counts = Counter(self._refusals)
        for port in (*self._former, self.port):
            counts.update(_refusals(port))
        found = Figures(
            refused_no_files=counter(
                counts["refused_no_files"], "Connections that were refused, since too many files were open."
            ),
            no_proxy_header=counter(
                counts["no_proxy_header"], "Connections to a port for load balancers that were from none."
            ),
            tls_failures=counter(counts["tls_failures"], "Connections that ended before TLS was agreed on."),
        )
        return found if self._renewal is None else found | expiry(self._renewal)


def expiry(renewal: Renewal) -> Figures:
    """When a certificate runs out."""
    return Figures(
        certificate_expires=gauge(renewal.material.ends_at, "Unix time at which the certificate runs out.")
    )


def _let_in(port: Any) -> None:
    """Let those in who wait at a port that is about to be closed: they may have sent something already."""
    if hasattr(port, "numberAccepts"):  # a plugin of Twisted may open ports of any kind
        port.numberAccepts = _BACKLOG
        port.doRead()


def _kind_of(place: Place) -> tuple[object, ...]:
    """What a port is opened for; other files for TLS need no other port."""
    if place.endpoint is not None:
        return (place.endpoint,)
    return place.address, place.port, place.tls is not None


def _now(listening: Deferred[IListeningPort]) -> IListeningPort:
    """The result of an endpoint that listens at once, as all for servers do."""
    results: list[IListeningPort | Failure] = []
    listening.addBoth(results.append)
    if not results:
        listening.cancel()
        raise ValueError("this kind of endpoint does not listen at once")
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]
