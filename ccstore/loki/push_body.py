"""What clients push: streams of lines, as JSON or as protocol buffers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from ccstore.loki.metric_parser import parse_selector
from ccstore.loki.snappy import read_varint
from ccstore.loki.syntax import LogQLError
from ccstore.timing import SECOND

_MOST_LABELS: Final = 200


class PushedLine(NamedTuple):
    """A line of a body.

    :ivar labels: of its stream, and those of its own.
    :ivar time: nanoseconds; None if it cannot be read.
    """

    labels: Mapping[str, str]
    text: str
    time: int | None


def is_json(body: bytes) -> bool:
    """Whether a body is JSON; clients call both kinds all sorts of things."""
    stripped = body.lstrip()
    return stripped[:1] == b"{" and stripped[1:].lstrip()[:1] in (b'"', b"}")


def json_lines(body: bytes) -> Iterator[PushedLine]:
    """The lines of ``{"streams": [{"stream": {…}, "values": [["ns", "line", {…}]]}]}``.

    Raises :class:`ValueError` for what is not of that form.
    """
    try:
        read = json.loads(body)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    streams = read.get("streams")
    if not isinstance(streams, list):
        raise ValueError("expected a list as 'streams'")
    for stream in streams:
        labels = _labels(stream.get("stream") if isinstance(stream, dict) else None)
        values = stream.get("values")
        if not isinstance(values, list):
            raise ValueError("expected a list as 'values' of each stream")
        for value in values:
            if not isinstance(value, list) or len(value) not in (2, 3) or not isinstance(value[1], str):
                raise ValueError('expected ["nanoseconds", "line"] as each of the values')
            own = _labels(value[2]) if len(value) == 3 else {}
            yield PushedLine({**labels, **own}, _unicode(value[1]), _time(value[0]))


def _labels(given: object) -> Mapping[str, str]:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ValueError("expected labels as an object of texts")
    if len(given) > _MOST_LABELS:
        raise ValueError(f"expected at most {_MOST_LABELS} labels")
    return {_unicode(name): _unicode(value) for name, value in given.items()}


def _unicode(text: str) -> str:
    """A text without halves of characters, which JSON can have."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _time(given: object) -> int | None:
    if not isinstance(given, (str, int)) or isinstance(given, bool):
        return None
    try:
        return int(given)
    except ValueError:
        return None


# -- protocol buffers


def protobuf_lines(body: bytes) -> Iterator[PushedLine]:
    """The lines of a ``PushRequest``; raises :class:`ValueError` for what is none."""
    try:
        for number, stream in _fields(body):
            if number == 1:
                yield from _stream_lines(_bytes(stream))
    except IndexError:
        raise ValueError("the protocol buffer ends too early, or is none") from None


def _stream_lines(stream: bytes) -> Iterator[PushedLine]:
    labels: Mapping[str, str] = {}
    for number, value in _fields(stream):
        if number == 1:
            labels = _selector_labels(_text(value))
    for number, value in _fields(stream):
        if number == 2:
            yield _entry(labels, _bytes(value))


def _selector_labels(text: str) -> Mapping[str, str]:
    """Labels that are written as a selector: ``{a="b"}``."""
    try:
        query = parse_selector(text)
    except LogQLError as error:
        raise ValueError(f"the labels {text[:60]!r} cannot be read: {error}") from None
    if query.stages or any(matcher.op != "=" for matcher in query.matchers):
        raise ValueError(f"expected labels with values, got {text[:60]!r}")
    return {matcher.label: matcher.value for matcher in query.matchers}


def _entry(labels: Mapping[str, str], entry: bytes) -> PushedLine:
    time, line = 0, ""
    own: dict[str, str] = {}
    for number, value in _fields(entry):
        if number == 1:
            parts = dict(_fields(_bytes(value)))
            time = _signed(parts.get(1, 0)) * SECOND + _signed(parts.get(2, 0))
        elif number == 2:
            line = _text(value)
        elif number == 3:
            pair = dict(_fields(_bytes(value)))
            own[_text(pair.get(1, b""))] = _text(pair.get(2, b""))
    return PushedLine({**labels, **own} if own else labels, line, time)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: their numbers, and what they have."""
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, position = read_varint(data, position)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                length, position = read_varint(data, position)
            if length is None or position + length > len(data):
                raise IndexError(position)
            value = data[position : position + length]
            position += length
        yield key >> 3, value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise IndexError(value)
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode(errors="replace")


def _signed(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise IndexError(0)
    return value - 2**64 if value >= 2**63 else value
