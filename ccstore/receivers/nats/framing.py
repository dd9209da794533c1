"""The client protocol of NATS, as bytes: what a server says, cut into frames, and what is said to it.

Its source is https://docs.nats.io/reference/reference-protocols/nats-protocol.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ccstore.config.nkeys import Credentials

#: Bytes that a line of the protocol may have. That of INFO names all servers of a cluster.
MAX_LINE: Final = 1 << 18
_SHOWN: Final = 60
#: How a message without headers begins, which is what nearly all do.
_MESSAGE: Final = re.compile(rb"MSG (\S{1,2048}) (\S{1,20}) (?:(\S{1,2048}) )?([0-9]{1,12})\r\n")


class ProtocolError(Exception):
    """The other side does not speak the client protocol of NATS; the text says how that shows, in a line."""


class Delivery(NamedTuple):
    """A message.

    :ivar sid: of the subscription.
    :ivar reply: the subject for an answer, or empty.
    :ivar headers: as they came, or empty.
    :ivar payload: None if it is larger than what is taken; then ``size`` alone tells of it.
    :ivar size: of the payload, in bytes.
    """

    subject: bytes
    sid: bytes
    reply: bytes
    headers: bytes
    payload: bytes | None
    size: int

    @property
    def status(self) -> str:
        """What the server says instead of a message, as ``404 No Messages``; empty for a message."""
        first, _, _ = self.headers.partition(b"\r\n")
        return first.partition(b" ")[2].strip().decode("utf-8", "replace") if self.headers else ""

    def header(self, name: str) -> str | None:
        """The value of a header, or None; the case of its name does not matter."""
        for line in self.headers.split(b"\r\n")[1:]:
            key, colon, value = line.partition(b":")
            if colon and key.strip().lower() == name.lower().encode():
                return value.strip().decode("utf-8", "replace")
        return None


class Word(NamedTuple):
    """Anything else that a server says: ``INFO``, ``PING``, ``PONG``, ``+OK`` or ``-ERR``."""

    verb: str
    argument: bytes


class Framing:
    """Cuts what comes into frames; the result does not depend on the pieces in which it comes.

    :param max_payload: bytes of the largest payload that is taken; of a larger one nothing is held.
    :ivar error: why nothing more is taken, once the other side has left the protocol; else None.
    """

    def __init__(self, max_payload: int) -> None:
        self._max_payload = max_payload
        self._pieces: list[bytes] = []
        self._held = 0
        self._wanted = 0  # so many bytes are needed to go on
        self._skipping: Delivery | None = None  # a message that is too large, and how much of it is to come
        self._to_skip = 0
        self.error: str | None = None

    @property
    def held(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return self._held

    def feed(self, data: bytes) -> list[Delivery | Word]:
        """The frames that are complete with this."""
        if self.error is not None:
            return []
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._wanted:
            return []
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        frames: list[Delivery | Word] = []
        try:
            position = self._cut(data, frames)
        except ProtocolError as error:
            self.error = str(error)
            position = len(data)
        rest = data[position:]
        self._pieces = [rest] if rest else []
        self._held = len(rest)
        return frames

    def _cut(self, data: bytes, frames: list[Delivery | Word]) -> int:
        position = 0
        length = len(data)
        while True:
            self._wanted = 0
            if self._skipping is not None:
                position = self._skip(data, position, frames)
                if self._skipping is not None:
                    return position
            message = _MESSAGE.match(data, position)
            if message is None:
                # Anything but a message without headers, or it is not all there yet.
                end = data.find(b"\r\n", position)
                if end < 0 or end - position > MAX_LINE:
                    if length - position > MAX_LINE + 1:
                        raise ProtocolError(f"a line of more than {MAX_LINE} bytes")
                    return position
                if not data.startswith((b"MSG ", b"HMSG "), position):
                    frames.append(_word(data[position:end]))
                    position = end + 2
                    continue
                subject, sid, reply, begin, size = _announced(data[position:end])
                start = end + 2
            else:
                subject, sid, reply, digits = message.groups(b"")
                begin, size = 0, int(digits)
                start = message.end()
            stop = start + size
            if size - begin > self._max_payload or begin > MAX_LINE:
                self._skipping = Delivery(subject, sid, reply, b"", None, size - begin)
                self._to_skip = size
                position = start
                continue
            if length < stop + 2:
                self._wanted = stop + 2 - position
                return position
            if not data.startswith(b"\r\n", stop):
                raise ProtocolError("a message that is longer or shorter than was said")
            headers = data[start : start + begin] if begin else b""
            payload = data[start + begin : stop]
            frames.append(Delivery(subject, sid, reply, headers, payload, size - begin))
            position = stop + 2

    def _skip(self, data: bytes, position: int, frames: list[Delivery | Word]) -> int:
        """Pass over a message that is too large."""
        passed = min(self._to_skip, len(data) - position)
        self._to_skip -= passed
        position += passed
        if self._to_skip == 0 and len(data) - position >= 2:
            if not data.startswith(b"\r\n", position):
                raise ProtocolError("a message that is longer or shorter than was said")
            assert self._skipping is not None
            frames.append(self._skipping)
            self._skipping = None
            return position + 2
        return position


def _announced(line: bytes) -> tuple[bytes, bytes, bytes, int, int]:
    """What the first line of a message says.

    That is its subject, the subscription, where an answer goes, the bytes of its headers, and those in all.
    """
    words = line.split()
    sizes = words[3:]
    reply = b""
    if len(sizes) > (2 if line[:1] == b"H" else 1):
        reply, *sizes = sizes
    # int() would take more than digits.
    if all(size.isdigit() and len(size) <= 12 for size in sizes):
        if len(sizes) == 1 and line[:1] == b"M":
            return words[1], words[2], reply, 0, int(sizes[0])
        if len(sizes) == 2 and line[:1] == b"H" and int(sizes[0]) <= int(sizes[1]):
            return words[1], words[2], reply, int(sizes[0]), int(sizes[1])
    raise ProtocolError(f"a message that is announced by {_shown(line)}")


def _word(line: bytes) -> Word:
    verb, _, argument = line.partition(b" ")
    upper = verb.upper()
    if upper not in (b"INFO", b"PING", b"PONG", b"+OK", b"-ERR"):
        raise ProtocolError(f"instead of the protocol of NATS, {_shown(line)}")
    return Word(upper.decode(), argument.strip())


def _shown(line: bytes) -> str:
    return repr(line[:_SHOWN])[1:]


def parse_info(argument: bytes) -> Mapping[str, Any]:
    """What a server says of itself; raises :class:`ProtocolError`."""
    try:
        info = json.loads(argument)
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict):
        raise ProtocolError(f"an INFO that is no JSON object: {_shown(argument)}")
    return info


# -- what is said


def connect(
    info: Mapping[str, Any],
    *,
    name: str,
    version: str,
    user: str | None,
    password: str | None,
    credentials: Credentials | None,
    is_encrypted: bool,
) -> bytes:
    """The answer to INFO; raises :class:`ProtocolError` if there is nothing to sign."""
    options: dict[str, object] = {
        "verbose": False,
        "pedantic": False,
        "tls_required": is_encrypted,
        "name": name,
        "lang": "python-ccstore",
        "version": version,
        "protocol": 1,
        "echo": False,
        "headers": True,
        "no_responders": bool(info.get("headers")),
    }
    if user is not None:
        options |= {"user": user, "pass": password or ""}
    if credentials is not None:
        nonce = info.get("nonce")
        if not isinstance(nonce, str):
            raise ProtocolError("an INFO without a nonce: it has no users with nkeys")
        options["sig"] = credentials.sign(nonce.encode())
        if credentials.token is None:
            options["nkey"] = credentials.public_key
        else:
            options["jwt"] = credentials.token
    return b"CONNECT " + json.dumps(options).encode() + b"\r\n"


def subscribe(subject: str, sid: str, queue_group: str | None = None) -> bytes:
    """Ask for the messages of a subject, as one of a queue group if there is one."""
    words = [subject, sid] if queue_group is None else [subject, queue_group, sid]
    return b"SUB " + " ".join(words).encode() + b"\r\n"


def unsubscribe(sid: str) -> bytes:
    """End a subscription."""
    return b"UNSUB " + sid.encode() + b"\r\n"


def publish(subject: bytes, payload: bytes, reply: bytes = b"") -> bytes:
    """Send a message; ``reply`` is the subject for an answer, or empty."""
    return b"PUB %b %b%d\r\n%b\r\n" % (subject, reply + b" " if reply else b"", len(payload), payload)


PING: Final = b"PING\r\n"
PONG: Final = b"PONG\r\n"
