"""Who may use the REST interface: JSON Web Tokens signed with Ed25519."""

from __future__ import annotations

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from twisted.web.iweb import IRequest

from ccstore.web import WebError, header

_CHALLENGE = {"www-authenticate": 'Bearer realm="ccstore"'}


class Gate:
    """Lets requests with a valid token through, or all of them if there is no key.

    :param public_key: the raw 32 bytes of an Ed25519 public key.
    """

    def __init__(self, public_key: bytes | None) -> None:
        self._key = None if public_key is None else Ed25519PublicKey.from_public_bytes(public_key)

    def check(self, request: IRequest) -> None:
        """Raises :class:`WebError` 401 if the request has no valid token."""
        if self._key is None:
            return
        token = _token(request)
        if token is None:
            raise WebError(
                401,
                "a token is required, as 'Authorization: Bearer ...' or 'X-Auth-Token: ...'",
                headers=_CHALLENGE,
            )
        try:
            # Only this algorithm: a token must not choose how it is checked. exp, nbf and iat are checked
            # where they are present.
            jwt.decode(
                token, self._key, algorithms=["EdDSA"], options={"verify_aud": False, "verify_iss": False}
            )
        except jwt.InvalidTokenError as error:
            raise WebError(401, f"the token is not valid: {error}", headers=_CHALLENGE) from None


def _token(request: IRequest) -> str | None:
    scheme, _, given = (header(request, "authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    return header(request, "x-auth-token") or None
