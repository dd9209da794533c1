"""Listening on ports: what a configuration says, as endpoints, and errors in one clear line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from OpenSSL import crypto
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorCore, IReactorTCP
from twisted.internet.protocol import ServerFactory
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.python.failure import Failure

from ccstore.config import TlsConfig


class ListenError(Exception):
    """A port cannot be opened; the text says which and why, in a line."""


def listen(
    reactor: IReactorCore,
    factory: ServerFactory[Any],
    *,
    what: str,
    endpoint: str | None,
    address: str,
    port: int,
    tls: TlsConfig | None,
) -> IListeningPort:
    """Listen for stream connections, at once; raises :class:`ListenError`.

    :param what: who wants to listen, for the error.
    """
    try:
        if endpoint is not None:
            return _now(serverFromString(reactor, endpoint).listen(factory))
        host = "127.0.0.1" if address == "localhost" else address
        tcp = cast(IReactorTCP, reactor)
        if tls is None:
            return tcp.listenTCP(port, factory, backlog=1024, interface=host)
        return cast(Any, reactor).listenSSL(port, factory, _tls_options(tls), backlog=1024, interface=host)  # type: ignore[no-any-return]
    except CannotListenError as error:
        raise ListenError(
            f"{what}: cannot listen on {error.interface or '*'}:{error.port}: {error.socketError}"
        ) from None
    except (OSError, ValueError) as error:
        where = endpoint if endpoint is not None else f"{address or '*'}:{port}"
        raise ListenError(f"{what}: cannot listen on {where}: {error}") from None


def _tls_options(tls: TlsConfig) -> CertificateOptions:
    try:
        certificate, *chain = _certificates(tls.certificate)
        trusted = (
            [Certificate(ca) for ca in _certificates(tls.client_ca)] if tls.client_ca is not None else None
        )
        return CertificateOptions(
            privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, tls.key.read_bytes()),
            certificate=certificate,
            extraCertChain=chain,
            trustRoot=None if trusted is None else trustRootFromCertificates(trusted),
        )
    except (crypto.Error, ValueError, TypeError) as error:
        raise ValueError(f"the TLS certificate or key cannot be used: {error}") from None


def _certificates(path: Path) -> list[crypto.X509]:
    blocks = re.findall(
        rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", path.read_bytes(), re.DOTALL
    )
    if not blocks:
        raise ValueError(f"no certificate in {path}")
    return [crypto.load_certificate(crypto.FILETYPE_PEM, block) for block in blocks]


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


def where(port: IListeningPort) -> str:
    """The address of an open port, for people."""
    host: Any = port.getHost()
    if hasattr(host, "port"):
        address = f"[{host.host}]" if ":" in host.host else host.host
        return f"{address}:{host.port}"
    return str(getattr(host, "name", host))


def address_of(peer: Any) -> str:
    """The address of a sender, for people and for the log."""
    if hasattr(peer, "port"):
        return f"{peer.host}:{peer.port}"
    return str(getattr(peer, "name", peer))
