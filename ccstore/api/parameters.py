"""What a question of the reading side is asked by: parameters of a URL, a form or JSON, and a selection."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl

from twisted.web.iweb import IRequest

from ccstore.api.wording import SHOWN, one_of, shown
from ccstore.instants import parse_moment
from ccstore.message import CLUSTER_TAG, COLUMN_TAGS, INT64_MAX
from ccstore.query import LEVEL, TAG_PREFIX
from ccstore.web import WebError, from_json, is_unicode

_T = TypeVar("_T")

#: Parameters that are labels, and the labels they are.
LABELS: Final[Mapping[str, str]] = {
    "cluster": "cluster",
    "kind": "kind",
    "name": "name",
    "host": "hostname",
    "hostname": "hostname",
    **{tag: tag for tag in COLUMN_TAGS if tag != "hostname"},
    LEVEL: LEVEL,
}
#: Those that say which messages are meant, besides labels and tags.
_SELECTING: Final = ("text", "text!", "regex", "regex!", "from", "to")
#: What chooses messages, and a name that stands for all tags.
_TAGS: Final = f"{TAG_PREFIX}*"
CHOOSING: Final = (*LABELS, *_SELECTING, _TAGS)
ORDERS: Final = ("newest", "oldest")
#: Values that one parameter may have, and all of them together.
_MOST_VALUES: Final = 1000
#: Mistakes that are told.
_MOST_PROBLEMS: Final = 20


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
                    400, f"{_quoted(name)}: expected a text, a number or a list of them, got {shown(member)}"
                )
        given[name] = found
    return given


class Parameters:
    """Takes parameters out of what is given, and notes what is wrong with them.

    :param more: names of a call besides those that choose messages.
    :param now: nanoseconds.
    :param choosing: those of :data:`CHOOSING` that the call takes.
    :ivar unknown: names of what is given and not taken.
    """

    def __init__(
        self,
        given: Mapping[str, Sequence[str]],
        now: int,
        more: Collection[str] = (),
        *,
        choosing: Collection[str] = CHOOSING,
    ) -> None:
        self._now = now
        self.problems: list[str] = []
        self.unknown: list[str] = []
        self._has_tags = _TAGS in choosing
        self._known = [*(name for name in choosing if name != _TAGS), *more]
        self._given: dict[str, list[str]] = {}
        for name, values in given.items():
            if len(self.problems) > _MOST_PROBLEMS:
                break
            if len(values) > _MOST_VALUES:
                self.wrong(name, f"at most {_MOST_VALUES} values", f"{len(values)} of them")
            elif any("\0" in value or not is_unicode(value) for value in values):
                self.wrong(name, "Unicode without NUL", values[0])
            elif not self._is_known(name):
                self.unknown.append(name)
                self.problems.append(f"{_quoted(name)}: there is no such parameter{self._hint(name)}")
            else:
                self._given[name] = [*values]

    def _is_known(self, name: str) -> bool:
        if self._has_tags and name.startswith(TAG_PREFIX):
            return len(name.removesuffix("!")) > len(TAG_PREFIX)
        bare = name.removesuffix("!")
        return name in self._known or (bare in LABELS and bare in self._known)

    def _hint(self, name: str) -> str:
        if not self._known:
            return ": this takes no parameters"
        bare = name[:SHOWN].removesuffix("!")
        near = difflib.get_close_matches(bare, self._known, 1, 0.7)
        if near:
            return f", did you mean {near[0]}?"
        tag = f", or {TAG_PREFIX}{bare} for a tag of that name" if self._has_tags else ""
        return f": expected {'one of ' if len(self._known) > 1 else ''}{', '.join(self._known)}{tag}"

    def wrong(self, name: str, expected: str, got: str) -> None:
        """Note what would be right, and what was given."""
        self.problems.append(f"{name[:SHOWN]}: expected {expected}, got {_quoted(got)}")

    def check(self) -> None:
        """Raises :class:`WebError` 400 with all that was wrong."""
        if self.problems:
            told = [*dict.fromkeys(self.problems)]
            if len(told) > _MOST_PROBLEMS:
                told[_MOST_PROBLEMS:] = ["and more"]
            raise WebError(400, "; ".join(told))

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
                raise ValueError(f"expected {one_of(words)}, got {_quoted(value)}")
            return value

        return self.one(name, read, default)

    def number(self, name: str, default: int, *, least: int = 0, most: int = INT64_MAX) -> int:
        """A whole number."""

        def read(value: str) -> int:
            if not re.fullmatch(r"[0-9]{1,18}", value) or not least <= int(value) <= most:
                bounds = f"from {least} to {most}" if most < INT64_MAX else f"of at least {least}"
                raise ValueError(f"expected a whole number {bounds}, got {_quoted(value)}")
            return int(value)

        return self.one(name, read, default)

    def flag(self, name: str) -> bool:
        """``true`` or ``false``, which is what it is if it is not given."""
        return self.choice(name, ("true", "false"), "false") == "true"

    @property
    def names(self) -> Sequence[str]:
        """Names of what is given, in its order."""
        return [*self._given]

    def all(self, name: str) -> Sequence[str]:
        """All values of a parameter."""
        return self._given.get(name, [])

    def is_given(self, name: str) -> bool:
        """Whether there is any value of a parameter."""
        return bool(self._given.get(name))

    def words(self, name: str) -> list[str]:
        """All values of a parameter; one value may be several, with commas between them."""
        return [word for value in self._given.get(name, []) for word in value.split(",") if word]

    def moment(self, name: str, default: int) -> int:
        """A time in nanoseconds."""
        return self.one(name, lambda value: parse_moment(value, self._now), default)


def label_of(name: str) -> str:
    """The label that a parameter is about; tags that have a label of their own are that."""
    bare = name.removeprefix(TAG_PREFIX)
    if name.startswith(TAG_PREFIX) and bare not in COLUMN_TAGS and bare != CLUSTER_TAG:
        return name
    return LABELS.get(bare, bare)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")
