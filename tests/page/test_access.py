"""Tokens: asked for once, kept for the session, in no link."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import count_is, opened, place, serving
from tests.support.running_daemon import Daemon

KEY = Ed25519PrivateKey.generate()
LINES = b"".join(
    b'syslog,cluster=alex,hostname=a0101,loglevel=err log="line %d"\n' % each for each in range(250)
)


def token(*roles: str) -> str:
    """A token with these roles."""
    return jwt.encode({"roles": [*roles]}, KEY, algorithm="EdDSA")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Daemon]:
    """A daemon that wants tokens."""
    public = base64.b64encode(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    directory: Path = tmp_path_factory.mktemp("guarded")
    with serving(directory, api={"jwt_public_key": public, "require_roles": True}) as daemon:
        connection = daemon.connect()
        connection.request("POST", "/api/write", LINES, {"Authorization": f"Bearer {token('write')}"})
        assert connection.getresponse().status == 200
        connection.close()
        yield daemon


def give(page: Page, text: str) -> None:
    page.get_by_role("dialog", name="A token, please").get_by_label("JSON Web Token").fill(text)
    page.get_by_role("button", name="Use it").click()


def test_a_token_is_asked_for_once_and_stands_in_no_link(chromium: Browser, guarded: Daemon) -> None:
    with opened(chromium, may_fail=True, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(place(guarded))
        dialog = page.get_by_role("dialog", name="A token, please")
        expect(dialog).to_contain_text("A token is required.")
        page.get_by_role("button", name="Not now").click()
        page.get_by_role("button", name="Give a token").click()
        give(page, "nonsense")
        expect(dialog).to_contain_text("The token is not valid: it has one part")
        given = token("read")
        give(page, f"Bearer {given}")
        count_is(page, 250)
        expect(dialog).to_be_hidden()
        page.reload()
        count_is(page, 250)
        assert given not in page.url
        page.get_by_role("button", name="Copy", exact=True).click()
        page.get_by_role("button", name="curl").click()
        expect(page.locator(".announcement")).to_contain_text("Copied")
        command = str(page.evaluate("navigator.clipboard.readText()"))
        assert given not in command
        assert "$TOKEN" in command
        assert given not in page.content()
        # A new tab has to ask again: nothing is kept beyond the session.
        assert page.evaluate("Object.keys(localStorage).length") == 0
        page.get_by_role("button", name="tail", exact=True).click()
        expect(page.get_by_text(re.compile("^Following"))).to_be_visible()
        page.get_by_role("button", name="stop").click()
        page.get_by_role("button", name="forget token").click()
        expect(dialog).to_be_visible()


def test_a_token_that_may_not_read_is_told_what_is_missing(chromium: Browser, guarded: Daemon) -> None:
    with opened(chromium, may_fail=True) as page:
        page.goto(place(guarded))
        give(page, token("write"))
        said = page.get_by_role("alert")
        expect(said).to_contain_text("The token may not read: its roles are")
        expect(said).to_contain_text("read")


def test_an_export_with_a_token(chromium: Browser, guarded: Daemon) -> None:
    with opened(chromium, may_fail=True) as page:
        page.add_init_script("delete window.showSaveFilePicker")  # no window of the system in a test
        page.goto(place(guarded))
        give(page, token("read"))
        count_is(page, 250)
        page.get_by_role("button", name="Export", exact=True).click()
        expect(page.get_by_text("keeps the file in memory")).to_be_visible()
        with page.expect_download() as waited:
            page.get_by_role("button", name="NDJSON").click()
        with open(waited.value.path()) as file:
            assert len([json.loads(line) for line in file]) == 250


def test_what_is_open_is_said_to_be(page: Page, store: Daemon) -> None:
    page.goto(place(store))
    expect(page.get_by_text("open, no token needed")).to_be_visible()
