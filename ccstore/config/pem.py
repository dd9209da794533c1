"""PEM files: the certificates and keys in them, and whether they belong together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from .kinds import Unfit

#: Before its end, a certificate is warned of for so long.
_SOON = timedelta(days=14)
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


def first_to_end(own: Sequence[x509.Certificate]) -> x509.Certificate:
    """The one that runs out first: with any of them, those who connect refuse all."""
    return min(own, key=lambda certificate: certificate.not_valid_after_utc)


def complaint_of_age(
    own: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], now: float
) -> str | None:
    """
    Say of a certificate that is not good at this time, or soon will not be; None if there is none.

    :param own: a certificate, with those between it and the root; may be empty.
    :param authorities: those of the CAs that the other side may have, of which one is enough.
    :param now: seconds since the epoch.
    """
    moment = datetime.fromtimestamp(now, timezone.utc)
    if own:
        first = first_to_end(own)
        if first.not_valid_after_utc - moment < _SOON:
            return f"the certificate {show_end(first, now)}: renew it"
        begins = max(certificate.not_valid_before_utc for certificate in own)
        if begins > moment:
            return f"the certificate is not valid before {_shown(begins)}: is the clock right?"
    if authorities:
        last = max(authorities, key=lambda certificate: certificate.not_valid_after_utc)
        if last.not_valid_after_utc - moment < _SOON:
            return f"the certificate of the CA of the other side {show_end(last, now)}: renew it"
    return None


def show_end(certificate: x509.Certificate, now: float) -> str:
    """When a certificate ends, in words that follow its name."""
    end = certificate.not_valid_after_utc
    left = end - datetime.fromtimestamp(now, timezone.utc)
    if left <= timedelta():
        return f"has expired on {_shown(end)}"
    when = f", in {left.days} day{'s' * (left.days != 1)}" if left.days else ", within a day"
    return f"expires on {_shown(end)}{when}"


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _comparable(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
