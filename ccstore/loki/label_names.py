"""The labels of Loki, made of those of the store: names without ``-``, and levels that all mean the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from ccstore.message import StreamKey
from ccstore.query import LEVEL, STREAM_LABELS, TAG_PREFIX, Matcher, level_of, tags_in

#: Labels of streams, and what they are called in the store.
INDEXED: Final[Mapping[str, str]] = {
    **{label.replace("-", "_"): label for label in STREAM_LABELS},
    "service_name": "name",
}
#: Other names that selectors may use.
_ALIASES: Final = {"host": "hostname"}
#: The label that says what the level of a message, see :data:`ccstore.query.LEVEL`, means.
DETECTED: Final = "detected_level"
UNKNOWN: Final = "unknown"
_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "critical": ("critical", "crit", "emerg", "emergency", "panic", "alert", "0", "1", "2"),
    "fatal": ("fatal",),
    "error": ("error", "err", "eror", "3"),
    "warn": ("warn", "warning", "wrn", "4"),
    "info": ("info", "inf", "information", "informational", "notice", "5", "6"),
    "debug": ("debug", "dbg", "7"),
    "trace": ("trace", "trc", "verbose"),
}
_MEANINGS: Final = {word: level for level, words in _WORDS.items() for word in words}
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_]")
#: What a tag is called behind this, if it had the name of a label of streams otherwise.
_TAG: Final = "tag_"

Labels = tuple[tuple[str, str], ...]


def meaning_of(level: str) -> str:
    """What a level means: ``critical fatal error warn info debug trace unknown``."""
    return _MEANINGS.get(level.strip().lower(), UNKNOWN)


def level_matcher(meaning: str) -> Matcher:
    """A condition that finds at least the messages whose level means this."""
    if meaning in _WORDS:
        return Matcher(LEVEL, "=~", rf"(?is)\s*(?:{'|'.join(_WORDS[meaning])})\s*")
    return Matcher(LEVEL, "!~", rf"(?i)(?:{'|'.join(_MEANINGS)})")


def clean_name(name: str) -> str:
    """A name that a label may have."""
    cleaned = _NOT_IN_NAMES.sub("_", name)
    return f"_{cleaned}" if not cleaned or cleaned[0].isdigit() else cleaned


@lru_cache(1 << 15)
def stream_labels(stream: StreamKey) -> Labels:
    """The labels of a stream, in order; what it lacks is absent."""
    known = dict(zip(STREAM_LABELS, stream, strict=True))
    found = ((label, known[stored]) for label, stored in INDEXED.items())
    return tuple(sorted((label, value) for label, value in found if value))


@lru_cache(1 << 13)
def metadata_of(othertags: str | None) -> Labels:
    """The labels of other tags, as JSON; each has one of its own, whatever the others are called."""
    tags = tags_in(othertags)
    level = level_of(tags)
    found = {LEVEL: level} if level else {}
    # Those whose names stay as they are have them.
    for tag in sorted(tags, key=lambda tag: (clean_name(tag) != tag, tag)):
        label = clean_name(tag)
        if tag == LEVEL and tags[tag] == level:
            continue
        if label in INDEXED or label in (LEVEL, DETECTED) or label.startswith((_TAG, "__")):
            label = _TAG + label
        number = 1
        while (unique := label if number == 1 else f"{label}_{number}") in found:
            number += 1
        if tags[tag]:
            found[unique] = tags[tag]
    found[DETECTED] = meaning_of(level)
    return tuple(sorted(found.items()))


def stored_label(label: str) -> str | None:
    """The one label of the store that a label is made of, unless there are several."""
    stored = INDEXED.get(label)
    if stored is not None:
        return stored
    if "_" in label:
        return None
    return LEVEL if label == LEVEL else TAG_PREFIX + label


def selected_label(label: str) -> str | None:
    """As :func:`stored_label`, for a selector, in which some have other names as well."""
    return stored_label(_ALIASES.get(label, label))


def needed_labels(labels: Sequence[str]) -> Sequence[str] | None:
    """What of the store has to be known for these labels; None for all there is."""
    found: dict[str, None] = {}
    for label in labels:
        stored = stored_label(label)
        if stored is not None:
            found[stored] = None
        elif label == DETECTED:
            found[LEVEL] = None
        elif not label.startswith("__"):
            return None
    return [*found]
