"""Who may use the REST interface: JSON Web Tokens signed with Ed25519."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from twisted.web.iweb import IRequest

from ccstore.web import WebError, header

#: What a request wants to do.
Access = Literal["read", "write"]

#: What a token may do by what its claim ``roles`` has: our own names, and those of ClusterCockpit's users who
#: may see the jobs of all. Its roles ``user``, ``manager`` and ``anonymous`` may not, and are no good here.
_ROLES: Final[Mapping[str, frozenset[Access]]] = {
    "read": frozenset({"read"}),
    "write": frozenset({"write"}),
    "api": frozenset({"read", "write"}),
    "admin": frozenset({"read", "write"}),
    "support": frozenset({"read"}),
}
_CHALLENGE = {"www-authenticate": 'Bearer realm="ccstore"'}


class Gate:
    """Lets requests with a valid token through, or all of them if there is no key.

    :param public_key: the raw 32 bytes of an Ed25519 public key.
    :param require_roles: tokens may do only what their claim ``roles``, a list of names, says.
    """

    def __init__(self, public_key: bytes | None, *, require_roles: bool = False) -> None:
        self._require_roles = require_roles
        self._key = None if public_key is None else Ed25519PublicKey.from_public_bytes(public_key)

    def check(self, request: IRequest, access: Access) -> None:
        """Raises :class:`WebError` 401 if the request has no valid token, 403 if that may not do this."""
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
            claims = jwt.decode(
                token, self._key, algorithms=["EdDSA"], options={"verify_aud": False, "verify_iss": False}
            )
        except jwt.InvalidTokenError as error:
            raise WebError(401, f"the token is not valid: {error}", headers=_CHALLENGE) from None
        if self._require_roles:
            _check_roles(claims.get("roles"), access)


def _check_roles(roles: object, access: Access) -> None:
    names = roles if isinstance(roles, list) else []
    allowed = [_ROLES.get(name, frozenset()) for name in names if isinstance(name, str)]
    if any(access in each for each in allowed):
        return
    needed = " or ".join(repr(name) for name, may in _ROLES.items() if access in may)
    if roles is None:
        has = "it has no claim 'roles'"
    elif not isinstance(roles, list):
        has = "its claim 'roles' is no list"
    else:
        has = f"its roles are {json.dumps(roles, ensure_ascii=False)[:80]}"
    raise WebError(403, f"the token may not {access}: {has}, and {needed} is needed")


def _token(request: IRequest) -> str | None:
    scheme, _, given = (header(request, "authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    return header(request, "x-auth-token") or None
