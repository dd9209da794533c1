"""A selection evaluated in Python: on what no statement decides, and on messages that are in no table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from attrs import evolve

from ccstore.message import Series, StreamKey
from ccstore.query import STREAM_LABELS, Matcher, Selection, TextCondition, label_reader, tags_in
from ccstore.regex import compile_regex

_PLACES = {label: place for place, label in enumerate(STREAM_LABELS)}


def value_test(matcher: Matcher) -> Callable[[str], bool]:
    """Whether a value of a label meets a condition; raises :class:`ValueError` for a wrong expression."""
    is_wanted = matcher.op in ("=", "=~")
    if matcher.op in ("=", "!="):
        wanted = frozenset(matcher.values)
        return lambda value: (value in wanted) is is_wanted
    matches = [compile_regex(pattern).fullmatch for pattern in matcher.values]

    @lru_cache(4096)
    def test(value: str) -> bool:
        encoded = value.encode()
        return any(match(encoded) is not None for match in matches) is is_wanted

    return test


def text_test(condition: TextCondition) -> Callable[[str], bool]:
    """The same for a text."""
    is_wanted = condition.op in ("contains", "matches")
    if condition.op in ("matches", "fails"):
        search = compile_regex(condition.value, ignores_case=condition.ignores_case).search
        return lambda text: (search(text.encode()) is not None) is is_wanted
    if condition.ignores_case:
        if condition.value.isascii():
            # Lower case of bytes is that of ASCII, as in the databases.
            lower = condition.value.lower().encode()
            return lambda text: (lower in text.encode().lower()) is is_wanted
        folded = condition.value.casefold()
        return lambda text: (folded in text.casefold()) is is_wanted
    part = condition.value
    return lambda text: (part in text) is is_wanted


def encoded_test(condition: TextCondition) -> Callable[[bytes], bool]:
    """The same for a text that is encoded."""
    if condition.op in ("matches", "fails"):
        is_wanted = condition.op == "matches"
        search = compile_regex(condition.value, ignores_case=condition.ignores_case).search
        return lambda text: (search(text) is not None) is is_wanted
    test = text_test(condition)
    return lambda text: test(text.decode())


def tags_test(matchers: Sequence[Matcher]) -> Callable[[str | None], bool]:
    """Whether the other tags of a row, as JSON, meet all of these; many rows have the same ones."""
    tests = [(label_reader(matcher.label), value_test(matcher)) for matcher in matchers]

    @lru_cache(4096)
    def test(othertags: str | None) -> bool:
        tags = tags_in(othertags)
        return all(test(read(tags)) for read, test in tests)

    return test


def stream_test(matchers: Sequence[Matcher]) -> Callable[[StreamKey], bool]:
    """Whether a stream meets all of these, which must be about its columns."""
    tests = [(_PLACES[matcher.label], value_test(matcher)) for matcher in matchers]
    return lambda stream: all(test(stream[place] or "") for place, test in tests)


def row_test(
    matchers: Sequence[Matcher], texts: Sequence[TextCondition]
) -> Callable[[str | None, str], bool]:
    """Whether the other tags of a row, as JSON, and its text meet all of these."""
    of_tags = tags_test(matchers) if matchers else None
    of_text = [*map(text_test, texts)]

    def test(othertags: str | None, text: str) -> bool:
        if of_tags is not None and not of_tags(othertags):
            return False
        return all(test(text) for test in of_text)

    return test


def texts_test(texts: Sequence[TextCondition]) -> Callable[[str], bool]:
    """Whether a text meets all of these."""
    tests = [*map(text_test, texts)]
    return lambda text: all(test(text) for test in tests)


def series_test(selection: Selection) -> Callable[[Series], bool]:
    """Whether the messages of a series are in a selection, as far as their times and texts are."""
    test = evaluate(evolve(selection, begin=0, end=1, texts=()))
    return lambda series: test(series.stream, series.othertags, 0, "")


def evaluate(selection: Selection) -> Callable[[StreamKey, str | None, int, str], bool]:
    """Whether a message (stream, other tags, time, text) is in a selection without limit and position."""
    of_stream = stream_test([each for each in selection.matchers if each.label in _PLACES])
    of_row = row_test([each for each in selection.matchers if each.label not in _PLACES], selection.texts)

    def test(stream: StreamKey, othertags: str | None, time: int, text: str) -> bool:
        cluster, kind = stream[0], stream[1]
        return (
            selection.begin <= time < selection.end
            and kind in selection.kinds
            and (not selection.clusters or cluster in selection.clusters)
            and of_stream(stream)
            and of_row(othertags, text)
        )

    return test
