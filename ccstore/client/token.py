"""``ccstore token``: keys, and tokens signed with them."""

from __future__ import annotations

import base64
import binascii
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.python.usage import UsageError

from ccstore.client.credentials import read
from ccstore.client.session import DONE, FAILED, ClientError, print_json
from ccstore.commands.description import DURATION, FILE, NAME, choice
from ccstore.commands.options import CommandOptions, parse
from ccstore.durations import parse_duration
from ccstore.permissions import PRIVATE, PUBLIC

_ROLES: Final = ("read", "write")


class Options(CommandOptions):
    """The options of ``ccstore token``."""

    command = "token"
    synopsis = "--new-key FILE\n--key FILE [options]"
    longdesc = (
        "With --new-key, makes a pair of Ed25519 keys: the private one in FILE, the public one in FILE.pub, "
        "and prints the line for the configuration. With --key, prints a JSON Web Token signed with that "
        "private key."
    )
    statuses = (
        (str(DONE), "All is well."),
        (str(FAILED), "The options are wrong, or a file cannot be read or made."),
    )
    optParameters = [
        ["new-key", None, None, "File to be made for a new private key, in PEM."],
        ["key", "k", None, "File with the private key: PEM, or base64 of 32 or 64 bytes."],
        ["subject", "s", None, "Whose token it is (the claim sub)."],
        ["expires", "e", "30d", "How long it is good, such as 12h or 30d; 0 is for ever."],
        ["roles", "r", None, "What it is good for (the claim roles); else everything."],
    ]
    optFlags = [["json", "j", "Print JSON, for programs."]]
    option_values = {
        "new-key": FILE,
        "key": FILE,
        "subject": NAME,
        "expires": DURATION,
        "roles": choice("read", "write", "read,write"),
    }

    expires = 0.0
    roles: Sequence[str] | None = None

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        if (self["new-key"] is None) == (self["key"] is None):
            raise UsageError("one of --new-key and --key is needed")
        if self["new-key"] is not None and (self["subject"] or self["roles"]):
            raise UsageError("--subject and --roles: only with --key")
        try:
            self.expires = parse_duration(self["expires"])
        except ValueError:
            raise UsageError(
                f"--expires: expected a duration such as 12h or 30d, got {self['expires']!r}"
            ) from None
        if self["roles"] is not None:
            self.roles = [word.strip() for word in self["roles"].split(",")]
            if not set(self.roles) <= set(_ROLES):
                raise UsageError(f"--roles: expected read, write or read,write, got {self['roles']!r}")


def make_key(path: Path) -> tuple[Path, str]:
    """Make a pair of keys; the file of the public one, and what it has. No file that is there is touched."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = public_key(key)
    beside = path.with_name(path.name + ".pub")
    made: list[Path] = []
    try:
        for each, content, mode in ((path, private, PRIVATE), (beside, public.encode() + b"\n", PUBLIC)):
            descriptor = os.open(each, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(each)
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(content)
    except OSError as error:
        for each in made:
            with suppress(OSError):
                each.unlink()
        reason = (
            "it is there already" if isinstance(error, FileExistsError) else (error.strerror or "").lower()
        )
        raise ClientError(f"--new-key: cannot make {error.filename or path}: {reason}") from None
    return beside, public


def public_key(key: Ed25519PrivateKey) -> str:
    """The public key as the configuration has it."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def load_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file. Raises :class:`ClientError`."""
    data = read(path, "--key")
    expected = f"--key: expected a private Ed25519 key in {path}, PEM or base64"
    if b"-----BEGIN" in data:
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except TypeError:
            raise ClientError(f"{expected}, without a passphrase") from None
        except (ValueError, UnsupportedAlgorithm):
            raise ClientError(f"{expected}, got one that cannot be read") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ClientError(f"{expected}, got one of another kind")
        return key
    try:
        raw = base64.b64decode(data.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ClientError(expected) from None
    # As Go writes Ed25519 keys: 32 bytes of seed, or these and the 32 bytes of the public key.
    if len(raw) not in (32, 64):
        raise ClientError(f"{expected} of 32 or 64 bytes, got {len(raw)} bytes")
    key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    if len(raw) == 64 and base64.b64decode(public_key(key)) != raw[32:]:
        raise ClientError(f"{expected}, got 64 bytes whose halves do not belong together")
    return key


def sign(
    key: Ed25519PrivateKey, now: float, *, subject: str | None, expires: float, roles: Sequence[str] | None
) -> str:
    """A token.

    :param expires: seconds that it is good for, 0 for ever.
    """
    claims: dict[str, object] = {"iat": int(now)}
    if subject:
        claims["sub"] = subject
    if expires:
        claims["exp"] = int(now + expires)
    if roles is not None:
        claims["roles"] = list(roles)
    return jwt.encode(claims, key, algorithm="EdDSA")


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED
    try:
        if options["new-key"] is not None:
            beside, public = make_key(Path(options["new-key"]))
            if options["json"]:
                print_json({"key": options["new-key"], "public": str(beside), "jwt_public_key": public})
            else:
                print(f'jwt_public_key: "{public}"')
            return DONE
        token = sign(
            load_key(Path(options["key"])),
            time.time(),
            subject=options["subject"],
            expires=options.expires,
            roles=options.roles,
        )
    except ClientError as error:
        print(f"ccstore token: {error}", file=sys.stderr)
        return FAILED
    if options["json"]:
        print_json({"token": token})
    else:
        print(token)
    return DONE
