"""Messages as text: JSON, lines of JSON, CSV, and line protocol that makes the same messages again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Final, Literal

from attrs import frozen

from ccstore.instants import show_second
from ccstore.lineprotocol import encode
from ccstore.message import CLUSTER_TAG, COLUMN_TAGS, Message, Series, StreamKey
from ccstore.pieces import text_pieces
from ccstore.query import STREAM_LABELS, Page, Row
from ccstore.timing import SECOND

Format = Literal["json", "ndjson", "csv", "lp"]
FORMATS: Final[Mapping[Format, bytes]] = {
    "json": b"application/json",
    "ndjson": b"application/x-ndjson; charset=utf-8",
    "csv": b"text/csv; charset=utf-8; header=present",
    "lp": b"text/plain; charset=utf-8",
}
#: What a client may say that it accepts, and the format it means by it.
ACCEPTED: Final[Mapping[str, Format]] = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "text/csv": "csv",
    "text/plain": "lp",
}
CSV_COLUMNS: Final = ("time", "time_ns", *STREAM_LABELS, "tags", "text", "id")
#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@frozen
class Writer:
    """Gives rows as text.

    :ivar begin: what stands before the first one.
    :ivar lines: the text of each row of a page.
    """

    begin: str
    lines: Callable[[Page], Iterator[str]]


def writer(format: Format, *, is_for_spreadsheets: bool = False) -> Writer:
    """The writer of a format; that of ``json`` gives objects, with no commas between them.

    :param is_for_spreadsheets: no text of CSV is taken for a formula.
    """
    if format == "csv":
        head = _csv_line(CSV_COLUMNS)
        return Writer(head, lambda page: _csv_lines(page, is_for_spreadsheets))
    if format == "lp":
        return Writer("", _line_protocol)
    return Writer("", _objects if format == "json" else _object_lines)


def page_pieces(format: Format, is_for_spreadsheets: bool, page: Page) -> Iterator[bytes]:
    """The text of a page, in pieces of some tens of kilobytes that take a millisecond each."""
    return text_pieces(writer(format, is_for_spreadsheets=is_for_spreadsheets).lines(page))


def _object_lines(page: Page) -> Iterator[str]:
    return (f"{text}\n" for text in _objects(page))


def _objects(page: Page) -> Iterator[str]:
    """Each row as a JSON object."""
    heads = {number: _json_head(stream) for number, stream in page.streams.items()}
    minute, shown = None, ""
    for row in page.rows:
        whole, rest = divmod(row.time, 60 * SECOND)
        if whole != minute:
            minute, shown = whole, show_second(60 * whole)[:-2]
        second, rest = divmod(rest, SECOND)
        tags = f',"tags":{_compact(row.othertags)}' if row.othertags else ""
        yield (
            f'{{"id":"{row.position.encode()}","time":"{shown}{second:02}.{rest:09}Z","time_ns":"{row.time}",'
            f'{heads[row.stream]}{tags},"text":{_quoted(row.text)}}}'
        )


@lru_cache(1 << 15)
def _json_head(stream: StreamKey) -> str:
    """The members of an object that its stream has."""
    return ",".join(
        f"{_quoted(label)}:{_quoted(value)}"
        for label, value in zip(STREAM_LABELS, stream, strict=True)
        if value is not None
    )


@lru_cache(8192)
def _compact(othertags: str) -> str:
    return json.dumps(json.loads(othertags), ensure_ascii=False, separators=(",", ":"))


def _csv_lines(page: Page, is_for_spreadsheets: bool) -> Iterator[str]:
    harmless = _harmless if is_for_spreadsheets else lambda text: text
    for row in page.rows:
        second, rest = divmod(row.time, SECOND)
        stream = [harmless(value or "") for value in page.streams[row.stream]]
        time = f"{show_second(second)}.{rest:09}Z"
        tags = row.othertags or ""
        yield _csv_line((time, str(row.time), *stream, tags, harmless(row.text), row.position.encode()))


def _csv_line(fields: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(fields)
    return line.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line_protocol(page: Page) -> Iterator[str]:
    for row in page.rows:
        series = _series(page.streams[row.stream], row.othertags)
        try:
            yield encode([Message(series, row.text, row.time)]).decode()
        except ValueError as error:
            # Whoever sends it in again loses nothing without a word: a comment is read over.
            yield f"# left out {row.position.encode()}: {_in_one_line(str(error))}\n"


@lru_cache(8192)
def _series(stream: StreamKey, othertags: str | None) -> Series:
    cluster, kind, name, *columns = stream
    tags = {CLUSTER_TAG: str(cluster)}
    tags |= {tag: value for tag, value in zip(COLUMN_TAGS, columns, strict=True) if value is not None}
    tags |= json.loads(othertags) if othertags else {}
    return Series(str(name), tags, "log" if kind == "log" else "event")


def _in_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def as_object(row: Row, page: Page) -> str:
    """One row as a JSON object."""
    return next(_objects(Page([row], streams=page.streams)))
