"""Who may use the REST interface: JSON Web Tokens signed with Ed25519."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.types import Options
from twisted.internet.interfaces import IReactorTime
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
_ALGORITHM: Final = "EdDSA"
_SIGNATURE_ONLY: Final[Options] = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
_EXPECTED: Final = "as 'Authorization: Bearer TOKEN' or 'X-Auth-Token: TOKEN'"
#: Others of which the name may be shown; what else stands there may be a secret.
_SCHEMES: Final = ("basic", "digest", "negotiate", "token", "jwt")


class Gate:
    """Lets requests with a valid token through, or all of them if there is no key.

    :param public_key: the raw 32 bytes of an Ed25519 public key.
    :param clock: its seconds are those since the epoch.
    :param require_roles: tokens may do only what their claim ``roles``, a list of names, says.
    :param leeway: seconds that the clock of whoever signs tokens may be ahead.
    """

    def __init__(
        self,
        public_key: bytes | None,
        clock: IReactorTime,
        *,
        require_roles: bool = False,
        leeway: float = 10.0,
    ) -> None:
        self._require_roles = require_roles
        self._clock = clock
        self._leeway = leeway
        self._key = None if public_key is None else Ed25519PublicKey.from_public_bytes(public_key)

    def check(self, request: IRequest, access: Access, *, allows_password: bool = False) -> None:
        """Raises :class:`WebError` 401 if the request has no valid token, 403 if that may not do this.

        :param allows_password: the token may be the password of basic authentication, whoever the user is.
        """
        if self._key is None:
            return
        token = (_password(request) if allows_password else None) or _token(request)
        claims = self._claims(token, self._key)
        self._check_times(claims)
        if self._require_roles:
            _check_roles(claims.get("roles"), access)

    def _claims(self, token: str, key: Ed25519PublicKey) -> Mapping[str, Any]:
        try:
            # Only this algorithm: a token must not choose how it is checked. Of the claims, only times and
            # roles mean anything here, and the others may be whatever they are, as with the Go daemon.
            claims: Mapping[str, Any] = jwt.decode(
                token, key, algorithms=[_ALGORITHM], options=_SIGNATURE_ONLY
            )
        except jwt.InvalidTokenError as error:
            raise _refusal(f"the token is not valid: {_complaint(token, error)}") from None
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.seconds()
        for name, says in (("nbf", "is not valid before"), ("iat", "was issued at")):
            time = _seconds(claims, name)
            if time is not None and time > now + self._leeway:
                raise _refusal(
                    f"the token {says} {_moment(time)} ({name}), and the clock here says {_moment(now)}: "
                    "is one of the clocks wrong?"
                )
        time = _seconds(claims, "exp")
        if time is not None and time <= now:
            raise _refusal(
                f"the token has expired at {_moment(time)} (exp), and the clock here says {_moment(now)}: "
                "ask for a new one"
            )


def _refusal(text: str) -> WebError:
    return WebError(401, text, headers={"www-authenticate": 'Bearer realm="ccstore"'})


def _seconds(claims: Mapping[str, Any], name: str) -> int | None:
    """A time among the claims, None if there is none."""
    if name not in claims:
        return None
    try:
        return int(claims[name])
    except (ValueError, TypeError, OverflowError):
        shown = json.dumps(claims[name], ensure_ascii=False)[:40]
        raise _refusal(
            f"the token is not valid: expected Unix seconds as its claim {name!r}, got {shown}"
        ) from None


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "a time that no calendar has"


def _complaint(token: str, error: jwt.InvalidTokenError) -> str:
    """What is wrong with a token, as far as whoever sends it can see to it; nothing of the token is shown."""
    if token[:1] in ("'", '"', "<"):
        return "it stands in quotes or brackets, leave them out"
    if len(token.split()) > 1:
        return "there is a space in it"
    parts = token.split(".")
    if len(parts) != 3:
        number = "one part" if len(parts) == 1 else f"{len(parts)} parts"
        return (
            f"it has {number}, and a JSON Web Token has three, with dots between them: was it copied whole?"
        )
    if isinstance(error, jwt.InvalidAlgorithmError):
        return f"it is not signed with {_ALGORITHM} (Ed25519), and no other algorithm is accepted"
    if isinstance(error, jwt.InvalidSignatureError):
        return "it was changed, or signed with another key than the one that jwt_public_key belongs to"
    for name, part in (("header", "first"), ("payload", "second"), ("crypto", "third")):
        if name in str(error):
            return f"its {part} part cannot be read: was it copied whole?"
    return str(error)


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


def _password(request: IRequest) -> str | None:
    """The password of basic authentication; None if there is none."""
    scheme, given = _scheme_and_rest(header(request, "authorization") or "")
    if scheme != "basic":
        return None
    try:
        return b64decode(given).decode().partition(":")[2].strip() or None
    except ValueError:
        return None


def _token(request: IRequest) -> str:
    """The token of a request; raises :class:`WebError` if there is none."""
    scheme, given = _scheme_and_rest(header(request, "authorization") or "")
    if scheme == "bearer" and given:
        # Some write "Bearer" into a field of a client that puts it there by itself.
        again, rest = _scheme_and_rest(given)
        return rest if again == "bearer" and rest else given
    token = (header(request, "x-auth-token") or "").strip()
    if token:
        word, rest = _scheme_and_rest(token)
        if word == "bearer" and not rest:
            raise _refusal(f"there is no token behind 'Bearer' in X-Auth-Token: {_EXPECTED}")
        return rest if word == "bearer" else token
    if not scheme:
        raise _refusal(f"a token is required, {_EXPECTED}")
    if scheme == "bearer":
        raise _refusal(f"there is no token behind 'Bearer' in Authorization: {_EXPECTED}")
    if not given:
        raise _refusal(f"the word 'Bearer' is missing in Authorization: a token goes {_EXPECTED}")
    shown = scheme.capitalize() if scheme in _SCHEMES else "another word"
    raise _refusal(
        f"Authorization begins with {shown!r}, and with 'Bearer' it should: a token goes {_EXPECTED}"
    )


def _scheme_and_rest(value: str) -> tuple[str, str]:
    scheme, _, rest = value.strip().partition(" ")
    return scheme.lower(), rest.strip()
