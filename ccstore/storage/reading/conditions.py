"""What of a selection a statement decides, and what is left to Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from json.encoder import encode_basestring as _quoted
from typing import Final, NamedTuple

from ccstore.message import StreamKey
from ccstore.query import LEVEL, STREAM_LABELS, TAG_PREFIX, Matcher, Selection, TextCondition
from ccstore.regex import required_text
from ccstore.storage.columns import LABEL_COLUMNS
from ccstore.storage.reading.dialect import Dialect, Part
from ccstore.storage.reading.evaluate import encoded_test, row_test, stream_test, tags_test
from ccstore.storage.reading.statement import Reading, Statement, Test, Values


class Streams(NamedTuple):
    """The streams of a selection.

    :ivar numbers: all of them, if they are known. If not, they are those with ``condition``.
    :ivar condition: puts the condition into a statement; None if every stream is meant.
    """

    numbers: list[int] | None
    condition: Callable[[Values], str] | None

    @property
    def are_none(self) -> bool:
        return self.numbers is not None and not self.numbers

    def are_probed(self, dialect: Dialect) -> bool:
        """An index is probed for each of them, since they are few."""
        return self.numbers is not None and len(self.numbers) <= dialect.fetching.streams

    def chosen(self, dialect: Dialect, values: Values) -> str | None:
        """The condition on streams, where many are meant; None if all are."""
        if self.condition is not None:
            return self.condition(values)
        return None if self.numbers is None else dialect.streams_are_among("id", self.numbers, values)

    def as_conditions(self, dialect: Dialect, values: Values) -> tuple[list[str], str | None]:
        """Conditions on each row that an index helps with, and one that is better put outside, or None.

        See :meth:`Dialect.rows`.
        """
        if self.numbers is not None and self.are_probed(dialect):
            return [dialect.streams_are("stream", self.numbers, values)], None
        if self.condition is not None:
            chosen = f"SELECT id FROM {dialect.streams} WHERE {self.condition(values)}"
            return [], f"stream IN ({chosen})"
        if self.numbers is not None:
            return [], dialect.streams_are_among("stream", self.numbers, values)
        return [], None


#: Values of a tag up to which a statement looks for each of them.
_FEW: Final = 20


def _is_for_sql(condition: TextCondition) -> bool:
    """Whether a statement decides it: parts of texts, and no regular expressions."""
    if condition.op not in ("contains", "lacks"):
        return False
    return not condition.ignores_case or condition.value.isascii()


def looks_at_rows(selection: Selection) -> bool:
    """Whether rows have to be looked at to know which of them are meant, and no index helps."""
    return bool(selection.texts) or any(each.label not in STREAM_LABELS for each in selection.matchers)


class Conditions:
    """A selection, divided.

    :ivar row_test: what is left to be asked of each row, see :func:`row_test`; None if that is nothing.
    :ivar has_text_test: it looks at texts.
    :ivar tests: of every statement with the conditions of :meth:`of_rows`.
    """

    def __init__(self, selection: Selection, dialect: Dialect) -> None:
        self._selection = selection
        self._dialect = dialect
        of_streams = [each for each in selection.matchers if each.label in STREAM_LABELS]
        self._plain = [each for each in of_streams if each.op in ("=", "!=")]
        regexes = [each for each in of_streams if each.op not in ("=", "!=")]
        self._stream_test = stream_test(regexes) if regexes else None
        of_tags = [each for each in selection.matchers if each.label not in STREAM_LABELS]
        in_python = [each for each in selection.texts if not _is_for_sql(each)]
        self.row_test = None
        self.has_text_test = False
        self.tests: list[Test] = []
        self._tested: list[str] = []
        if dialect.has_tests:
            self.tests = [encoded_test(each) for each in in_python]
            self._tested = ["text"] * len(self.tests)
            if of_tags:
                self.tests.append(tags_test(of_tags))
                self._tested.append("othertags")
        elif of_tags or in_python:
            self.row_test = row_test(of_tags, in_python)
            self.has_text_test = bool(in_python)
        # A tag that has to be there stands in the JSON as it is written; Python looks again where it is.
        self._in_tags = [
            [f"{_key_of(each.label)}: {_quoted(value)}" for value in each.values]
            for each in of_tags
            if each.op == "=" and "" not in each.values and len(each.values) <= _FEW
        ]
        self._in_text = [each for each in selection.texts if _is_for_sql(each)]
        # What has no such part is no match; that is found out much sooner.
        needed = [
            required_text(each.value, ignores_case=each.ignores_case)
            for each in in_python
            if each.op == "matches"
        ]
        self._in_text += [TextCondition("contains", *part) for part in needed if part[0]]

    @property
    def needs_tags(self) -> bool:
        """Whether ``row_test`` looks at them."""
        is_left = self.row_test is not None
        return is_left and any(each.label not in STREAM_LABELS for each in self._selection.matchers)

    def of_rows(self, part: Part, values: Values) -> list[str]:
        """Conditions on each row of a part."""
        found = []
        for parts in self._in_tags:
            # In JSON, a NUL is written as something else.
            any_of = [self._dialect.contains("othertags", each, values, may_have_nul=False) for each in parts]
            found.append(f"({' OR '.join(any_of)})" if any_of else "1 = 0")
        for each in self._in_text:
            contains = self._dialect.contains_any_case if each.ignores_case else self._dialect.contains
            condition = contains("text", each.value, values, may_have_nul=part.may_have_nul)
            found.append(condition if each.op == "contains" else f"NOT ({condition})")
        # Last, since they take longest.
        found += [self._dialect.test(number, column) for number, column in enumerate(self._tested)]
        return found

    def streams(self) -> Reading[Streams]:
        """Find the streams, unless all are meant."""
        dialect, test = self._dialect, self._stream_test
        if not self._selection.clusters and not self._plain and test is None:
            return Streams(None, None)
        values = Values(dialect.placeholder)
        condition = self._of_streams(values)
        if test is None:
            most = dialect.fetching.streams
            sql = f"SELECT id FROM {dialect.streams} WHERE {condition} LIMIT {most + 1}"
            found = yield Statement(sql, values.given, ("id",))
            numbers = [number for (number,) in found]
            return Streams(numbers if len(numbers) <= most else None, self._of_streams)
        columns = (*LABEL_COLUMNS.values(), "id")
        sql = f"SELECT {', '.join(columns)} FROM {dialect.streams} WHERE {condition}"
        found = yield Statement(sql, values.given, columns)
        return Streams([number for *stream, number in found if test(tuple(stream))], None)

    def _of_streams(self, values: Values) -> str:
        selection, dialect = self._selection, self._dialect
        parts = []
        if selection.clusters:
            given = [dialect.equals("cluster", values.bind(cluster)) for cluster in selection.clusters]
            parts.append(given[0] if len(given) == 1 else f"({' OR '.join(given)})")
        kinds = ", ".join([f"'{kind}'" for kind in selection.kinds])
        parts.append(f"kind IN ({kinds})" if len(selection.kinds) > 1 else f"kind = {kinds}")
        parts += [self._plain_condition(matcher, values) for matcher in self._plain]
        return " AND ".join(parts)

    def _plain_condition(self, matcher: Matcher, values: Values) -> str:
        column = LABEL_COLUMNS[matcher.label]
        is_equal = matcher.op == "="
        parts = []
        wanted = [value for value in dict.fromkeys(matcher.values) if value]
        if len(wanted) == 1:
            value = values.bind(wanted[0])
            parts.append(self._dialect.equals(column, value) if is_equal else f"{column} <> {value}")
        elif wanted:
            among = self._dialect.is_among(column, wanted, values)
            parts.append(among if is_equal else f"NOT ({among})")
        if len(wanted) < len(set(matcher.values)):
            # What a message lacks is the empty string.
            parts.append(f"({column} IS NULL OR {column} = '')" if is_equal else f"{column} <> ''")
            return f"({' OR '.join(parts)})" if is_equal else f"({' AND '.join(parts)})"
        if not parts:
            return "1 = 0" if is_equal else "1 = 1"
        return parts[0] if is_equal else f"({column} IS NULL OR {parts[0]})"


def _key_of(label: str) -> str:
    """What stands before the value of a label in JSON; of the level, which several tags may tell, nothing."""
    return "" if label == LEVEL else _quoted(label.removeprefix(TAG_PREFIX))


def streams_of(
    numbers: list[int], dialect: Dialect, names: Iterable[str] = LABEL_COLUMNS.values()
) -> Reading[dict[int, StreamKey]]:
    """The streams with these numbers.

    :param names: of the columns that are asked for.
    """
    found: dict[int, StreamKey] = {}
    for start in range(0, len(numbers), 1000):
        values = Values(dialect.placeholder)
        columns = (*names, "id")
        condition = dialect.streams_are_among("id", numbers[start : start + 1000], values)
        sql = f"SELECT {', '.join(columns)} FROM {dialect.streams} WHERE {condition}"
        rows = yield Statement(sql, values.given, columns)
        found.update({number: tuple(stream) for *stream, number in rows})
    return found
