"""The files of the page, as they are sent."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from contextlib import closing
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from ccstore.page.page_files import PageFiles
from tests.support.api_case import ApiTestCase
from tests.support.browsing import serving
from tests.support.running_daemon import ROOT

STATIC = ROOT / "ccstore" / "page" / "static"
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
#: Lines of a module.
LINES = 400


def vendored() -> list[dict[str, Any]]:
    """What is said of the files that are others' work."""
    found: list[dict[str, Any]] = json.loads((STATIC / "vendor" / "vendored.json").read_text())
    return found


@pytest.mark.parametrize("entry", vendored(), ids=lambda entry: entry["file"])
def test_what_others_made_is_as_they_made_it(entry: dict[str, Any]) -> None:
    folder = STATIC / "vendor"
    assert hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert (folder / entry["licence_file"]).stat().st_size > 500
    assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"])


def test_all_that_others_made_is_said_to_be() -> None:
    said = {entry["file"] for entry in vendored()} | {entry["licence_file"] for entry in vendored()}
    there = {path.name for path in (STATIC / "vendor").iterdir()}
    assert there - said == {"vendored.json"}


@pytest.mark.parametrize("path", sorted((STATIC / "js").rglob("*.js")), ids=lambda path: path.name)
def test_modules_are_short_and_say_what_they_are_for(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= LINES
    assert lines[0].startswith("// "), "the first line says what it is for"
    for imported in re.findall(r"from '([^']+)'", path.read_text()):
        assert (path.parent / imported).is_file(), imported


def test_another_file_makes_another_address() -> None:
    files = PageFiles()
    assert f"page/{files.digest}/js/main.js" in files.index.content.decode()
    assert "@" not in files.index.content.decode()
    assert {"js/main.js", "css/base.css", "vendor/uplot.js", "icon.svg"} <= set(files.paths)


def test_it_is_packed_for_those_who_take_it_so_and_sent_once(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon, closing(daemon.connect()) as connection:

        def ask(method: str = "GET", **more: str) -> tuple[HTTPResponse, bytes]:
            headers = {"Accept": BROWSER, **{name.replace("_", "-"): value for name, value in more.items()}}
            connection.request(method, "/", headers=headers)
            answer = connection.getresponse()
            return answer, answer.read()

        plain, page = ask()
        packed, packed_page = ask(accept_encoding="gzip, br")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed_page) == page
        assert "Accept-Encoding" in packed.headers["Vary"]
        assert packed.headers["ETag"] != plain.headers["ETag"]
        for answer, coding in ((plain, "identity"), (packed, "gzip")):
            again, body = ask(accept_encoding=coding, if_none_match=answer.headers["ETag"])
            assert (again.status, body) == (304, b"")
        head, body = ask("HEAD")
        assert (head.status, body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(page))


class ServingTests(ApiTestCase):
    def setUp(self) -> None:
        self.start()

    async def test_a_browser_gets_the_page_and_all_that_it_names(self) -> None:
        page = await self.ask("GET", "/", accept=BROWSER)
        self.assertEqual((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"))
        self.assertEqual(page.header("cache-control"), "no-cache")
        named = re.findall(r'(?:href|src)="(page/[^"]+)"', page.body.decode())
        self.assertGreater(len(named), 20)
        for path in named:
            answer = await self.ask("GET", f"/{path}")
            self.assertEqual(answer.status, 200, path)
            self.assertIn("immutable", str(answer.header("cache-control")))
            self.assertEqual(answer.header("x-content-type-options"), "nosniff")

    async def test_nothing_is_loaded_from_elsewhere_or_run_that_is_no_file(self) -> None:
        policy = str((await self.ask("GET", "/", accept=BROWSER)).header("content-security-policy"))
        self.assertNotIn("unsafe", policy)
        self.assertEqual(
            dict(part.split(" ", 1) for part in policy.split("; ")),
            {
                "default-src": "'none'",
                "script-src": "'self'",
                "style-src": "'self'",
                "connect-src": "'self'",
                "img-src": "'self' data:",
                "base-uri": "'none'",
                "form-action": "'none'",
                "frame-ancestors": "'none'",
            },
        )

    async def test_no_other_files_are_served(self) -> None:
        digest = PageFiles().digest
        for path in (
            "page",
            "page/",
            f"page/{digest}",
            f"page/{digest}/",
            f"page/{digest}/../page_files.py",
            f"page/{digest}/%2e%2e/page_files.py",
            f"page/{digest}/js%2fmain.js/..",
            "page/0000000000000000/js/main.js",
        ):
            answer = await self.ask("GET", f"/{path}", accept=BROWSER)
            self.assertEqual((answer.status, answer.error), (404, "nothing here, / shows what there is"))
        answer = await self.ask("POST", f"/page/{digest}/js/main.js", b"")
        self.assertEqual(answer.status, 405)
