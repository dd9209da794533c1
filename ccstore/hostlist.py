"""Host lists as Slurm writes them: ``a[0101-0103,0200],login1``."""

from __future__ import annotations

import re
from itertools import product
from typing import Final

#: Hosts that one list may have.
MOST: Final = 100_000
_RANGE: Final = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
_PART: Final = re.compile(r"\[([^\[\]]*)\]|([^\[\],]+)")
_ITEM: Final = re.compile(r"(?:\[[^\[\]]*\]|[^\[\],])+")


def expand(text: str, most: int = MOST) -> list[str]:
    """The hosts of a list, in its order and each once.

    Numbers of a range have as many digits as its first one: ``a[08-10]`` is ``a08 a09 a10``. Raises
    ValueError with what is wrong.

    :param most: hosts that there may be.
    """
    hosts: dict[str, None] = {}
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
        for host in _expand_item(item[0], most - len(hosts)):
            hosts[host] = None
        position = item.end()
        if position == len(text):
            return list(hosts)
        if text[position] != ",":
            raise ValueError(
                f"expected hosts such as a[0101-0103,0200], got an unclosed bracket in {text[:40]!r}"
            )
        position += 1


def _expand_item(item: str, room: int) -> list[str]:
    choices: list[list[str]] = []
    total = 1
    for part in _PART.finditer(item):
        choices.append([part[2]] if part[1] is None else _numbers(part[1], room))
        total *= len(choices[-1])
        if total > room:
            raise ValueError(f"{item[:40]!r} makes more than {MOST} hosts")
    return ["".join(words) for words in product(*choices)]


def _numbers(ranges: str, room: int) -> list[str]:
    found: list[str] = []
    for text in ranges.split(","):
        bounds = _RANGE.fullmatch(text.strip())
        if bounds is None:
            raise ValueError(f"expected numbers such as [01-03,07], got [{ranges[:40]}]")
        first, last = int(bounds[1]), int(bounds[2] or bounds[1])
        if first > last:
            raise ValueError(f"expected a range from low to high, got {text.strip()}")
        if last - first >= room:
            raise ValueError(f"[{ranges[:40]}] makes more than {MOST} hosts")
        width = len(bounds[1])
        found += [f"{number:0{width}}" for number in range(first, last + 1)]
    return found
