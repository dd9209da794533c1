"""The labels of Loki, made of those of the store: names without ``-``, and levels that all mean the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from ccstore.message import StreamKey
from ccstore.query import STREAM_LABELS, TAG_PREFIX, Matcher

#: Labels of streams, and what they are called in the store.
INDEXED: Final[Mapping[str, str]] = {
    **{label.replace("-", "_"): label for label in STREAM_LABELS},
    "service_name": "name",
}
#: Other names that selectors may use.
_ALIASES: Final = {"host": "hostname"}
#: Tags that say how bad a message is; the first of them that is there counts.
LEVEL_TAGS: Final = ("loglevel", "level", "severity", "priority")
#: Labels that are made of these.
LEVELS: Final = ("level", "detected_level")
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


def level_of(tags: Mapping[str, str]) -> str:
    """How bad a message with these tags is: ``critical fatal error warn info debug trace unknown``."""
    given = next((tags[tag] for tag in LEVEL_TAGS if tags.get(tag)), "")
    return _MEANINGS.get(given.strip().lower(), UNKNOWN)


def level_matchers(value: str) -> Sequence[Matcher]:
    """Conditions of which each finds messages that may have a level: one for each tag that can say so.

    There is none for a level that nothing is known of, which a message without such a tag has as well.
    """
    level = level_of({LEVEL_TAGS[0]: value})
    if level == UNKNOWN:
        return ()
    pattern = rf"(?i)\s*(?:{'|'.join(_WORDS[level])})\s*"
    return [Matcher(TAG_PREFIX + tag, "=~", pattern) for tag in LEVEL_TAGS]


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
    tags: Mapping[str, str] = json.loads(othertags) if othertags else {}
    found: dict[str, str] = {}
    # Those whose names stay as they are have them.
    for tag in sorted(tags, key=lambda tag: (clean_name(tag) != tag, tag)):
        label = clean_name(tag)
        if label in INDEXED or label == "detected_level" or label.startswith((_TAG, "__")):
            label = _TAG + label
        number = 1
        while (unique := label if number == 1 else f"{label}_{number}") in found:
            number += 1
        if tags[tag]:
            found[unique] = tags[tag]
    level = level_of(tags)
    found["detected_level"] = level
    if level != UNKNOWN:
        found.setdefault("level", level)
    return tuple(sorted(found.items()))


def stored_label(label: str) -> str | None:
    """The one label of the store that a label is made of, unless there are several."""
    stored = INDEXED.get(label)
    if stored is not None:
        return stored
    if "_" in label or label in LEVELS:
        return None
    return TAG_PREFIX + label


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
        elif label in LEVELS:
            found |= dict.fromkeys(TAG_PREFIX + tag for tag in LEVEL_TAGS)
        elif not label.startswith("__"):
            return None
    return [*found]
