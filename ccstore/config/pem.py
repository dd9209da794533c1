"""PEM files: the certificates and keys in them, and whether they belong together."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from .kinds import Unfit

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def certificates(path: Path) -> list[x509.Certificate]:
    """
    Give the certificates in a file, of which there is at least one.

    :raises Unfit: if there is none, or one that cannot be read.
    :raises OSError: if the file cannot be read.
    """
    blocks = _CERTIFICATE.findall(path.read_bytes())
    if not blocks:
        raise Unfit(f"a PEM file with a certificate (there is no certificate in {path})")
    try:
        return [x509.load_pem_x509_certificate(block) for block in blocks]
    except ValueError:
        raise Unfit(f"a PEM file with a certificate (one in {path} is broken)") from None


def private_key(path: Path, certificate: x509.Certificate) -> PrivateKeyTypes:
    """
    Give the private key in a file, which is that of a certificate.

    :raises Unfit: if there is none, it needs a passphrase, or it is the key of something else.
    :raises OSError: if the file cannot be read.
    """
    data = path.read_bytes()
    try:
        key = serialization.load_pem_private_key(data, password=None)
        matches = _comparable(key.public_key()) == _comparable(certificate.public_key())
    except TypeError:
        raise Unfit(f"a private key without a passphrase (that in {path} has one)") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Unfit(f"a PEM file with a private key (there is none in {path} that can be read)") from None
    if not matches:
        raise Unfit(f"the private key of the certificate (that in {path} is another's)")
    return key


def _comparable(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
