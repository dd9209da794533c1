"""Searching the texts of a block as a whole: its rows that meet conditions on their texts."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from ccstore.query import TextCondition
from ccstore.regex import compile_regex, compile_text, required_texts
from ccstore.storage.blocks.block_format import Block
from ccstore.storage.blocks.text_spans import TextSpans

#: What tells of the beginning or the end of a text, or of a word: in texts that lie one behind the other it
#: would find something else.
_OF_ENDS: Final = re.compile(r"\\[bBAzQ]|[$^]")

#: Rows that are tested one by one in the time in which all texts are searched for something.
_FEW: Final = 100
#: Rows in which something was found, from which on it is looked for by other means.
_TRIES: Final = 30
#: Bytes up to which an expression is made of what is looked for, and those that RE2 goes by at first.
_LONG: Final = 1000
_BEGINNING: Final = 9
#: Bytes in which it is counted how often these are there.
_SAMPLE: Final = 1 << 18
#: The same for a regular expression.
_MANY: Final = 1000

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
        plain = [_plain(*each) for each in given if is_plain(each[0])]
        self.needed = [part for condition, _ in given for part in needed_by(condition)]
        self._finders = plain + [_tested(*each) for each in given if not is_plain(each[0])]

    def rows(self, block: Block, among: Rows = None) -> Rows:
        """Those of some rows of a block that meet all conditions."""
        found = among
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


class TextPart:
    """Something that texts have in them.

    :param what: it is not empty, and ASCII where case does not matter.
    """

    def __init__(self, what: str, *, ignores_case: bool) -> None:
        part = what.encode()
        self._in_lower_case = ignores_case and part.lower() != part.upper()
        self._part = part.lower() if self._in_lower_case else part
        # Where in it begins what is looked for, and what finds that; it is known once there are texts.
        self._offset = 0
        self._search: Callable[[bytes, int], Any] | None = None

    def rows(self, block: Block, most: int | None = None) -> Rows:
        """The rows whose texts have it in them.

        :param most: if there are so many, nothing is said of them, as if it were all.
        """
        rows: list[int] = []
        texts, part = block.texts, self._part
        find, size = self._finder(texts), len(part)
        place = find(part, 0)
        if place < 0:
            return rows
        first, starts = block.spans.step_at(place)
        stop: int | None = _TRIES if most is None else min(_TRIES, most)
        while place >= 0:
            if place >= starts[-1]:
                first, starts = block.spans.step_at(place)
            # Of empty texts that begin where another one does, it is none.
            behind = bisect_right(starts, place)
            end = starts[behind]
            if place + size <= end:
                rows.append(first + behind - 1)
                if len(rows) == stop:
                    if stop == most:
                        return None
                    # It is there more often, and each is found sooner so.
                    find, stop = self._plain(texts).find, most
                place = find(part, end)
            else:
                # It is in none: it begins in one text and ends in another.
                place = find(part, place + 1)
        return rows

    def _plain(self, texts: bytes) -> bytes:
        return texts.lower() if self._in_lower_case else texts

    def _finder(self, texts: bytes) -> Callable[[bytes, int], int]:
        """What finds it sooner than ``bytes.find`` if it is in few texts, and is called like that."""
        if len(self._part) > _LONG:
            return self._plain(texts).find
        search = self._search or self._aim(texts)
        offset, size, in_lower_case = self._offset, len(self._part), self._in_lower_case

        def find(part: bytes, place: int) -> int:
            for _ in range(_TRIES):
                match = search(texts, place + offset)
                if match is None:
                    return -1
                place = match.start() - offset
                found = texts[place : place + size]
                if (found.lower() if in_lower_case else found) == part:
                    return place
                # It is the end of something else, or in another case.
                place += 1
            return self._plain(texts).find(part, place)

        return find

    def _aim(self, texts: bytes) -> Callable[[bytes, int], Any]:
        """Look for it from where it begins with what is in the fewest of the first of these texts."""
        part = self._part
        last = len(part) - _BEGINNING
        offsets = (0, last // 2, last) if last >= _BEGINNING else (0,)
        if len(offsets) > 1:
            plain = self._plain(texts[:_SAMPLE])
            counts = [plain.count(part[offset : offset + _BEGINNING]) for offset in offsets]
            self._offset = offsets[counts.index(min(counts))]
        search: Callable[[bytes, int], Any] = compile_text(part[self._offset :]).search
        self._search = search
        return search


def _plain(condition: TextCondition, test: Callable[[bytes], bool]) -> Finder:
    part = TextPart(condition.value, ignores_case=condition.ignores_case) if condition.value else None

    def find(block: Block, among: Rows) -> Rows:
        if among is not None and len(among) <= _FEW:
            return _those(block, test, among)
        rows = None if part is None else part.rows(block)
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
    needed, ignores_case = required_texts(condition.value, ignores_case=condition.ignores_case)
    search = None
    if not _OF_ENDS.search(condition.value):
        search = compile_regex(condition.value, ignores_case=condition.ignores_case).search
    # The longest first: it is mostly in the fewest.
    parts = [TextPart(part, ignores_case=ignores_case) for part in sorted(needed, key=len, reverse=True)]

    def find(block: Block, among: Rows) -> Rows:
        if among is not None:
            return _those(block, test, among)
        rows: Rows = None
        for part in parts:
            found = part.rows(block, None if search is None else _MANY)
            if found is not None:
                rows = found if rows is None else sorted({*rows}.intersection(found))
                if len(rows) <= _FEW:
                    break
        if rows is None and search is not None:
            return _matching(block, search, test)
        return _those(block, test, range(block.rows) if rows is None else rows)

    return find


def _those(block: Block, test: Callable[[bytes], bool], among: Sequence[int]) -> Sequence[int]:
    texts = block.texts
    if len(among) <= _FEW:
        return [row for row in among if test(texts[slice(*block.spans.of(row))])]
    starts = block.starts
    return [row for row in among if test(texts[starts[row] : starts[row + 1]])]


def _matching(block: Block, search: Callable[[bytes, int], Any], test: Callable[[bytes], bool]) -> Rows:
    """The rows that match an expression, which is looked for in all texts together.

    Where a text matches by itself, there is a match in all of them that begins there, and perhaps ends
    elsewhere: so what is found has to be tested, and what is not found need not.
    """
    # A line feed between them, so that most of what goes on as long as it can ends there.
    texts = block.texts
    lines = b"\n".join([texts[begin:end] for begin, end in pairwise(block.starts)]) + b"\n"
    spans = TextSpans(block.lengths, gap=1)
    rows: list[int] = []
    place = 0
    while place < spans.size:
        match = search(lines, place)
        if match is None or match.start() == spans.size:
            break
        begin = match.start()
        row, place = spans.row_at(begin)
        if test(texts[slice(*block.spans.of(row))]):
            rows.append(row)
    return rows
