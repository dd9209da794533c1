"""Files that say who one is to a NATS server: a bare nkey seed, or credentials with a token and a seed.

The formats are those of the NATS project: a seed is the base32 of two bytes of prefix, the 32 bytes of an
Ed25519 seed and a CRC-16 (XMODEM, little-endian); a ``.creds`` file has a JSON Web Token and a seed, each
between lines that begin with dashes.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .kinds import Unfit

_SEED, _USER = 18 << 3, 20 << 3
_LARGEST = 1 << 20
_TOKEN = re.compile(r"-{3,}BEGIN NATS USER JWT-{3,}\s+(\S+)\s+-{3,}END NATS USER JWT-{3,}")
_KEY = re.compile(r"-{3,}BEGIN USER NKEY SEED-{3,}\s+(\S+)\s+-{3,}END USER NKEY SEED-{3,}")
_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@frozen
class Credentials:
    """
    A user's key, and the token that an account has given to it.

    :ivar token: the JSON Web Token; None if the server knows the user by the public key alone.
    """

    token: str | None = field(repr=False)
    _key: Ed25519PrivateKey = field(repr=False)

    @property
    def public_key(self) -> str:
        """The public key as NATS writes it, ``U…``."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return _encode(bytes([_USER]) + raw)

    def sign(self, nonce: bytes) -> str:
        """The signature of what the server wants signed, in base64 for URLs without padding."""
        return base64.urlsafe_b64encode(self._key.sign(nonce)).decode().rstrip("=")


def read_credentials(path: Path) -> Credentials:
    """
    Read a file of either kind; which it is shows in its content.

    :raises Unfit: if it is neither. What it has is a secret, and never part of the text.
    :raises OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST)
    return parse_credentials(content.decode("utf-8-sig", "replace"))


def parse_credentials(content: str) -> Credentials:
    """As :func:`read_credentials`, with the content of the file."""
    if "-----" in content:
        token, key = _TOKEN.search(content), _KEY.search(content)
        if token is None or _PARTS.fullmatch(token[1]) is None:
            raise Unfit("a .creds file with a NATS user JWT (there is none in it)")
        if key is None:
            raise Unfit("a .creds file with a user's nkey seed (there is none in it)")
        return Credentials(token[1], _private_key(key[1]))
    # The tools of NATS allow comments and other lines around a seed.
    words = [word for line in content.splitlines() if not line.startswith("#") for word in line.split()]
    if len(words) != 1:
        raise Unfit("a .creds file, or a file with nothing but an nkey seed (SU...)")
    return Credentials(None, _private_key(words[0]))


def _private_key(seed: str) -> Ed25519PrivateKey:
    expected = "a user's nkey seed (SU... and 56 more letters and digits)"
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except (binascii.Error, ValueError):
        raise Unfit(f"{expected}; it is no base32") from None
    body, checksum = raw[:-2], raw[-2:]
    if len(raw) != 36 or raw[0] & 0xF8 != _SEED:
        raise Unfit(expected)
    if checksum != binascii.crc_hqx(body, 0).to_bytes(2, "little"):
        raise Unfit(f"{expected}; its checksum is wrong")
    if (raw[0] & 7) << 5 | raw[1] >> 3 != _USER:
        raise Unfit(f"{expected}; this one is not a user's")
    return Ed25519PrivateKey.from_private_bytes(body[2:])


def _encode(body: bytes) -> str:
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")
