"""What is decoded, as values that tests compare, and the cases of the reference decoder."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import settings

from ccstore.lineprotocol import (
    Decoded,
    LineError,
    StreamDecoder,
    decode,
)
from ccstore.message import FieldValue, Message
from tests.support.running_daemon import ROOT

REFERENCE = ROOT / "tests" / "data" / "reference_decoder.jsonl.gz"
NOW = 1_700_000_000_123_456_789

thoroughly = settings(max_examples=500, deadline=None)
briefly = settings(max_examples=100, deadline=None)


def plain(messages: Iterable[Message]) -> list[tuple[Any, ...]]:
    """Messages as values that compare by what they say, types included."""
    return [
        (
            message.name,
            dict(message.tags),
            {key: (type(value), repr(value)) for key, value in message.fields.items()},
            message.time,
            message.kind,
            message.text,
        )
        for message in messages
    ]


def result(decoded: Decoded) -> tuple[list[tuple[Any, ...]], list[LineError]]:
    return plain(decoded.messages), decoded.errors


def stream(data: Iterable[bytes], **options: Any) -> Decoded:
    """What a stream decoder makes of pieces."""
    decoder = StreamDecoder(**options)
    fed = [decoder.feed(piece, NOW) for piece in data]
    fed.append(decoder.finish(NOW))
    return Decoded([m for each in fed for m in each.messages], [e for each in fed for e in each.errors])


def whole(data: bytes, **options: Any) -> Decoded:
    return stream([data], **options)


def one(data: bytes, **options: Any) -> Message:
    """The only message of input without mistakes."""
    messages, errors = decode(data, default_time=NOW, **options)
    assert not errors
    assert len(messages) == 1
    return messages[0]


def texts(decoded: Decoded) -> list[str]:
    return [message.text for message in decoded.messages]


def mistake(data: bytes) -> LineError:
    """The only error of input without messages."""
    messages, errors = decode(data, default_time=NOW)
    assert not messages
    assert len(errors) == 1
    return errors[0]


def reference_value(kind: str, value: Any) -> FieldValue:
    return float.fromhex(value) if kind == "f" else value


def reference_cases() -> list[dict[str, Any]]:
    with gzip.open(REFERENCE, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
