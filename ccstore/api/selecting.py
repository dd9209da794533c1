"""Which messages a question is about, from its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from attrs import evolve

from ccstore.api.parameters import LABELS, ORDERS, Parameters, label_of
from ccstore.api.wording import one_of
from ccstore.message import CLUSTER_TAG, INT64_MAX, INT64_MIN, STORED_KINDS, Kind
from ccstore.patterns import label_matcher
from ccstore.query import TAG_PREFIX, Matcher, Position, Selection, TextCondition
from ccstore.regex import compile_regex

#: Labels that a question names; what is counted by more has no groups to speak of.
_MOST_LABELS: Final = 20
#: Regular expressions of one parameter, each of which may take some megabytes and a part of a millisecond.
_MOST_EXPRESSIONS: Final = 100


class Selecting:
    """Makes selections; what is wrong with the parameters is noted there."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def selection(self, kinds: Sequence[Kind] = STORED_KINDS, *, begin: int = INT64_MIN) -> Selection:
        """The messages that are meant, without order, limit and cursor.

        :param kinds: those that the call is about.
        :param begin: the default of ``from``, in nanoseconds.
        """
        first, end = self.span(begin)
        matchers = []
        for name in self._parameters.names:
            bare = name.removesuffix("!")
            if bare in LABELS or bare.startswith(TAG_PREFIX):
                matchers += self._matchers(label_of(bare), name, is_wanted=name == bare)
        clusters: tuple[str, ...] = ()
        for matcher in matchers:
            if matcher.label == CLUSTER_TAG and matcher.op == "=" and not clusters:
                clusters = matcher.values
        if clusters:
            matchers.remove(Matcher(CLUSTER_TAG, "=", clusters))
        # Kinds stand apart from the other labels.
        others = tuple(matcher for matcher in matchers if matcher.label != "kind")
        return Selection(clusters, self._kinds(kinds), first, end, others, self._texts())

    def span(self, begin: int, since: str = "from") -> tuple[int, int]:
        """First moment, and the one behind the last, in nanoseconds.

        :param begin: what the first one is if it is not given.
        :param since: the parameter that it is.
        """
        given = self._parameters
        first = given.moment(since, begin)
        end = given.moment("to", INT64_MAX + 1)
        if given.is_given(since) and given.is_given("to") and first > end:
            given.wrong(since, "a time before that of to", given.all(since)[0])
        return first, end

    def ordered(self, selection: Selection, *, limit: int | None) -> Selection:
        """The same with order, limit and cursor, as they are given.

        :param limit: if none is given.
        """
        is_newest_first = self._parameters.choice("order", ORDERS, "newest") == "newest"
        given = self._parameters.number("limit", -1, least=1) if self._parameters.is_given("limit") else limit
        after = self._parameters.one("cursor", Position.decode, None)
        return evolve(selection, is_newest_first=is_newest_first, limit=given, after=after)

    def labels(self, name: str) -> list[str]:
        """Names of labels, each once, as :class:`Matcher` has them."""
        found: dict[str, None] = {}
        words = self._parameters.words(name)
        if len(words) > _MOST_LABELS:
            self._parameters.problems.append(
                f"{name}: expected at most {_MOST_LABELS} labels, got {len(words)}"
            )
            return []
        for word in words:
            if word not in LABELS and not word.startswith(TAG_PREFIX):
                expected = one_of([*LABELS, f"{TAG_PREFIX}…"])
                self._parameters.problems.append(f"{name}: expected {expected}, got {word[:60]!r}")
            else:
                found[label_of(word)] = None
        return [*found]

    def _kinds(self, kinds: Sequence[Kind]) -> tuple[Kind, ...]:
        wanted = set(kinds)
        for name, is_wanted in (("kind", True), ("kind!", False)):
            values = self._parameters.all(name)
            for value in values:
                if value not in STORED_KINDS:
                    self._parameters.wrong(name, one_of(STORED_KINDS), value)
            if values:
                wanted = wanted & {*values} if is_wanted else wanted - {*values}
        return tuple(kind for kind in STORED_KINDS if kind in wanted)

    def _matchers(self, label: str, name: str, *, is_wanted: bool) -> list[Matcher]:
        """Conditions on a label from the values of a parameter, which may be patterns or host lists."""
        try:
            matcher = label_matcher(label, self._parameters.all(name), is_wanted=is_wanted)
        except ValueError as error:
            self._parameters.problems.append(f"{name}: {error}")
            return []
        return [] if matcher is None else [matcher]

    def _texts(self) -> tuple[TextCondition, ...]:
        found: list[TextCondition] = []
        ops: Sequence[tuple[str, Literal["contains", "lacks", "matches", "fails"]]] = (
            ("text", "contains"),
            ("text!", "lacks"),
            ("regex", "matches"),
            ("regex!", "fails"),
        )
        for name, op in ops:
            values = self._parameters.all(name)
            if name.startswith("regex") and len(values) > _MOST_EXPRESSIONS:
                self._parameters.problems.append(
                    f"{name}: expected at most {_MOST_EXPRESSIONS} expressions, got {len(values)}"
                )
                continue
            for value in values:
                if not value:
                    continue  # every text has it
                if name.startswith("regex"):
                    try:
                        compile_regex(value)
                    except ValueError as error:
                        self._parameters.problems.append(f"{name}: {error}")
                        continue
                found.append(TextCondition(op, value, ignores_case=name.startswith("text")))
        return tuple(found)
