"""Who may ask as clients of Loki do."""

from __future__ import annotations

from base64 import b64encode

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.http_case import basic
from tests.support.loki_case import LokiTestCase


class TokenTests(LokiTestCase):
    """A token is needed where there is a key."""

    async def test_a_token_may_be_the_password(self) -> None:
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.start(jwt_public_key=b64encode(public).decode())
        token = jwt.encode({"sub": "grafana"}, key, algorithm="EdDSA")
        for path in ("/loki/api/v1/labels", "/prometheus/api/v1/rules"):
            for given, status in (
                (basic(f"grafana:{token}"), 200),
                (basic(f":{token}"), 200),
                (f"Bearer {token}", 200),
                (basic(f"{token}:"), 401),
                (basic("grafana:secret"), 401),
                ("Basic ?", 401),
                ("", 401),
            ):
                answer = await self.ask("GET", path, Authorization=given)
                self.assertEqual(answer.status, status, (path, given))
        # Elsewhere a token goes as it always did.
        answer = await self.ask("GET", "/api/v1/labels", Authorization=basic(f"grafana:{token}"))
        self.assertEqual(answer.status, 401)
