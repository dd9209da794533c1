"""The template of a text: what it has in common with others, without numbers, names and addresses.

It depends on nothing but the text and the host of its message, so that counts of templates add up, over
segments, restarts and daemons.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: To be raised with every change of what a template is: templates that were kept are taken again then.
MASK_VERSION: Final = 1
#: What is masked within a word, in the order in which it is looked for at each place. A word has no spaces.
_MASKS: Final = (
    ("kept", r"<[a-z]+>", r"(?i:\b(?:sha|md|utf-?|ipv|x|http/)\d+(?:_64)?)(?![\w.])"),
    (
        "time",
        r"\d{4}[-/.]\d\d[-/.]\d\d(?:[T_-]\d\d[:.]\d\d(?:[:.]\d\d)?(?:[.,]\d+)?(?:Z|[-+]\d\d:?\d\d)?)?(?!\w)",
        r"(?<![\w.:])(?:\d+-)?\d{1,3}:\d\d:\d\d(?:[.,]\d+)?(?:Z|[-+]\d\d:?\d\d)?(?![\w:])",
    ),
    ("uuid", r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?!\w)"),
    (
        "pci",
        r"(?<![\w:])(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7](?![\w:])",
        r"PCI:[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?(?![\w:])",
    ),
    (
        "mac",
        r"(?<![\w:])[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,19}(?![\w:])",
        r"(?<![\w-])[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){5,7}(?![\w-])",
    ),
    (
        "ip",
        r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}|:\d{1,5})?(?!\w)",
        r"(?<![\w:])(?=[a-fA-F:]*\d|[a-fA-F]*::)(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?:/\d{1,3})?(?![\w:])",
    ),
    (
        "hex",
        r"\b0[xX][0-9a-fA-F]+(?!\w)",
        r"(?<![A-Za-z0-9])(?=[a-fA-F]*\d)(?=\d*[a-fA-F])[0-9a-fA-F]{7,}(?![A-Za-z0-9])",
    ),
    ("path", r"(?<![\w<>.)\]}/-])/+[\w.@%+~:*-]+(?:/[\w.@%+~:*-]*)*"),
    ("hosts", r"(?<![\w<])[A-Za-z][A-Za-z_-]*\[\d+[,-][\d,-]*\]"),
    ("host", r"(?<![\w<./-])[a-z]{1,12}(?:-[a-z]{1,8})?-?\d{3,}(?:[a-z]\d+)*(?!\w)"),
    (
        "duration",
        r"(?<![\w.])\d+(?:\.\d+)?(?:[nuµm]s|secs?|mins?|[smhd])(?:\d+(?:\.\d+)?(?:ms|[smh]))*(?!\w)",
    ),
    ("size", r"(?<![\w.])\d+(?:\.\d+)?(?:[kKMGTPE]i?[bB]?|[bB](?:ytes?)?)(?!\w)"),
    ("num", r"(?:(?<![\w.>)\]-])[-+])?\d+(?:\.\d+)*(?:[eE][-+]?\d+)?"),
)
_MASK: Final = re.compile("|".join([f"(?P<{name}>{'|'.join(patterns)})" for name, *patterns in _MASKS]))
#: The same placeholder several times in a row, as in lists of any length.
_AGAIN: Final = re.compile(r"(<[a-z]+>)(?:(?:[,;|+] ?|[-:])\1)+|<time>(?: <time>)+")
#: A date as syslog has it.
_DAY: Final = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?"
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) {1,2}\d{1,2}(?= )"
)
#: The number of an Xid says what is wrong with a GPU: it stays.
_XID: Final = re.compile(r"(Xid \([^)]*\): )(\d{1,3})(?!\d)")

_JSON: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"(?P<key>\s*:)?|(?P<value>-?\d[\d.eE+-]*|true|false|null)|(?P<space>\s+)'
)
_LIST: Final = re.compile(r"\[(?:<value>,?)*\]")
_OBJECTS: Final = re.compile(r"(\{[^{}]*\})(?:,\1)+")
#: Objects within each other in which lists of objects are looked for.
_DEEPEST: Final = 8


def template_of(text: str, host: str) -> str:
    """The text with ``<num>``, ``<host>``, ``<path>`` and the like for what differs from message to message.

    Of JSON, as job events have it, the keys are left. The template of a template is itself.

    :param host: that of the message, or an empty text.
    """
    if text.startswith("{") and text.endswith("}"):
        return _template_of_json(text)
    if host and host in text:
        text = _without_host(text, host)
    day = _DAY.match(text)
    if day is not None:
        text = "<time>" + text[day.end() :]
    if "Xid (" in text and (xid := _XID.search(text)) is not None:
        return f"{_words(text[: xid.end(1)])}{xid[2]}{_words(text[xid.end() :])}"
    return _words(text)


def _words(text: str) -> str:
    masked = " ".join(map(_word, text.split(" ")))
    return _AGAIN.sub(_once, masked) if masked.count("<") > 1 else masked


@lru_cache(1 << 16)
def _word(word: str) -> str:
    """What is left of a word: most come again and again."""
    return "<num>" if word.isdigit() else _MASK.sub(_masked, word)


def _masked(found: re.Match[str]) -> str:
    return found[0] if found.lastgroup == "kept" else f"<{found.lastgroup}>"


def _once(found: re.Match[str]) -> str:
    return f"{found[1]}…" if found[1] else "<time>"


def _without_host(text: str, host: str) -> str:
    """A host's own name is masked whatever it looks like, unless it is a part of a longer word."""
    place = text.find(host)
    while place >= 0:
        end = place + len(host)
        before, after = text[place - 1 : place], text[end : end + 1]
        if not (before.isalnum() or before in ("_", "<") or after.isalnum() or after == "_"):
            text = f"{text[:place]}<host>{text[end:]}"
            end = place + len("<host>")
        place = text.find(host, end)
    return text


def _template_of_json(text: str) -> str:
    found = _JSON.sub(_value, text) if "\\" in text else _without_values(text)
    for _ in range(_DEEPEST):
        before = found
        found = _OBJECTS.sub(r"\1", _LIST.sub("[<value>]", found))
        if found == before:
            break
    return found


def _without_values(text: str) -> str:
    """The same as with :data:`_JSON` if no quote is escaped, in a third of the time."""
    first, *rest = text.split('"')
    between = [*map(_between, rest[1::2])]
    parts = [
        f'"{name}"{after}' if after.startswith(":") else f"<value>{after}"
        for name, after in zip(rest[::2], between, strict=False)
    ]
    return "".join([_between(first), *parts])


@lru_cache(1 << 14)
def _between(text: str) -> str:
    """What stands between two texts of JSON, without spaces and values."""
    return _JSON.sub(_value, text)


def _value(found: re.Match[str]) -> str:
    if found["key"] is not None:
        return found[0].rstrip(": \t\r\n") + ":"
    return "" if found["space"] is not None else "<value>"
