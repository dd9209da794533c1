"""A daemon in the process of the tests, whose every answer is held against what the document says of it."""

from __future__ import annotations

import json
import re
import time
from functools import cache
from typing import Any

import treq
from jsonschema import Draft202012Validator
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from ccstore.api.documents import openapi_document
from ccstore.daemon.assembly import build
from ccstore.interfaces import IBackend
from ccstore.network.open_files import OpenFiles
from tests.support.configuration import load, ports_in
from tests.support.loopback import Client
from tests.support.scratch import scratch

RECEIVERS = {kind: {"type": kind, "address": "127.0.0.1", "port": 0} for kind in ("tcp", "udp", "http")}


class Answer:
    """An answer to a request."""

    def __init__(self, method: str, path: str, response: Any, body: bytes) -> None:
        self.method = method
        self.path = path
        self.status: int = response.code
        self.headers = response.headers
        self.length = response.length
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return (self.headers.getRawHeaders(name) or [None])[0]

    @property
    def error(self) -> str:
        """What an error says; its shape is checked."""
        given = self.json
        assert isinstance(given["status"], str)
        return str(given["error"])


class ApiTestCase(TestCase):
    """A daemon in this process, on ports that are free."""

    def start(self, *, backend: IBackend | None = None, **api: Any) -> None:
        """Start the daemon with these keys of the REST interface, and a backend of the test's own, if any."""
        self.start_with(backend=backend, api=api)

    def start_with(
        self, *, files: OpenFiles | None = None, backend: IBackend | None = None, **parts: Any
    ) -> None:
        """Start the daemon with these parts of the configuration.

        :param files: tells of open files.
        :param backend: instead of a database.
        """
        config = load(scratch(self), **{"receivers": RECEIVERS, **parts})
        self.service = build(config, reactor, files=files, backend=backend)
        with capturedLogs() as logs:
            self.service.privilegedStartService()
        self.service.startService()
        self.ports = ports_in("\n".join(map(formatEvent, logs)))
        pool = HTTPConnectionPool(reactor)
        self.http = treq.client.HTTPClient(Agent(reactor, pool=pool))
        self.addCleanup(self.service.stopService)
        self.addCleanup(pool.closeCachedConnections)

    async def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Make one request; a redirect would be an answer like any other."""
        response = await self.http.request(
            method,
            f"http://127.0.0.1:{self.ports['REST']}{path}",
            data=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            allow_redirects=False,
        )
        answer = Answer(method, path, response, await response.content())
        check_documented(answer)
        return answer

    async def write(self, *lines: bytes, path: str = "/api/write/", **headers: str) -> Answer:
        return await self.ask("POST", path, b"\n".join(lines), **headers)

    async def query(
        self, *queries: Any, method: str = "POST", path: str = "/api/query/", **more: Any
    ) -> Answer:
        content = {"cluster": "alex", "from": 0, "to": int(time.time()) + 60, "queries": queries, **more}
        return await self.ask(method, path, json.dumps(content).encode())

    async def texts(self, *queries: Any, **more: Any) -> list[list[list[str]]]:
        """The texts that are found, in the shape of the results."""
        answer = await self.query(*queries, **more)
        self.assertEqual(answer.status, 200, answer.body)
        return [
            [[row["Event"] for row in entry["data"]] for entry in entries]
            for entries in answer.json["results"]
        ]

    async def connect(self, line: str) -> Client:
        """A connection to a port; it is the test's to close."""
        client: Client = await connectProtocol(
            HostnameEndpoint(reactor, "127.0.0.1", self.ports[line]), Client()
        )
        return client

    async def stats(self) -> Any:
        return (await self.ask("GET", "/api/stats/")).json


@cache
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """What the document has, by method and by path without its last slash."""
    return {
        (method.upper(), path.rstrip("/")): operation
        for path, item in openapi_document()["paths"].items()
        for method, operation in item.items()
    }


def check_documented(answer: Answer) -> None:
    """An answer of an operation must be one that the document tells of, and look as told."""
    path = answer.path.partition("?")[0].rstrip("/")
    place = (answer.method, path)
    if place not in operations():
        for known in (
            re.sub(r"(?<=/messages/)[^/]+", "{number}", path),
            re.sub(r"(?<=/values/).+", "{label}", path),
            re.sub(r"(?<=/jobs/).+", "{cluster}/{job}", path),
            re.sub(r"(?<=/nodes/).+", "{cluster}/{host}", path),
        ):
            place = (answer.method, known) if (answer.method, known) in operations() else place
    if place not in operations():
        return
    document = openapi_document()
    told = operations()[place]["responses"].get(str(answer.status))
    assert told is not None, f"the document does not tell of {answer.status} at {place}"
    if "$ref" in told:
        told = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
    if "content" not in told:
        assert answer.body == b"", f"the document tells of no body for {answer.status} at {place}"
        return
    kind = str(answer.header("content-type"))
    assert kind in told["content"], f"the document does not tell of {kind} at {place}"
    schema = {**told["content"][kind]["schema"], "components": document["components"]}
    value = answer.json if kind == "application/json" else answer.body.decode()
    Draft202012Validator(schema).validate(value)
