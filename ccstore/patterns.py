"""Conditions on labels as people write them: values, patterns with ``*``, and lists of hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ccstore import hostlist
from ccstore.query import Matcher
from ccstore.regex import quote

#: Hosts that may be given together with a pattern, which makes each of them a pattern.
_MOST_BESIDE: Final = 1000
#: Characters of a pattern.
_LONGEST_PATTERN: Final = 1000


def label_matcher(label: str, values: Sequence[str], *, is_wanted: bool = True) -> Matcher | None:
    """The condition that a label has one of these values, or none of them; None if there are no values.

    Each may be a pattern or, for the label ``hostname``, a list of hosts. Raises ValueError with what was
    expected and what was given.
    """
    if label == "hostname":
        values = _hosts(values)
    if any("*" in value for value in values):
        if any(len(value) > _LONGEST_PATTERN for value in values):
            raise ValueError(f"expected at most {_LONGEST_PATTERN} characters in a pattern with *, got more")
        return Matcher(label, "=~" if is_wanted else "!~", tuple(map(_pattern, values)))
    return Matcher(label, "=" if is_wanted else "!=", tuple(values)) if values else None


def _hosts(values: Sequence[str]) -> list[str]:
    hosts: dict[str, None] = {}
    total = 0
    for value in dict.fromkeys(values):
        found = hostlist.expand(value, before=total) if value else [""]
        hosts |= dict.fromkeys(found)
        total += len(found)
    if total > _MOST_BESIDE and any("*" in value for value in values):
        raise ValueError(f"expected at most {_MOST_BESIDE} hosts if one is a pattern with *, got {total}")
    return [*hosts]


def _pattern(value: str) -> str:
    """The regular expression of a pattern, in which ``*`` stands for any characters."""
    return "(?s)" + ".*".join(quote(part) for part in value.split("*"))
