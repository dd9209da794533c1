"""What a browser finds at the ports over HTTP."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import treq

from tests.support.api_case import ApiTestCase

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class _Links(HTMLParser):
    """The links of a page; whatever else it has is well-formed and does nothing."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("html", "head", "meta", "title", "body", "h1", "p", "ul", "li", "a"), tag
        assert {name for name, _ in attrs} <= {"lang", "charset", "name", "content", "href"}
        if tag != "meta":
            self._open.append(tag)
        self.found += [value for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


class HomeTests(ApiTestCase):
    async def test_a_browser_is_shown_what_there_is(self) -> None:
        for has_swagger in (True, False):
            self.start(enable_swagger_ui=has_swagger)
            for place, root in (("/api/", "../"), ("/api", "")):
                page = await self.ask("GET", place, accept=BROWSER)
                self.assertEqual(
                    (page.status, page.header("content-type")), (200, "text/html; charset=utf-8")
                )
                links = _Links(page.body.decode()).found
                self.assertEqual(f"{root}swagger/" in links, has_swagger)
                known = {"health", "ready", "api/stats/", "metrics", "api/openapi.json"}
                self.assertLessEqual({root + each for each in known}, set(links))
                for link in links:
                    self.assertEqual(urlsplit(link)[:2], ("", ""), "it would lead away")
                    self.assertFalse(link.startswith("/"), "it would lead away from a proxy's path")
                    answer = await self.ask("GET", urljoin(place, link))
                    self.assertEqual(answer.status, 200, link)

    async def test_it_may_do_nothing(self) -> None:
        self.start()
        policy = str((await self.ask("GET", "/api/", accept=BROWSER)).header("content-security-policy"))
        self.assertEqual(
            dict(part.split() for part in policy.split("; ")),
            dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'"),
        )
        self.assertNotIn("unsafe", policy)

    async def test_others_are_told_in_plain_text(self) -> None:
        self.start(enable_swagger_ui=True)
        for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}, {"accept": "text/plain"}):
            page = await self.ask("GET", "/", **headers)
            self.assertEqual((page.status, page.header("content-type")), (200, "text/plain; charset=utf-8"))
            self.assertEqual(page.header("vary"), "Accept")
            for place in re.findall(r"^  (/\S*)  ", page.body.decode(), re.MULTILINE):
                self.assertEqual((await self.ask("GET", place)).status, 200, place)
            self.assertIn("/health ", page.body.decode())

    async def test_only_the_head(self) -> None:
        self.start()
        for accept in (BROWSER, "*/*"):
            whole = await self.ask("GET", "/api/", accept=accept)
            head = await self.ask_head(accept)
            self.assertEqual(head.code, 200)
            self.assertEqual(await head.content(), b"")
            self.assertEqual(head.headers.getRawHeaders("content-type"), [whole.header("content-type")])
            self.assertEqual(head.headers.getRawHeaders("content-length"), [str(len(whole.body))])

    async def ask_head(self, accept: str) -> treq.response._Response:
        return await self.http.request(
            "HEAD",
            f"http://127.0.0.1:{self.ports['REST']}/api/",
            headers={"accept": accept},
        )

    async def test_other_methods_and_other_places(self) -> None:
        self.start()
        answer = await self.ask("POST", "/", b"")
        self.assertEqual((answer.status, answer.header("allow")), (405, "GET, HEAD"))
        answer = await self.ask("GET", "/nowhere")
        self.assertEqual((answer.status, answer.error), (404, "nothing here, / shows what there is"))

    async def test_a_token_is_not_wanted_but_spoken_of(self) -> None:
        self.start()
        self.assertNotIn("token", (await self.ask("GET", "/api/", accept=BROWSER)).body.decode())
        self.start(jwt_public_key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        for accept in (BROWSER, "*/*"):
            page = await self.ask("GET", "/api/", accept=accept)
            self.assertEqual(page.status, 200)
            self.assertIn("want a token", page.body.decode())

    async def test_a_receivers_port_says_what_it_is(self) -> None:
        self.start()
        response = await self.http.request(
            "GET", f"http://127.0.0.1:{self.ports['HTTP']}/", headers={"accept": BROWSER}
        )
        self.assertEqual(response.code, 405)
        self.assertEqual(response.headers.getRawHeaders("allow"), ["POST"])
        said = (await response.json())["error"]
        self.assertIn("lines are sent by POST", said)
        self.assertIn("this port of ccstore takes line protocol", said)
        self.assertIn("REST interface", said)
