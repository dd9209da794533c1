"""Messages as text for people and for programs, from lines of JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import tzinfo
from typing import Final, Protocol

from ccstore.client.message_parts import Cell, Found, cell, level_of, show_time
from ccstore.client.terminal import Painter, clean
from ccstore.lineprotocol import encode
from ccstore.message import CLUSTER_TAG, COLUMN_TAGS, Kind, Message, Series

FORMATS: Final = ("text", "short-iso", "json", "ndjson", "csv", "lp")
#: Columns that CSV has if nobody says which.
CSV_FIELDS: Final = (
    *("time", "time_ns", "cluster", "kind", "name", "hostname", "type", "type-id", "stype", "stype-id"),
    *("tags", "text", "id"),
)
#: Characters of a column, above which it grows no wider, so that one long name does not push all aside.
_WIDEST: Final = 32
#: Before the second and further lines of one text.
_INDENT: Final = "\n    "


class Rendering(Protocol):
    """Makes text of messages."""

    def begin(self) -> str:
        """What stands before the first one."""

    def messages(self, lines: Sequence[bytes]) -> str:
        """Some messages, each a JSON object."""

    def end(self, *, is_complete: bool) -> str:
        """What stands behind the last one."""


class _Plain:
    """Has nothing before and behind."""

    def begin(self) -> str:
        """See :class:`Rendering`."""
        return ""

    def end(self, *, is_complete: bool) -> str:
        """See :class:`Rendering`."""
        return ""


class Table(_Plain):
    """A line for each message; columns become as wide as what is in them, the last one has no width.

    :param has_head: the names of the columns stand above.
    :param is_for_people: a text of several lines is shown as such, and not as one line.
    """

    def __init__(
        self,
        fields: Sequence[str],
        zone: tzinfo | None,
        painter: Painter,
        *,
        has_head: bool,
        is_for_people: bool = False,
    ) -> None:
        self._cells: Sequence[Cell] = [cell(field, zone) for field in fields]
        self._text = fields.index("text") if "text" in fields else None
        self._head = [field.upper() for field in fields] if has_head else []
        self._painter = painter
        self._widths = [len(word) for word in self._head] or [0] * len(fields)
        self._is_for_people = is_for_people

    def messages(self, lines: Sequence[bytes]) -> str:
        """See :class:`Rendering`."""
        found = [json.loads(line) for line in lines]
        rows = [self._row(each) for each in found]
        for place in range(len(self._widths) - 1):
            widest = max((len(row[place]) for row in rows), default=0)
            self._widths[place] = max(self._widths[place], min(widest, _WIDEST))
        text = []
        if self._head:
            text.append(f"{self._painter.head(self._line(self._head))}\n")
            self._head = []
        for each, row in zip(found, rows, strict=True):
            level = level_of(each)
            text.append(f"{self._painter.of_level(self._line(row, level), level)}\n")
        return "".join(text)

    def _row(self, found: Found) -> list[str]:
        cells = [cell(found) for cell in self._cells]
        row = [clean(text) for text in cells]
        if self._is_for_people and "\n" in cells[-1]:
            row[-1] = _INDENT.join(clean(line.expandtabs()) for line in cells[-1].rstrip().split("\n"))
        return row

    def _line(self, row: Sequence[str], level: str | None = None) -> str:
        """A row as a line; in one of a message, which has a level, what was looked for is marked."""
        words = [word.ljust(width) for word, width in zip(row[:-1], self._widths[:-1], strict=True)]
        words.append(row[-1])
        if level is not None and self._text is not None:
            words[self._text] = self._painter.marked(words[self._text], level)
        return "  ".join(words).rstrip()


class Short(_Plain):
    """As ``journalctl -o short-iso``: time, host, name, and the text."""

    def __init__(self, zone: tzinfo | None, painter: Painter) -> None:
        self._zone = zone
        self._painter = painter

    def messages(self, lines: Sequence[bytes]) -> str:
        """See :class:`Rendering`."""
        return "".join(self._line(json.loads(line)) for line in lines)

    def _line(self, found: Found) -> str:
        time = show_time(int(found["time_ns"]), self._zone, "T")
        host = found.get("hostname") or found["cluster"]
        level = level_of(found)
        text = self._painter.marked(clean(found["text"]), level)
        head = clean(f"{time} {host} {found['name']}: ")
        return f"{self._painter.of_level(head + text, level)}\n"


class JsonLines(_Plain):
    """The objects as the daemon gives them, a line for each, or some of their members."""

    def __init__(self, fields: Sequence[str] | None, zone: tzinfo | None) -> None:
        self._cells = None if fields is None else [(field, cell(field, zone)) for field in fields]

    def messages(self, lines: Sequence[bytes]) -> str:
        """See :class:`Rendering`."""
        if self._cells is None:
            return "".join(f"{line.decode()}\n" for line in lines)
        found = [json.loads(line) for line in lines]
        return "".join(
            f"{json.dumps({field: cell(each) for field, cell in self._cells}, ensure_ascii=False)}\n"
            for each in found
        )


class Json:
    """One object for all of them.

    :param cluster: the one that is asked for, if it is one.
    """

    def __init__(self, cluster: str | None) -> None:
        self._cluster = cluster
        self._is_first = True

    def begin(self) -> str:
        """See :class:`Rendering`."""
        return f'{{\n "cluster": {_json(self._cluster)},\n "rows": ['

    def messages(self, lines: Sequence[bytes]) -> str:
        """See :class:`Rendering`."""
        text = []
        for line in lines:
            found = json.loads(line)
            known = {"timestamp": int(found["time_ns"]) // 10**9, found["kind"]: found["text"], **found}
            for name, other in (("host", "hostname"), ("subtype-id", "stype-id")):
                if other in found:
                    known[name] = found[other]
            text.append(f"{'' if self._is_first else ','}\n  {_json(known)}")
            self._is_first = False
        return "".join(text)

    def end(self, *, is_complete: bool) -> str:
        """See :class:`Rendering`."""
        return f'{"" if self._is_first else chr(10) + " "}],\n "is_complete": {_json(is_complete)}\n}}\n'


class Csv(_Plain):
    """As RFC 4180 has it, but with the newlines of this system, as other tools want them."""

    def __init__(self, fields: Sequence[str], zone: tzinfo | None, *, has_head: bool) -> None:
        self._fields = fields
        self._cells = [cell(field, zone) for field in fields]
        self._has_head = has_head

    def begin(self) -> str:
        """See :class:`Rendering`."""
        return _csv([self._fields]) if self._has_head else ""

    def messages(self, lines: Sequence[bytes]) -> str:
        """See :class:`Rendering`."""
        found = (json.loads(line) for line in lines)
        return _csv([[cell(each) for cell in self._cells] for each in found])


class LineProtocol(_Plain):
    """Lines that make the same messages again."""

    def messages(self, lines: Sequence[bytes]) -> str:
        """See :class:`Rendering`."""
        return "".join(self._line(json.loads(line)) for line in lines)

    def _line(self, found: Found) -> str:
        tags = {CLUSTER_TAG: found["cluster"]}
        tags |= {tag: found[tag] for tag in COLUMN_TAGS if tag in found}
        tags |= found.get("tags", {})
        kind: Kind = "log" if found["kind"] == "log" else "event"
        message = Message(Series(found["name"], tags, kind), found["text"], int(found["time_ns"]))
        try:
            return encode([message]).decode()
        except ValueError as error:
            # Whoever sends it in again loses nothing without a word: a comment is read over.
            return f"# left out {found['id']}: {clean(str(error))}\n"


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
