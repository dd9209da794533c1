"""What the client shows to a server, and whom it trusts: tokens, certificates, the files that have them."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

from twisted.internet import ssl
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from ccstore.client.session import ClientError
from ccstore.config.kinds import Unfit
from ccstore.config.pem import certificates, private_key


@implementer(IPolicyForHTTPS)
class Policy:
    """Whom to trust, and who we are; the name in the certificate must be the host's in any case."""

    def __init__(self, trust: Any, certificate: ssl.PrivateCertificate | None) -> None:
        self._trust = trust
        self._certificate = certificate

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """See :class:`IPolicyForHTTPS`."""
        name = hostname.decode("ascii").strip("[]")
        return ssl.optionsForClientTLS(name, trustRoot=self._trust, clientCertificate=self._certificate)


def policy(ca: str | None, cert: str | None, key: str | None) -> Policy:
    """The policy by paths of PEM files, which come from the options of these names.

    Raises :class:`ClientError`.
    """
    trust: Any = ssl.platformTrust()
    if ca:
        found = [ssl.Certificate(_as_openssl(each)) for each in _certificates(ca, "--ca")]
        trust = ssl.trustRootFromCertificates(found)
    own = None
    if cert:
        certificate, *_ = _certificates(cert, "--cert")
        key = key or cert
        try:
            private_key(Path(key), certificate)
        except OSError as error:
            raise ClientError(f"--key: cannot read {key}: {(error.strerror or '').lower()}") from None
        except Unfit as error:
            raise ClientError(f"--key: expected {error.expected}") from None
        own = ssl.PrivateCertificate.loadPEM(read(Path(key), "--key") + read(Path(cert), "--cert"))
    return Policy(trust, own)


def _certificates(path: str, option: str) -> list[Any]:
    try:
        return list(certificates(Path(path)))
    except OSError as error:
        raise ClientError(f"{option}: cannot read {path}: {(error.strerror or '').lower()}") from None
    except Unfit as error:
        raise ClientError(f"{option}: expected {error.expected}") from None


def _as_openssl(certificate: Any) -> Any:
    from OpenSSL.crypto import X509

    return X509.from_cryptography(certificate)


def checked_token(token: str, where: str) -> str:
    """A token without the blanks around it. Raises :class:`ClientError` with where it comes from."""
    token = token.removeprefix("\ufeff").strip()
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ClientError(f"{where}: expected a token, a single word")
    return token


def token_in(path: Path, option: str, where: str) -> str:
    """The token in a file that an option names. Raises :class:`ClientError`."""
    return checked_token(read(path, option).decode("latin-1"), where)


def read(path: Path, option: str) -> bytes:
    """The content of a file that an option names, without a byte order mark. Raises :class:`ClientError`."""
    try:
        return path.read_bytes().removeprefix(BOM_UTF8)
    except OSError as error:
        raise ClientError(f"{option}: cannot read {path}: {(error.strerror or '').lower()}") from None
