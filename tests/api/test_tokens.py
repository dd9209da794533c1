"""Tokens of the REST interface: who may come in, what they may do, and what all others are told."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from ccstore.api.auth import Gate
from ccstore.web import WebError
from tests.support.api_case import ApiTestCase


class _TokenTests(ApiTestCase):
    roles_are_required = False

    def setUp(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self.start(jwt_public_key=b64encode(self.public).decode(), require_roles=self.roles_are_required)

    def token(self, key: Any = None, algorithm: str = "EdDSA", **claims: Any) -> str:
        payload = json.dumps({"sub": "somebody", **claims}).encode()
        return jwt.PyJWS().encode(payload, key or self.key, algorithm)

    async def check(self, status: int, **headers: str) -> None:
        for method, path in (("POST", "/api/write/"), ("GET", "/api/query"), ("GET", "/api/stats/")):
            body = b"" if "write" in path else b'{"cluster": "alex", "queries": []}'
            answer = await self.ask(method, path, body, **headers)
            self.assertEqual(answer.status, status, (path, headers, answer.body))
            if status == 401:
                self.assertEqual(answer.header("www-authenticate"), 'Bearer realm="ccstore"')
                self.assertEqual(answer.json["status"], "Unauthorized")


class TokenTests(_TokenTests):
    """Who has a valid token may come in."""

    async def test_a_valid_token_in_either_header(self) -> None:
        now = int(time.time())
        token = self.token(exp=now + 60, nbf=now - 1, iat=now - 1, aud="somebody", iss="somewhere")
        for given in (token, self.token()):
            await self.check(200, authorization=f"Bearer {given}")
            await self.check(200, authorization=f"bearer {given}")
            await self.check(200, x_auth_token=given)

    async def refusal(self, **headers: str) -> str:
        await self.check(401, **headers)
        return (await self.ask("GET", "/api/stats", **headers)).error

    async def test_no_token(self) -> None:
        own = self.token()
        for given, said in (
            ("", "a token is required, as 'Authorization: Bearer TOKEN' or 'X-Auth-Token: TOKEN'"),
            ("Bearer", "there is no token behind 'Bearer' in Authorization"),
            ("Bearer ", "there is no token behind 'Bearer' in Authorization"),
            ("Basic abc", "Authorization begins with 'Basic', and with 'Bearer' it should"),
            (f"Basic {own}", "Authorization begins with 'Basic', and with 'Bearer' it should"),
            (f"Token {own}", "Authorization begins with 'Token', and with 'Bearer' it should"),
            (f"hunter2 {own}", "Authorization begins with 'another word', and with 'Bearer' it should"),
            (own, "the word 'Bearer' is missing in Authorization"),
        ):
            self.assertIn(said, await self.refusal(authorization=given))
        self.assertIn("a token is required", await self.refusal())
        self.assertIn("no token behind 'Bearer' in X-Auth-Token", await self.refusal(x_auth_token="Bearer "))

    async def test_bearer_is_understood_wherever_it_stands(self) -> None:
        own = self.token()
        for given in (own, f"Bearer {own}", f"bearer  {own} "):
            await self.check(200, x_auth_token=given)
            await self.check(200, authorization=f"Bearer {given}")
        await self.check(200, authorization="Basic abc", x_auth_token=own)
        await self.check(200, authorization="Bearer", x_auth_token=f"Bearer {own}")

    async def test_tokens_that_are_not_valid(self) -> None:
        own = self.token()
        head, claims, signature = own.split(".")
        changed = jwt.encode({"sub": "root"}, self.key, algorithm="EdDSA").split(".")[1]
        another_key = "signed with another key than the one that jwt_public_key belongs to"
        algorithm = "it is not signed with EdDSA (Ed25519)"
        for given, said in (
            (self.token(Ed25519PrivateKey.generate()), another_key),
            (self.token(self.public, "HS256"), algorithm),
            (self.token(b64encode(self.public), "HS256"), algorithm),
            (jwt.encode({}, None, algorithm="none"), algorithm),
            (f"{head}.{claims}.", another_key),
            (f"{head}.{changed}.{signature}", another_key),
            (f"{head}.{claims}.{signature[:-1]}", "its third part cannot be read: was it copied whole?"),
            (f"{head[1:]}.{claims}.{signature}", "its first part cannot be read"),
            (f"{head}.{claims}", "it has 2 parts, and a JSON Web Token has three, with dots between them"),
            (f"{own}.{own}", "it has 6 parts"),
            ("nonsense", "it has one part"),
            (b64encode(self.public).decode(), "it has one part"),
            ("a.b.c", "its first part cannot be read"),
            ("ä.ö.ü", "its first part cannot be read"),
            (f'"{own}"', "it stands in quotes or brackets"),
            (f"<{own}>", "it stands in quotes or brackets"),
            (f"{own[:50]} {own[50:]}", "there is a space in it"),
            (f"Token {own}", "there is a space in it"),
        ):
            for name, header in (("authorization", f"Bearer {given}"), ("x_auth_token", given)):
                error = await self.refusal(**{name: header})
                self.assertTrue(error.startswith("the token is not valid: "), error)
                self.assertIn(said, error)
                self.assertNotIn(given[:20], error)

    async def test_what_a_claim_may_be(self) -> None:
        """As for Go's library, those that nobody looks at may be anything."""
        now = int(time.time())
        for name in ("sub", "jti", "iss", "aud"):
            for value in (7, None, ["a"], {"a": 1}, True, "x"):
                await self.check(200, x_auth_token=self.token(**{name: value}))
        for name in ("exp", "nbf", "iat"):
            for value, shown in (("soon", '"soon"'), (None, "null"), ([now], f"[{now}]")):
                self.assertIn(
                    f"expected Unix seconds as its claim {name!r}, got {shown}",
                    await self.refusal(x_auth_token=self.token(**{name: value})),
                )
        await self.check(200, x_auth_token=self.token(exp=now + 60.5, nbf=now - 0.5, iat=float(now)))

    async def test_bytes_that_are_no_text(self) -> None:
        client = await self.connect("REST")
        client.transport.write(
            b"GET /api/stats/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n"
        )
        self.assertIn(b"HTTP/1.1 401 ", await client.until(b"}"))
        client.transport.loseConnection()
        await client.closed

    async def test_roles_mean_nothing_unless_they_are_required(self) -> None:
        for roles in ([], ["user"], "read", None, 3):
            await self.check(200, x_auth_token=self.token(roles=roles))

    async def test_what_needs_no_token(self) -> None:
        for path in ("/health", "/ready", "/api/openapi.json", "/api/openapi.json/"):
            self.assertEqual((await self.ask("GET", path)).status, 200)


