"""The template of a text: what it has in common with others, without numbers, names and addresses.

It depends on nothing but the text and the host of its message, so that counts of templates add up, over
segments, restarts and daemons.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from typing import Final

#: To be raised with every change of what a template is: templates that were kept are taken again then.
MASK_VERSION: Final = 3
#: With a number behind it, it is no host.
_NO_HOSTS: Final = (
    "(?:cpu|core|gpu|irq|port|line|node-?id|rank|step|task|job|pid|tid|uid|gid|user|err|errno|code|rev|vlan"
    "|v)"
)
#: What is masked within a word, in the order in which it is looked for at each place. A word has no spaces.
_MASKS: Final = (
    ("kept", r"<[a-z]+>", r"(?i:\b(?:sha|md|utf-?|ipv|x|http/)\d+(?:_64)?)(?![\w.])"),
    (
        "time",
        r"\d{4}[-/.]\d\d[-/.]\d\d(?:[T_-]\d\d[:.]\d\d(?:[:.]\d\d)?(?:[.,]\d+)?(?:Z|[-+]\d\d:?\d\d)?)?(?!\w)",
        r"(?<![\w.:>…])(?:\d+-)?\d{1,3}:\d\d:\d\d(?:[.,]\d+)?(?:Z|[-+]\d\d:?\d\d)?(?![\w<]|:[\w<])",
    ),
    ("uuid", r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?!\w)"),
    (
        "pci",
        r"(?<![\w:>…])(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7](?![\w<]|:[\w<])",
        r"PCI:[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?(?![\w<]|:[\w<])",
    ),
    (
        "mac",
        r"(?<![\w:>…])[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,19}(?![\w<]|:[\w<])",
        r"(?<![\w>…-])[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){5,7}(?![\w-])",
    ),
    (
        "ip",
        r"(?<![\w.>…])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}|:\d{1,5})?(?!\w)",
        r"(?<![\w:>…])(?=[a-fA-F:]*\d|[a-fA-F]*::)(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?:/\d{1,3})?(?![\w:<])",
    ),
    ("hex", r"\b0[xX][0-9a-fA-F]+(?!\w)"),
    # Without 0x it may have no letter by chance: it is taken for a number.
    ("bare", r"(?<![A-Za-z0-9>…])(?:(?=[a-fA-F]*\d)[0-9a-fA-F]{7,}|[fF]{8}(?:[fF]{8})?)(?![A-Za-z0-9<])"),
    # As of queues and sessions: small and capital letters and at least two numbers.
    (
        "id",
        r"(?<![A-Za-z0-9<>…/])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])(?=[A-Za-z]*\d+[A-Za-z]+\d)[A-Za-z0-9]{12,}"
        r"(?![A-Za-z0-9])",
        r"(?<=SHA256:)[A-Za-z0-9+/]{43}(?![A-Za-z0-9+/])",
    ),
    ("path", r"(?<![\w<>….)\]}/-])/+[\w.@%+~:*-]+(?:/[\w.@%+~:*-]*)*"),
    ("hosts", r"(?<![\w<>…])[A-Za-z][A-Za-z_-]*\[\d+[,-][\d,-]*\]"),
    (
        "host",
        rf"(?<![\w<>…./-])(?!{_NO_HOSTS}\d)[a-z]{{1,12}}(?:-[a-z]{{1,8}})?-?\d{{3,}}(?:[a-z]\d+)*(?!\w)",
        # As of a Blue Gene: rack, midplane, board, place.
        r"(?<![\w<>…./-])[A-Z]\d{1,3}(?:-[A-Z][0-9A-F]{1,2}){2,}(?:-[A-Z]:[A-Z]\d+)?(?:-[A-Z]\d+)*(?!\w)",
    ),
    (
        "duration",
        r"(?<![\w.>…])\d+(?:\.\d+)?(?:[nuµm]s|secs?|mins?|[smhd])(?:\d+(?:\.\d+)?(?:ms|[smh]))*(?!\w)",
    ),
    ("size", r"(?<![\w.>…])\d+(?:\.\d+)?(?:[kKMGTPE]i?[bB]?|[bB](?:ytes?)?)(?!\w)"),
    (
        "num",
        # As of the targets of Lustre, OST000f.
        r"(?<=[A-Z])0[0-9a-fA-F]{3}(?![A-Za-z0-9])",
        r"(?:(?<![\w.>…)\]-])[-+])?\d+(?:\.\d+)*(?:[eE][-+]?\d+)?",
    ),
)
#: None of them begins between two letters: there are the most places to look at.
_MASK: Final = re.compile(
    r"(?<![A-Za-z](?=[A-Za-z]))(?:"
    + "|".join([f"(?P<{name}>{'|'.join(patterns)})" for name, *patterns in _MASKS])
    + ")"
)
#: The same placeholder several times in a row, as in lists of any length.
_AGAIN: Final = re.compile(r"(<[a-z]+>)(?:(?:[,;|+] ?|[-:])\1)+|<time>(?: <time>)+")
#: With spaces between them, so many are a list.
_REPEATED: Final = 3
_MONTH: Final = (
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) {1,2}"
)
#: A date as syslog has it, or the kernel.
_DAY: Final = re.compile(_MONTH + r"\d{1,2}(?= )|\[ *\d+\.\d{6}\]")
_BEGINS_DAY: Final = "MTWFSJAOND["
#: The same inside a text, when numbers and times are masked; a year may follow.
_DATE: Final = re.compile(rf"(?<![\w>…])(?:{_MONTH}<num> )+<time>(?:(?: [A-Z]{{3,4}})? <num>)?")
#: The number of an Xid says what is wrong with a GPU: it stays.
_XID: Final = re.compile(r"(?<!\S)(Xid \([^)]*\): )(\d{1,3})(?!\d)")

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
    if text[:1] in _BEGINS_DAY and (day := _DAY.match(text)) is not None:
        text = "<time>" + text[day.end() :]
    if "Xid (" in text and (xid := _XID.search(text)) is not None:
        return f"{_words(text[: xid.end(1)])}{xid[2]}{_words(text[xid.end() :])}"
    return _words(text)


def _words(text: str) -> str:
    words = [*map(_word, text.split(" "))]
    masked = " ".join(words)
    places = masked.count("<")
    if places < 2:
        return masked
    if "<num> <time>" in masked:
        masked = _DATE.sub("<time>", masked)
    masked = _AGAIN.sub(_once, masked)
    return _without_repeats(masked) if places > 2 and len({*words}) < len(words) - 1 else masked


def _without_repeats(masked: str) -> str:
    """A list with spaces, as long as it may be: three or more words that are the same are one."""
    found = []
    for word, same in groupby(masked.split(" "), _without_dots):
        words = [*same]
        found += words if len(words) < _REPEATED or "<" not in word else [f"{word}…"]
    return " ".join(found)


def _without_dots(word: str) -> str:
    return word.rstrip("…")


@lru_cache(1 << 16)
def _word(word: str) -> str:
    """What is left of a word: most come again and again."""
    return "<num>" if word.isdigit() else _MASK.sub(_masked, word)


def _masked(found: re.Match[str]) -> str:
    name = found.lastgroup
    if name == "bare":
        return "<num>"
    return found[0] if name == "kept" else f"<{name}>"


def _once(found: re.Match[str]) -> str:
    return f"{found[1]}…" if found[1] else "<time>"


def _without_host(text: str, host: str) -> str:
    """A host's own name is masked whatever it looks like, unless it is a part of a longer word."""
    place = text.find(host)
    while place >= 0:
        end = place + len(host)
        before, after = text[place - 1 : place], text[end : end + 1]
        if not (before.isalnum() or before in ("_", "<", ">", "…") or after.isalnum() or after in ("_", "<")):
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
