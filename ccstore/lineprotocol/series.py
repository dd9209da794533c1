"""Heads of lines, decoded once and kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ccstore.lineprotocol.grammar import (
    BYTE_ORDER_MARK,
    KEY,
    KEY_ESCAPE,
    MEASUREMENT_ESCAPE,
    RIGHT_HEAD,
    TAG,
    Missing,
    Wrong,
    match_end,
    short,
    token,
)
from ccstore.message import STORED_KINDS, FieldValue, Kind, Series, classify

#: Characters of a head that is too long to be kept.
_LONG_HEAD: Final = 4096
_NO_TAGS: Final[Mapping[str, str]] = {}

_PLAIN_TOKEN: Final = r"[^\x00-\x20\x7f,=\\\ud800-\udfff]+"
_PLAIN_HEAD: Final = re.compile(rf"{_PLAIN_TOKEN}(?:,{_PLAIN_TOKEN}={_PLAIN_TOKEN})*")
_PLAIN_ASCII: Final = re.compile(rb"%(t)b(?:,%(t)b=%(t)b)*" % {b"t": rb"[^\x00-\x20\x7f-\xff,=\\]+"})
_MARK: Final = BYTE_ORDER_MARK.decode()
#: What the fast way takes for a key, and those of them that are as usual: such series are storable.
KEY_PATTERN: Final = r"[^ \\\n#\x01\x02][^ \\\n\x01\x02]* (?:event|log)="
#: One that begins with a byte order mark is none: at the beginning of a stream, the mark has to go.
_KEY: Final = re.compile(rf"(?!{_MARK}){KEY_PATTERN}")
_USUAL_TOKEN: Final = r"[!-+\--<>-\[\]-~]+"
_USUAL_KEY: Final = re.compile(
    rf"(?!fleet,|#){_USUAL_TOKEN}(?:,{_USUAL_TOKEN}={_USUAL_TOKEN})* (?:event|log)="
)
_USUAL_LENGTH: Final = 255  # a cluster's name is not longer


class _Generations:
    """Series by their key, in two generations.

    When the young one is full it becomes the old one, what is still in use moves over at its next sight, and
    when the new one is half full the rest is forgotten. So there are at most ``1.5 * size`` series, with
    ``1.5 * text`` characters in their keys, and a hit costs one look-up.
    """

    __slots__ = ("_old", "_size", "_text", "_young_text", "young")

    def __init__(self, size: int, text: int) -> None:
        self._size = size
        self._text = text
        self.young: dict[str, Series] = {}
        self._old: dict[str, Series] = {}
        self._young_text = 0

    def get(self, key: str) -> Series | None:
        series = self.young.get(key)
        if series is None:
            series = self._old.get(key)
            if series is not None:
                self.keep(key, series)
        return series

    def keep(self, key: str, series: Series) -> None:
        self.young[key] = series
        self._young_text += len(key)
        if len(self.young) >= self._size or self._young_text >= self._text:
            self._old, self.young = self.young, {}
            self._young_text = 0
        elif self._old and (2 * len(self.young) >= self._size or 2 * self._young_text >= self._text):
            self._old = {}


class SeriesCache:
    """Series by their key, so that what a sender repeats is decoded once.

    The key of an event or a log is what stands before the string in its line, such as
    ``job,cluster=alex event=``; that of any other line is nothing that can stand there. It is bounded in
    series and in characters of their keys. Storable series are kept by themselves, and there are a fourth as
    many others at most.

    All receivers share one cache.
    """

    def __init__(self, size: int = 1 << 17, text: int = 1 << 24) -> None:
        self._size = size
        self._storable = _Generations(size, text)
        self._others = _Generations(size // 4, text // 4)
        self._tokens: dict[str, str] = {}

    @property
    def storable(self) -> Mapping[str, Series]:
        """Most of the storable ones: what is not here may be found by :meth:`get`."""
        return self._storable.young

    def get(self, key: str) -> Series:
        """The series of a key; raises :class:`Wrong` if it is none, or is wrong."""
        return self._held(key) or self._keep(key, self._of_key(key))

    def of_line(self, head: bytes, fields: Mapping[str, FieldValue]) -> Series:
        """The series of a line with this head and these fields; raises :class:`Wrong`, see :meth:`check`."""
        text = head.decode("utf-8", "surrogateescape")
        # Only what is a control does not go by its fields alone.
        kind = classify(decode_head(text)[1] if "control" in fields else _NO_TAGS, fields)
        if kind in STORED_KINDS:
            key = f"{text} {kind}="
            found = self._held(key)
        else:
            key = f"{text}\n{kind}"
            found = self._others.get(key)
        if found is None:
            self.check(head)
            made = Series.of_key(key) if _is_usual(key) else self._make(*decode_head(text), kind)
            found = self._keep(key, made)
        return found

    def check(self, head: bytes) -> None:
        """Raise :class:`Wrong` with an offset into a head, if it is wrong."""
        plain = _PLAIN_ASCII.match(head)
        if plain is None or plain.end() < len(head):
            _decode_slowly(head)

    def _held(self, key: str) -> Series | None:
        return self._storable.get(key) or self._others.get(key)

    def _keep(self, key: str, series: Series) -> Series:
        # The fast way must not find one with a byte order mark, and take it at the beginning of a stream.
        if len(key) <= _LONG_HEAD and not key.startswith(_MARK):
            (self._storable if series.is_storable else self._others).keep(key, series)
        return series

    def _of_key(self, key: str) -> Series:
        if _is_usual(key):
            return Series.of_key(key)
        if _KEY.fullmatch(key) is None:
            raise Wrong(0, "not what stands before a string")
        head, _, kind = key.rpartition(" ")
        return self._make(*decode_head(head), "event" if kind == "event=" else "log")

    def _make(self, name: str, tags: Mapping[str, str], kind: Kind) -> Series:
        """A series that has the names and values it shares with others only once in memory."""
        tokens = self._tokens
        if len(tokens) >= self._size:
            tokens.clear()
        one = tokens.setdefault
        return Series(
            one(name, name), {one(key, key): one(value, value) for key, value in tags.items()}, kind
        )


def _is_usual(key: str) -> bool:
    """It is the key of a storable series, without looking at it any further."""
    return len(key) <= _USUAL_LENGTH and ",cluster=" in key and _USUAL_KEY.fullmatch(key) is not None


def decode_head(head: str) -> tuple[str, dict[str, str]]:
    """A measurement and its tags, up to the unescaped space that ends them; raises :class:`Wrong`.

    Bytes that are no UTF-8 stand there as surrogates.
    """
    if _PLAIN_HEAD.fullmatch(head) is None:
        return _decode_slowly(head.encode(errors="surrogateescape"))
    name, *tags = head.split(",")
    return name, dict([tag.split("=") for tag in tags])


def _decode_slowly(head: bytes) -> tuple[str, dict[str, str]]:
    """The same for any head."""
    right = RIGHT_HEAD.match(head)
    if right is None:
        raise Missing(0, "a measurement name")
    name = token(right[1], 0, MEASUREMENT_ESCAPE)
    end = right.end()
    if end < len(head) and head.isascii():
        raise _wrong_tag(head, end, name, right[2])
    tags = {
        token(tag[1], tag.start(1), KEY_ESCAPE): token(tag[2], tag.start(2), KEY_ESCAPE)
        for tag in TAG.finditer(head, right.end(1), end)
    }
    if end < len(head):
        raise _wrong_tag(head, end, name, right[2])
    return name, tags


def _wrong_tag(head: bytes, position: int, name: str, last: bytes | None) -> Wrong:
    """What is said of what follows the part of a head that is right.

    :param last: the key of the last tag that is right, if there is one.
    """
    end = len(head)
    if head[position] != 0x2C:
        before = f"measurement {short(name)}"
        if last is not None:
            before = f"tag {short(token(last, 0, KEY_ESCAPE))}"
        return Missing(position, f"',' or a space after the {before}")
    position += 1
    key_end = match_end(KEY, head, position, end)
    if key_end == position:
        return Missing(position, "a tag key after ','")
    key = token(head[position:key_end], position, KEY_ESCAPE)
    if key_end == end or head[key_end] != 0x3D:
        return Missing(key_end, f"'=' after the tag key {short(key)}")
    return Missing(key_end + 1, f"a value for the tag {short(key)}")