class ClockTests(SynchronousTestCase):
    """The clocks of who signs tokens and of who reads them differ a little."""

    def setUp(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        public = self.key.public_key().public_bytes_raw()
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.gate = Gate(public, self.clock)

    def refusal(self, **claims: object) -> str | None:
        request = DummyRequest([b""])
        token = jwt.encode(claims, self.key, algorithm="EdDSA")
        request.requestHeaders.setRawHeaders(b"authorization", [b"Bearer " + token.encode()])
        try:
            self.gate.check(request, "read")
        except WebError as error:
            self.assertEqual(error.status, 401)
            return error.text
        return None

    def test_ten_seconds_ahead_are_forgiven(self) -> None:
        now = 1_800_000_000
        for name, says in (
            ("nbf", "the token is not valid before 2027-01-15T08:00:11Z (nbf)"),
            ("iat", "the token was issued at 2027-01-15T08:00:11Z (iat)"),
        ):
            for ahead in (-(10**6), 0, 9, 10):
                self.assertIsNone(self.refusal(**{name: now + ahead}), ahead)
            said = f"{says}, and the clock here says 2027-01-15T08:00:00Z: is one of the clocks wrong?"
            self.assertEqual(self.refusal(**{name: now + 11}), said)

    def test_what_has_expired_has_expired(self) -> None:
        now = 1_800_000_000
        self.assertIsNone(self.refusal(exp=now + 1))
        for ago, shown in ((0, "08:00:00"), (1, "07:59:59"), (9, "07:59:51")):
            self.assertEqual(
                self.refusal(exp=now - ago),
                f"the token has expired at 2027-01-15T{shown}Z (exp), and the clock here says "
                "2027-01-15T08:00:00Z: ask for a new one",
            )

    def test_times_that_no_calendar_has(self) -> None:
        for time_ in (10**12, 10**400):
            self.assertIn("a time that no calendar has", str(self.refusal(nbf=time_)))
            self.assertIsNone(self.refusal(exp=time_))
        self.assertIn("a time that no calendar has", str(self.refusal(exp=-(10**400))))


class RoleTests(_TokenTests):
    """A token may do what its roles say."""

    roles_are_required = True

    async def allowed(self, roles: object) -> set[str]:
        """What a token with these roles may do; 403 is the answer to all else."""
        allowed = set()
        for method, path, access in (
            ("POST", "/api/write/", "write"),
            ("POST", "/api/write", "write"),
            ("GET", "/api/query", "query"),
            ("POST", "/api/query/", "query"),
            ("GET", "/api/stats/", "stats"),
        ):
            body = b"" if access == "write" else b'{"cluster": "alex", "queries": []}'
            answer = await self.ask(method, path, body, x_auth_token=self.token(roles=roles))
            if answer.status == 200:
                allowed.add(access)
                continue
            self.assertEqual((answer.status, answer.json["status"]), (403, "Forbidden"))
            self.assertIn(f"the token may not {'write' if access == 'write' else 'read'}: ", answer.error)
        return allowed

    async def test_what_each_role_may_do(self) -> None:
        reading = {"query", "stats"}
        for roles, allowed in (
            (["read"], reading),
            (["write"], {"write"}),
            (["write", "read", "other", 3, None, ["admin"]], {"write", *reading}),
            (["api"], {"write", *reading}),
            (["user", "admin"], {"write", *reading}),
            (["support"], reading),
            (["user", "manager", "anonymous"], set()),
            (["READ", "writer", "read,write", ""], set()),
            ([], set()),
            ("read", set()),
            ({"read": True}, set()),
            (None, set()),
        ):
            self.assertEqual(await self.allowed(roles), allowed, roles)

    async def test_what_is_said_of_one_that_is_lacking(self) -> None:
        for roles, said in (
            (
                ["user", "x\n"],
                "its roles are [\"user\", \"x\\n\"], and 'write' or 'api' or 'admin' is needed",
            ),
            ("write", "its claim 'roles' is no list"),
            (None, "it has no claim 'roles'"),
        ):
            answer = await self.ask("POST", "/api/write", b"", x_auth_token=self.token(roles=roles))
            self.assertEqual(answer.status, 403)
            self.assertIn(f"the token may not write: {said}", answer.error)

    async def test_a_token_that_is_not_valid_has_no_roles(self) -> None:
        await self.check(401)
        await self.check(401, x_auth_token=self.token(Ed25519PrivateKey.generate(), roles=["admin"]))
