"""A receiver over HTTP without a network: requests, and the answers to them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from ccstore.pipeline.scheduler import TurnLimits
from ccstore.receivers.http import HttpReceiver
from ccstore.web import Room
from tests.support.configuration import receiver_config
from tests.support.loopback import Loopback, Wire
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, event, intake_for

#: A body.
LINES = event("a") + b"\n"


class Answer(NamedTuple):
    """An answer as it went over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> Any:
        """The JSON object of an error, whose outer form is checked."""
        assert self.headers["content-type"] == "application/json"
        given = json.loads(self.body)
        assert set(given) >= {"status", "error"}
        return given


def read_answer(data: bytes) -> tuple[Answer, bytes]:
    """The first answer in what a server sent, and what follows it."""
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    length = int(headers.get("content-length", "0"))
    return Answer(int(first.split(" ")[1]), headers, rest[:length]), rest[length:]


def head(
    method: str = "POST", path: str = "/", *, length: int | None = None, **headers: str | bytes
) -> bytes:
    """The head of a request; underscores in names of headers stand for hyphens."""
    if length is not None:
        headers["content_length"] = str(length)
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: x"]
    for name, value in headers.items():
        raw = value.encode() if isinstance(value, str) else value
        lines.append(name.replace("_", "-").encode() + b": " + raw)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def basic(credentials: str) -> str:
    """The header of a name and a password, with a colon between them."""
    return f"Basic {b64encode(credentials.encode()).decode()}"


class HttpTestCase(SynchronousTestCase):
    """A receiver without a network."""

    wire: Wire

    def setUp(self) -> None:
        self.start()

    def start(self, room: Room | None = None, turns: TurnLimits | None = None, **keys: Any) -> None:
        config = receiver_config(scratch(self), "http", **keys)
        self.clock = Loopback()
        self.sink = FakeSink()
        intake = intake_for(config, "http", self.sink, self.clock, turns)
        self.receiver = HttpReceiver(config, intake, self.clock, room or Room())
        self.receiver.listen()

    def connect(self) -> Any:
        connection, self.wire = self.clock.connect()
        return connection

    def answer(self) -> Answer:
        """The one answer that came, or the last of several."""
        answer, rest = read_answer(self.wire.value())
        while rest:
            answer, rest = read_answer(rest)
        return answer

    def send(self, body: bytes = b"", method: str = "POST", path: str = "/", **headers: Any) -> Answer:
        """A whole request on a new connection."""
        self.connect().dataReceived(head(method, path, length=len(body), **headers) + body)
        return self.answer()


class RequestTestCase(HttpTestCase):
    """What a port over HTTP makes of requests, and what it says of them."""

    def raw(self, data: bytes) -> Answer:
        """The first answer to what a new connection sends."""
        self.connect().dataReceived(data)
        answer, _ = read_answer(self.wire.value())
        return answer

    def figure(self, name: str) -> Any:
        return self.receiver.figures()[name]

    def sampled(self, reason: str) -> list[str]:
        """What the doctor learns of those who were refused for a reason."""
        samples = self.receiver.account.samples.as_json()["samples"]
        assert isinstance(samples, list)
        return [sample["detail"] for sample in samples if sample["reason"] == reason]
