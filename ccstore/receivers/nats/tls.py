"""TLS towards a NATS server."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from OpenSSL import crypto
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from ccstore.config import ClientTlsConfig
from ccstore.config.pem import certificates, private_key
from ccstore.network.renewal import Material


def client_material(tls: ClientTlsConfig, host: str) -> Material:
    """What TLS needs; the server's certificate must be for ``host``, a name or an IP address.

    Raises one of :data:`ccstore.network.renewal.UNUSABLE` if a file does not do.
    """
    trusted = None
    known: list[x509.Certificate] = []
    chain: list[x509.Certificate] = []
    if tls.ca is not None:
        known = certificates(tls.ca)
        authorities = [crypto.X509.from_cryptography(each) for each in known]
        trusted = trustRootFromCertificates(map(Certificate, authorities))
    own: dict[str, Any] = {}
    if tls.certificate is not None and tls.key is not None:
        chain = certificates(tls.certificate)
        certificate, *others = chain
        own = {
            "certificate": crypto.X509.from_cryptography(certificate),
            "privateKey": crypto.PKey.from_cryptography_key(private_key(tls.key, certificate)),  # type: ignore[arg-type]
            "extraCertChain": [crypto.X509.from_cryptography(each) for each in others],
        }
    options = optionsForClientTLS(host, trustRoot=trusted, extraCertificateOptions=own)
    return Material(options, chain, known)
