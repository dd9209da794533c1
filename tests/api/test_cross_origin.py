"""Pages of other origins that may read, and those that may not."""

from __future__ import annotations

from tests.api.test_message_answers import MessagesTestCase
from tests.support.sinks import event

PAGE = "https://grafana.example.org"


class CrossOriginTests(MessagesTestCase):
    async def test_a_page_that_is_let_in_reads_by_every_method(self) -> None:
        self.start(cors_origins=[PAGE])
        await self.write(event("a"))
        for method, body in (("GET", None), ("POST", b"limit=1")):
            answer = await self.ask(
                method, "/api/v1/messages", body, origin=PAGE, sec_fetch_site="cross-site"
            )
            self.assertEqual((answer.status, len(answer.json["messages"])), (200, 1))
            self.assertEqual(answer.header("access-control-allow-origin"), PAGE)
            self.assertIn("Origin", str(answer.header("vary")))

    async def test_a_browser_that_asks_first_is_told(self) -> None:
        """Without a token, which it does not send then."""
        self.start(cors_origins=["*"], jwt_public_key="kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0=")
        asked = {"origin": PAGE, "access_control_request_method": "GET"}
        answer = await self.ask("OPTIONS", "/api/v1/tail", **asked)
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertIn("Authorization", str(answer.header("access-control-allow-headers")))
        self.assertIn("POST", str(answer.header("access-control-allow-methods")))
        answer = await self.ask("GET", "/api/v1/messages", origin=PAGE)
        self.assertEqual((answer.status, answer.header("access-control-allow-origin")), (401, PAGE))

    async def test_no_other_page_is_let_in_and_none_writes(self) -> None:
        self.start(cors_origins=[PAGE])
        other = "https://elsewhere.example.org"
        answer = await self.ask("GET", "/api/v1/messages", origin=other)
        self.assertEqual((answer.status, answer.header("access-control-allow-origin")), (200, None))
        for origin, path in ((other, "/api/v1/messages"), (PAGE, "/api/write"), (PAGE, "/api/query")):
            answer = await self.ask("POST", path, b"", origin=origin)
            self.assertEqual(answer.status, 403, (origin, path))

    async def test_nobody_is_let_in_by_default(self) -> None:
        self.start()
        answer = await self.ask("GET", "/api/v1/messages", origin=PAGE)
        self.assertEqual(answer.header("access-control-allow-origin"), None)
        answer = await self.ask("OPTIONS", "/api/v1/messages", origin=PAGE)
        self.assertEqual(answer.status, 405)

    async def test_there_are_so_many_tails_and_no_more(self) -> None:
        self.start(max_tails=0)
        answer = await self.ask("GET", "/api/v1/tail")
        self.assertEqual((answer.status, answer.header("retry-after")), (503, "5"))
        self.assertIn("there are 0 tails already", answer.error)
