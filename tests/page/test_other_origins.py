"""Pages of other origins, in a real browser: those that are let in read, and none of them writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browsing import messages, place, serving

_READ = """async address => {
    try {
        const headers = {Accept: "application/json", Authorization: "Bearer x.y.z"};
        const answer = await fetch(`${address}api/v1/messages?limit=2`, {headers});
        return (await answer.json()).messages.length;
    } catch (error) { return error.name; }
}"""
_FOLLOW = """address => new Promise(done => {
    const source = new EventSource(address + "api/v1/tail?from=-1d");
    source.addEventListener("message", event => { source.close(); done(JSON.parse(event.data).kind); });
    source.onerror = () => { source.close(); done("error"); };
})"""
_WRITE = """async address => {
    const body = "job,cluster=x event=\\"of another origin\\"";
    await fetch(`${address}api/write`, {method: "POST", mode: "no-cors", body});
}"""


class _Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!DOCTYPE html><title>another origin</title>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def origin() -> Iterator[str]:
    """Somebody else's web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def elsewhere(chromium: Browser, origin: str) -> Iterator[Page]:
    """A page of that server."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(origin)
    yield page
    context.close()


def test_one_that_is_let_in_reads_and_follows(elsewhere: Page, origin: str, tmp_path: Path) -> None:
    """It changes nothing all the same."""
    with serving(tmp_path, *messages(10), api={"cors_origins": [origin]}) as daemon:
        assert elsewhere.evaluate(_READ, place(daemon)) == 2
        assert elsewhere.evaluate(_FOLLOW, place(daemon)) in ("event", "log")
        elsewhere.evaluate(_WRITE, place(daemon))
        assert elsewhere.evaluate(_READ.replace("limit=2", "cluster=x"), place(daemon)) == 0


def test_others_read_nothing(elsewhere: Page, tmp_path: Path) -> None:
    with serving(tmp_path, *messages(10), api={"cors_origins": ["https://grafana.example.org"]}) as daemon:
        assert elsewhere.evaluate(_READ, place(daemon)) == "TypeError"
        assert elsewhere.evaluate(_FOLLOW, place(daemon)) == "error"
