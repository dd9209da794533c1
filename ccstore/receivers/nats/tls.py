"""TLS towards a NATS server."""

from __future__ import annotations

from typing import Any

from OpenSSL import crypto
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from ccstore.config import ClientTlsConfig
from ccstore.config.pem import certificates, private_key


def client_options(tls: ClientTlsConfig, host: str) -> Any:
    """What TLS needs; the server's certificate must be for ``host``, a name or an IP address.

    Raises Unfit, OSError, SSL.Error or ValueError if a file does not do.
    """
    trusted = None
    if tls.ca is not None:
        authorities = [crypto.X509.from_cryptography(each) for each in certificates(tls.ca)]
        trusted = trustRootFromCertificates(map(Certificate, authorities))
    own: dict[str, Any] = {}
    if tls.certificate is not None and tls.key is not None:
        certificate, *chain = certificates(tls.certificate)
        own = {
            "certificate": crypto.X509.from_cryptography(certificate),
            "privateKey": crypto.PKey.from_cryptography_key(private_key(tls.key, certificate)),  # type: ignore[arg-type]
            "extraCertChain": [crypto.X509.from_cryptography(each) for each in chain],
        }
    return optionsForClientTLS(host, trustRoot=trusted, extraCertificateOptions=own)
