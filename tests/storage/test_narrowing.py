"""Windows of time behind a page."""

from __future__ import annotations

import random

from ccstore.query import Row
from ccstore.storage.reading.dialect import Part
from ccstore.storage.reading.narrowing import narrowed, span_of

PART = Part("log", ("logs",), None, None)


def test_they_are_all_of_the_time_that_the_parts_are() -> None:
    pick = random.Random(3)
    for _ in range(300):
        begin, end = sorted((pick.randrange(-1000, 1000), pick.randrange(-1000, 1000)))
        middle = pick.randrange(begin, end + 1)
        windows = [PART._replace(oldest=begin, newest=middle, is_window=True)]
        if middle < end:
            windows.append(PART._replace(oldest=middle + 1, newest=end, is_window=True))
        for parts in ([PART], windows):
            for is_newest_first in (False, True):
                span = pick.choice((1, 7, 100, 10**6))
                found = sorted(narrowed(parts, begin, end, span, is_newest_first=is_newest_first))
                assert all(each.is_window for each in found)
                times = [(each.oldest or 0, each.newest or 0) for each in found]
                assert [low for low, _ in times] == [begin, *(high + 1 for _, high in times[:-1])]
                assert times[-1][1] == end
                assert all(low <= high for low, high in times)


def test_the_first_one_is_as_long_as_was_said() -> None:
    newest = narrowed([PART], -900, 99, 40, is_newest_first=True)
    assert sorted((each.oldest, each.newest) for each in newest) == [
        (-900, -541),
        (-540, -61),
        (-60, 59),
        (60, 99),
    ]
    oldest = narrowed([PART], -900, 99, 400, is_newest_first=False)
    assert sorted((each.oldest, each.newest) for each in oldest) == [(-900, -501), (-500, 99)]


def test_what_has_an_order_stays_as_it_is() -> None:
    blocks = PART._replace(order="blocks", oldest=5, newest=500)
    assert [*narrowed([blocks], 0, 1000, 10, is_newest_first=True)] == [blocks]


def test_how_long_the_next_rows_take() -> None:
    rows = [Row(time, "log", 1, 1, "", None) for time in (900, 500, 100)]
    assert span_of(rows, 30) == 10_001
    assert span_of(rows[::-1], 3) == 1001
    assert span_of(rows[:1], 100) == 1
