"""Host lists as Slurm writes them: ``a[0101-0103,0200],login1``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final

#: Hosts that one list may have: so many are expanded in some milliseconds, and nobody waits for that.
MOST: Final = 10_000
_RANGE: Final = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_PART: Final = re.compile(r"\[([^\[\]]*)\]|([^\[\],]+)")
_LAST: Final = re.compile(r"(.*?)([0-9]{1,18})([^0-9\[\],]*)")
_ITEM: Final = re.compile(r"(?:\[[^\[\]]*\]|[^\[\],])+")


def expand(text: str, *, before: int = 0, most: int = MOST) -> list[str]:
    """The hosts of a list, in its order and each once.

    Numbers of a range have as many digits as its first one: ``a[08-10]`` is ``a08 a09 a10``. Raises
    ValueError with what is wrong.

    :param before: hosts of other lists that belong to it.
    :param most: hosts that there may be, with those. They are counted before they are made, each as often as
        it is given.
    """
    names = text.split(",")
    if "[" not in text and "]" not in text and all(names):
        if before + len(names) > most:
            raise _too_many(text, most)
        return [*dict.fromkeys(names)]
    hosts: list[str] = []
    position = 0
    while True:
        item = _ITEM.match(text, position)
        if item is None:
            what = (
                "an unclosed bracket"
                if text[position : position + 1] in "[]" and text[position:]
                else "no host"
            )
            raise ValueError(
                f"expected hosts such as a[0101-0103,0200], got {what} at {text[position:][:20]!r}"
            )
        hosts += _expand_item(item[0], most - before - len(hosts), most)
        position = item.end()
        if position == len(text):
            return [*dict.fromkeys(hosts)]
        if text[position] != ",":
            raise ValueError(
                f"expected hosts such as a[0101-0103,0200], got an unclosed bracket in {text[:40]!r}"
            )
        position += 1


def _too_many(what: str, most: int) -> ValueError:
    return ValueError(f"expected at most {most} hosts, got more by {what[:40]!r}")


def _expand_item(item: str, room: int, most: int) -> list[str]:
    choices: list[list[str]] = []
    total = 1
    for part in _PART.finditer(item):
        if part[1] is None:
            choices.append([part[2]])
            continue
        plain = part[1].split(",")
        if all(map(_NUMBER.fullmatch, plain)):
            total *= len(plain)
            choices.append(plain)
            continue
        ranges = [_range(each.strip(), part[1]) for each in plain]
        total *= sum(last - first + 1 for first, last, _ in ranges)
        if total > room:
            break
        choices.append(
            [f"{number:0{width}}" for first, last, width in ranges for number in range(first, last + 1)]
        )
    if total > room:
        raise _too_many(item, most)
    return ["".join(words) for words in product(*choices)]


def _range(text: str, ranges: str) -> tuple[int, int, int]:
    """The first number of a range, the last, and how many digits they have at least."""
    bounds = _RANGE.fullmatch(text)
    if bounds is None:
        raise ValueError(f"expected numbers such as [01-03,07], got [{ranges[:40]}]")
    first, last = int(bounds[1]), int(bounds[2] or bounds[1])
    if first > last:
        raise ValueError(f"expected a range from low to high, got {text}")
    return first, last, len(bounds[1])


def fold(hosts: Iterable[str]) -> str:
    """The list of these hosts, in which numbers of the same length that follow each other are a range.

    Only the last number of a name is folded. What :func:`expand` gives of it are these hosts, in the order of
    their names.
    """
    groups: dict[tuple[str, int, str], list[int]] = {}
    plain = []
    for host in dict.fromkeys(hosts):
        found = _LAST.fullmatch(host)
        if found is None:
            plain.append(host)
        else:
            groups.setdefault((found[1], len(found[2]), found[3]), []).append(int(found[2]))
    folded = []
    for (before, width, behind), numbers in groups.items():
        ranges = _ranges(sorted(numbers), width)
        is_one = len(numbers) == 1
        folded.append(f"{before}{ranges}{behind}" if is_one else f"{before}[{ranges}]{behind}")
    return ",".join(sorted([*plain, *folded]))


def _ranges(numbers: Sequence[int], width: int) -> str:
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(f"{each:0{width}}" for each in part) for part in parts)
