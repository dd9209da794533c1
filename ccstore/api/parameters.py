"""What a question of the reading side is asked by: parameters of a URL, a form or JSON, and a selection."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar, cast
from urllib.parse import parse_qsl

from attrs import evolve
from twisted.web.iweb import IRequest

from ccstore import hostlist
from ccstore.message import CLUSTER_TAG, COLUMN_TAGS, INT64_MAX, INT64_MIN, STORED_KINDS, Kind
from ccstore.moments import parse_moment
from ccstore.query import TAG_PREFIX, Matcher, Position, Selection, TextCondition
from ccstore.regex import compile_regex, quote
from ccstore.web import WebError, from_json

_T = TypeVar("_T")

#: Parameters that are labels, and the labels they are.
LABELS: Final[Mapping[str, str]] = {
    "cluster": "cluster",
    "kind": "kind",
    "name": "name",
    "host": "hostname",
    "hostname": "hostname",
    **{tag: tag for tag in COLUMN_TAGS if tag != "hostname"},
}
#: Those that say which messages are meant, besides labels and tags.
_SELECTING: Final = ("text", "text!", "regex", "regex!", "from", "to")
ORDERS: Final = ("newest", "oldest")
#: Values that one parameter may have, and all of them together.
_MOST_VALUES: Final = 1000
_SHOWN: Final = 60


def given_in(request: IRequest, body: bytes) -> dict[str, list[str]]:
    """The parameters of a request: those of its URL and those of its body, a form or a JSON object.

    Raises :class:`WebError` 400 for a body that is neither, or for what is not Unicode.
    """
    given: dict[str, list[str]] = {}
    arguments: Mapping[bytes, Sequence[bytes]] = cast(Any, request).args or {}
    for key, values in arguments.items():
        given.setdefault(_text(key), []).extend(map(_text, values))
    stripped = body.strip()
    if stripped.startswith(b"{"):
        for name, found in _json_object(stripped).items():
            given.setdefault(name, []).extend(found)
    elif stripped:
        try:
            pairs = parse_qsl(stripped.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
        except (UnicodeDecodeError, ValueError):
            raise WebError(
                400, "the body: expected parameters as a form or as a JSON object, got neither"
            ) from None
        for name, value in pairs:
            given.setdefault(name, []).append(value)
    return given


def _text(given: bytes) -> str:
    try:
        return given.decode()
    except UnicodeDecodeError:
        raise WebError(400, f"a parameter: expected UTF-8, got {given[:40]!r}") from None


def _json_object(body: bytes) -> Mapping[str, list[str]]:
    try:
        read = from_json(body)
    except ValueError as error:
        raise WebError(400, f"the body: expected a JSON object, got what is no JSON: {error}") from None
    assert isinstance(read, dict)  # it begins with a brace
    given = {}
    for name, value in read.items():
        members = value if isinstance(value, list) else [value]
        found = []
        for member in members:
            if isinstance(member, bool):
                found.append("true" if member else "false")
            elif isinstance(member, (str, int, float)):
                found.append(str(member))
            elif member is not None:
                raise WebError(
                    400, f"{_shown(name)}: expected a text, a number or a list of them, got {_json(member)}"
                )
        given[name] = found
    return given


class Parameters:
    """Takes parameters out of what is given, and notes what is wrong with them.

    :param more: names of a call besides those that choose messages.
    :param now: nanoseconds.
    """

    def __init__(self, given: Mapping[str, Sequence[str]], now: int, more: Collection[str] = ()) -> None:
        self._now = now
        self.problems: list[str] = []
        self._known = [*LABELS, *_SELECTING, *more]
        self._given: dict[str, list[str]] = {}
        for name, values in given.items():
            if len(values) > _MOST_VALUES:
                self._wrong(name, f"at most {_MOST_VALUES} values", f"{len(values)} of them")
            elif any("\0" in value or not _is_unicode(value) for value in values):
                self._wrong(name, "Unicode without NUL", values[0])
            elif not self._is_known(name):
                self.problems.append(f"{_shown(name)}: there is no such parameter{self._hint(name)}")
            else:
                self._given[name] = [*values]

    def _is_known(self, name: str) -> bool:
        if name.startswith(TAG_PREFIX):
            return len(name.removesuffix("!")) > len(TAG_PREFIX)
        return name in self._known or (name.endswith("!") and name[:-1] in LABELS)

    def _hint(self, name: str) -> str:
        bare = name.removesuffix("!")
        near = difflib.get_close_matches(bare, self._known, 1, 0.7)
        if near:
            return f", did you mean {near[0]}?"
        tag = f"{TAG_PREFIX}{bare[:_SHOWN]}"
        return f": expected one of {', '.join(self._known)}, or {tag} for a tag of that name"

    def _wrong(self, name: str, expected: str, got: str) -> None:
        self.problems.append(f"{_shown(name)}: expected {expected}, got {_shown(got)}")

    def check(self) -> None:
        """Raises :class:`WebError` 400 with all that was wrong."""
        if self.problems:
            raise WebError(400, "; ".join(dict.fromkeys(self.problems)))

    # -- single ones

    def one(self, name: str, read: Callable[[str], _T], default: _T) -> _T:
        """The value of a parameter that may be given once; what ``read`` says of a wrong one is noted."""
        values = self._given.get(name, [])
        if len(set(values)) > 1:
            self.problems.append(f"{name}: expected one value, got {len(values)}")
            return default
        return self.read(name, read, values[0], default) if values else default

    def read(self, name: str, read: Callable[[str], _T], value: str, default: _T) -> _T:
        """What ``read`` makes of a value; what it says of a wrong one is noted."""
        try:
            return read(value)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return default

    def choice(self, name: str, words: Sequence[str], default: str) -> str:
        """One of some words."""

        def read(value: str) -> str:
            if value not in words:
                raise ValueError(f"expected {_one_of(words)}, got {_shown(value)}")
            return value

        return self.one(name, read, default)

    def number(self, name: str, default: int, *, least: int = 0, most: int = INT64_MAX) -> int:
        """A whole number."""

        def read(value: str) -> int:
            if not re.fullmatch(r"[0-9]{1,18}", value) or not least <= int(value) <= most:
                bounds = f"from {least} to {most}" if most < INT64_MAX else f"of at least {least}"
                raise ValueError(f"expected a whole number {bounds}, got {_shown(value)}")
            return int(value)

        return self.one(name, read, default)

    def flag(self, name: str) -> bool:
        """``true`` or ``false``, which is what it is if it is not given."""
        return self.choice(name, ("true", "false"), "false") == "true"

    def is_given(self, name: str) -> bool:
        return bool(self._given.get(name))

    def words(self, name: str) -> list[str]:
        """All values of a parameter; one value may be several, with commas between them."""
        return [word for value in self._given.get(name, []) for word in value.split(",") if word]

    def labels(self, name: str) -> list[str]:
        """Names of labels, as :class:`Matcher` has them."""
        found = []
        for word in self.words(name):
            if word not in LABELS and not word.startswith(TAG_PREFIX):
                expected = _one_of([*LABELS, f"{TAG_PREFIX}…"])
                self.problems.append(f"{name}: expected {expected}, got {_shown(word)}")
            else:
                found.append(label_of(word))
        return found

    def moment(self, name: str, default: int) -> int:
        """A time in nanoseconds."""
        return self.one(name, lambda value: parse_moment(value, self._now), default)

    # -- the selection

    def selection(self, kinds: Sequence[Kind] = STORED_KINDS, *, begin: int = INT64_MIN) -> Selection:
        """The messages that are meant, without order, limit and cursor.

        :param kinds: those that the call is about.
        :param begin: the default of ``from``, in nanoseconds.
        """
        first = self.moment("from", begin)
        end = self.moment("to", INT64_MAX + 1)
        if self.is_given("from") and self.is_given("to") and first > end:
            self.problems.append(f"from: expected a time before that of to, got {self._given['from'][0]!r}")
        matchers = []
        for name in self._given:
            bare = name.removesuffix("!")
            if bare in LABELS or bare.startswith(TAG_PREFIX):
                matchers += self._matchers(label_of(bare), name, is_wanted=name == bare)
        clusters: tuple[str, ...] = ()
        for matcher in matchers:
            if matcher.label == CLUSTER_TAG and matcher.op == "=" and not clusters:
                clusters = matcher.values
        if clusters:
            matchers.remove(Matcher(CLUSTER_TAG, "=", clusters))
        return Selection(
            clusters, self._kinds(kinds), first, end, tuple(self._of_labels(matchers)), self._texts()
        )

    def ordered(self, selection: Selection, *, limit: int | None) -> Selection:
        """The same with order, limit and cursor, as they are given.

        :param limit: if none is given.
        """
        is_newest_first = self.choice("order", ORDERS, "newest") == "newest"
        given = self.number("limit", -1, least=1) if self.is_given("limit") else limit
        after = self.one("cursor", Position.decode, None)
        return evolve(selection, is_newest_first=is_newest_first, limit=given, after=after)

    def _kinds(self, kinds: Sequence[Kind]) -> tuple[Kind, ...]:
        wanted = set(kinds)
        for name, is_wanted in (("kind", True), ("kind!", False)):
            values = self._given.get(name, [])
            for value in values:
                if value not in STORED_KINDS:
                    self._wrong(name, _one_of(STORED_KINDS), value)
            if values:
                wanted = wanted & {*values} if is_wanted else wanted - {*values}
        return tuple(kind for kind in STORED_KINDS if kind in wanted)

    @staticmethod
    def _of_labels(matchers: Sequence[Matcher]) -> Sequence[Matcher]:
        return [matcher for matcher in matchers if matcher.label != "kind"]

    def _matchers(self, label: str, name: str, *, is_wanted: bool) -> list[Matcher]:
        """Conditions on a label from the values of a parameter, which may be patterns or host lists."""
        values = self._given[name]
        if label == "hostname":
            values = self._hosts(name, values)
        if any("*" in value for value in values):
            patterns = tuple(map(_pattern, values))
            return [Matcher(label, "=~" if is_wanted else "!~", patterns)]
        return [Matcher(label, "=" if is_wanted else "!=", tuple(values))] if values else []

    def _hosts(self, name: str, values: Sequence[str]) -> list[str]:
        hosts: dict[str, None] = {}
        for value in values:
            try:
                hosts |= dict.fromkeys(hostlist.expand(value) if value else [""])
            except ValueError as error:
                self.problems.append(f"{name}: {error}")
        if len(hosts) > hostlist.MOST:
            self.problems.append(f"{name}: expected at most {hostlist.MOST} hosts, got {len(hosts)}")
        return [*hosts]

    def _texts(self) -> tuple[TextCondition, ...]:
        found: list[TextCondition] = []
        ops: Sequence[tuple[str, Literal["contains", "lacks", "matches", "fails"]]] = (
            ("text", "contains"),
            ("text!", "lacks"),
            ("regex", "matches"),
            ("regex!", "fails"),
        )
        for name, op in ops:
            for value in self._given.get(name, []):
                if not value:
                    continue  # every text has it
                if name.startswith("regex"):
                    try:
                        compile_regex(value)
                    except ValueError as error:
                        self.problems.append(f"{name}: {error}")
                        continue
                found.append(TextCondition(op, value, ignores_case=name.startswith("text")))
        return tuple(found)


def label_of(name: str) -> str:
    """The label that a parameter is about; tags that have a label of their own are that."""
    bare = name.removeprefix(TAG_PREFIX)
    if name.startswith(TAG_PREFIX) and bare not in COLUMN_TAGS and bare != CLUSTER_TAG:
        return name
    return LABELS.get(bare, bare)


def _pattern(value: str) -> str:
    """The regular expression of a pattern, in which ``*`` stands for any characters."""
    return "(?s)" + ".*".join(quote(part) for part in value.split("*"))


def _one_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _is_unicode(text: str) -> bool:
    """False for what JSON can write as an escape and no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
