"""Searching the texts of a block as a whole: its rows that meet conditions on their texts."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from ccstore.query import TextCondition
from ccstore.regex import compile_regex, required_texts
from ccstore.storage.blocks.block_format import Block

#: What tells of the beginning or the end of a text, or of a word: in texts that lie one behind the other it
#: would find something else.
_OF_ENDS: Final = re.compile(r"\\[bBAzQ]|[$^]")

#: Rows that are tested one by one in the time in which all texts are searched for something.
_FEW: Final = 100

#: Numbers of rows that rise; None is all of them.
Rows = Sequence[int] | None
#: Of the rows of a block, or of some of them, those that meet a condition.
Finder = Callable[[Block, Rows], Rows]


class TextSearch:
    """Finds rows by their texts.

    :param conditions: each of them has to hold.
    :param tests: for each, whether an encoded text meets it.
    :ivar needed: what the texts that meet all of them have in them, once they are in the lower case of ASCII.
    """

    def __init__(self, conditions: Sequence[TextCondition], tests: Sequence[Callable[[bytes], bool]]) -> None:
        given = [*zip(conditions, tests, strict=True)]
        # What is found as it stands comes first: there is less left to be tested.
        plain = [_plain(condition) for condition, _ in given if is_plain(condition)]
        self.needed = [part for condition, _ in given for part in needed_by(condition)]
        self._finders = plain + [_tested(*each) for each in given if not is_plain(each[0])]

    def rows(self, block: Block) -> Rows:
        """Those that meet all conditions."""
        found: Rows = None
        for finder in self._finders:
            found = finder(block, found)
            if found is not None and not found:
                break
        return found


def is_plain(condition: TextCondition) -> bool:
    """It is met, or not, by a text that has something in it, as it stands or in the lower case of ASCII."""
    if condition.op not in ("contains", "lacks"):
        return False
    return not condition.ignores_case or condition.value.isascii()


def needed_by(condition: TextCondition) -> list[bytes]:
    """What a text has in it, once it is in the lower case of ASCII, if it meets a condition."""
    if condition.op == "contains" and is_plain(condition):
        return [condition.value.encode().lower()]
    if condition.op == "matches":
        parts, _ = required_texts(condition.value, ignores_case=condition.ignores_case)
        return [part.encode().lower() for part in parts]
    return []


def rows_with(block: Block, what: str, *, ignores_case: bool) -> Rows:
    """The rows whose texts have something in them.

    :param what: ASCII where case does not matter.
    """
    if not what:
        return None
    part = what.lower().encode() if ignores_case else what.encode()
    texts = block.lower_texts if ignores_case else block.texts
    rows: list[int] = []
    place = texts.find(part)
    if place < 0:
        return rows
    starts, size = block.starts, len(part)
    row = 0
    while place >= 0:
        # Of empty texts that begin where another one does, it is none.
        row = bisect_right(starts, place, row) - 1
        end = starts[row + 1]
        if place + size <= end:
            rows.append(row)
            place = texts.find(part, end)
        else:
            # It is in none: it begins in one text and ends in another.
            place = texts.find(part, place + 1)
    return rows


def _plain(condition: TextCondition) -> Finder:
    def find(block: Block, among: Rows) -> Rows:
        rows = rows_with(block, condition.value, ignores_case=condition.ignores_case)
        if condition.op == "lacks":
            return _without(block, among, rows)
        if among is None or rows is None:
            return among if rows is None else rows
        return sorted({*rows}.intersection(among))

    return find


def _without(block: Block, among: Rows, rows: Rows) -> Rows:
    if rows is None:
        return ()
    left = {*rows}
    return [row for row in (range(block.rows) if among is None else among) if row not in left]


def _tested(condition: TextCondition, test: Callable[[bytes], bool]) -> Finder:
    if condition.op != "matches":
        return lambda block, among: _those(block, test, range(block.rows) if among is None else among)
    parts, ignores_case = required_texts(condition.value, ignores_case=condition.ignores_case)
    search = None
    if not parts and not _OF_ENDS.search(condition.value):
        search = compile_regex(condition.value, ignores_case=condition.ignores_case).search

    def find(block: Block, among: Rows) -> Rows:
        if among is not None:
            return _those(block, test, among)
        if search is not None:
            return _matching(block, search, test)
        rows: Rows = None
        # The longest first: it is mostly in the fewest.
        for part in sorted(parts, key=len, reverse=True):
            if rows is not None and len(rows) <= _FEW:
                break
            found = rows_with(block, part, ignores_case=ignores_case)
            rows = found if rows is None or found is None else sorted({*rows}.intersection(found))
        return _those(block, test, range(block.rows) if rows is None else rows)

    return find


def _those(block: Block, test: Callable[[bytes], bool], among: Sequence[int]) -> Sequence[int]:
    starts, texts = block.starts, block.texts
    return [row for row in among if test(texts[starts[row] : starts[row + 1]])]


def _matching(block: Block, search: Callable[[bytes, int], Any], test: Callable[[bytes], bool]) -> Rows:
    """The rows that match an expression, which is looked for in all texts together.

    Where a text matches by itself, there is a match in all of them that begins there, and perhaps ends
    elsewhere: so what is found has to be tested, and what is not found need not.
    """
    # A line feed between them, so that most of what goes on as long as it can ends there.
    starts, texts = block.starts, block.texts
    lines = b"\n".join([texts[begin:end] for begin, end in pairwise(starts)])
    begins = [start + row for row, start in enumerate(starts)]
    rows: list[int] = []
    row, place = 0, 0
    while place <= len(lines) and row < block.rows:
        match = search(lines, place)
        if match is None:
            break
        row = bisect_right(begins, match.start(), row) - 1
        if row >= block.rows:
            break
        if test(texts[starts[row] : starts[row + 1]]):
            rows.append(row)
        row += 1
        place = begins[row]
    return rows
