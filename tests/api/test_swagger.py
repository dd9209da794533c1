"""The Swagger UI: it works, and it asks nothing of any other host."""

from __future__ import annotations

import os
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from ccstore.api.documents import openapi_document
from tests.support.api_case import ApiTestCase
from tests.support.browsing import REQUIRED
from tests.support.scratch import scratch


class _References(HTMLParser):
    """Collects whatever a page wants to be loaded."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


class SwaggerTests(ApiTestCase):
    def setUp(self) -> None:
        self.start(enable_swagger_ui=True)

    async def test_the_page_and_all_it_refers_to_are_served(self) -> None:
        for path in ("/swagger", "/swagger/", "/swagger/index.html"):
            page = await self.ask("GET", path)
            self.assertEqual(page.status, 200)
            self.assertEqual(page.header("content-type"), "text/html; charset=utf-8")
            references = _References(page.body.decode()).found
            self.assertEqual(len(references), 4)
            for reference in references:
                answer = await self.ask("GET", urljoin(path, reference))
                self.assertEqual(answer.status, 200, reference)
                self.assertGreater(len(answer.body), 100)
        script = (await self.ask("GET", "/swagger/start.js")).body.decode()
        found = re.search(r'url: "([^"]+)"', script)
        assert found is not None
        self.assertEqual((await self.ask("GET", found[1])).json["openapi"], "3.1.0")

    async def test_files_have_their_types(self) -> None:
        for name, kind in {
            "swagger-ui.css": "text/css; charset=utf-8",
            "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
            "start.js": "text/javascript; charset=utf-8",
            "favicon-32x32.png": "image/png",
        }.items():
            self.assertEqual((await self.ask("GET", f"/swagger/{name}")).header("content-type"), kind)

    async def test_nothing_refers_to_another_host(self) -> None:
        for name in ("index.html", "start.js"):
            text = (await self.ask("GET", f"/swagger/{name}")).body.decode()
            self.assertIsNone(re.search(r"https?:|[\"'(=]//|wss?:", text))
            for reference in _References(text).found:
                self.assertEqual(urlsplit(reference).netloc, "")

    async def test_the_browser_is_told_to_load_nothing_from_elsewhere(self) -> None:
        policy = (await self.ask("GET", "/swagger/")).header("content-security-policy")
        assert policy is not None
        directives = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
        self.assertEqual(directives["default-src"], ["'self'"])
        self.assertNotIn("script-src", directives)
        self.assertEqual(directives.pop("frame-ancestors"), ["'none'"])
        for name, sources in directives.items():
            self.assertLessEqual(set(sources), {"'self'", "'unsafe-inline'", "data:"}, name)

    async def test_no_other_files_are_served(self) -> None:
        for name in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "openapi.json", "x", "%2fetc%2fpasswd"):
            self.assertEqual((await self.ask("GET", f"/swagger/{name}")).status, 404, name)

    async def test_it_can_be_switched_off_and_by_default_is(self) -> None:
        self.start()
        for path in ("/swagger", "/swagger/", "/swagger/start.js"):
            self.assertEqual((await self.ask("GET", path)).status, 404)

    async def test_a_real_browser_shows_the_operations(self) -> None:
        chromium = shutil.which("chromium")
        if chromium is None:
            self.assertNotIn(REQUIRED, os.environ, "there is no chromium on the PATH")
            raise SkipTest("there is no chromium on the PATH")
        home = scratch(self)
        options = [
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--virtual-time-budget=15000",
            f"--user-data-dir={home}",
            "--dump-dom",
        ]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        output, errors, status = await getProcessOutputAndValue(
            chromium,
            [*options, f"http://127.0.0.1:{self.ports['REST']}/swagger/"],
            env={**os.environ, "HOME": str(home)},
            reactor=reactor,
        )
        self.assertEqual(status, 0, errors)
        page = output.decode()
        shown = set(re.findall(r'id="operations-default-([A-Za-z]+)"', page))
        told = {
            each["operationId"] for item in openapi_document()["paths"].values() for each in item.values()
        }
        self.assertEqual(shown, told)
        self.assertIn("Events and logs of HPC clusters", page)
        self.assertNotIn("Failed to load", page)
