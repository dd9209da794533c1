"""Windows of time in which a table is read."""

from __future__ import annotations

import random
from itertools import pairwise

from ccstore.storage.postgres.windows import Extent, windows


def test_they_are_all_of_the_time_in_the_order_of_reading() -> None:
    pick = random.Random(3)
    counts = set()
    for _ in range(500):
        edges = sorted(pick.sample(range(-1000, 1000), pick.randrange(2, 12)))
        extents = [
            Extent(low, high, pick.choice((0, 1, 50, 10_000)))
            for low, high in pairwise(edges)
            if pick.random() < 0.9
        ]
        begin, end = sorted((pick.randrange(-1100, 1100), pick.randrange(-1100, 1100)))
        for is_newest_first in (False, True):
            found = windows(extents, begin, end, is_newest_first=is_newest_first, first=100)
            ordered = found[::-1] if is_newest_first else found
            assert [low for low, _ in ordered] == [begin, *(high + 1 for _, high in ordered[:-1])]
            assert ordered[-1][1] == end
            assert all(low <= high for low, high in found)
            counts.add(len(found))
    assert {1, 2, 3, 4} <= counts


def test_the_first_ones_are_small() -> None:
    extents = [Extent(0, 1000, 1000), Extent(1000, 2000, 8000), Extent(5000, 6000, 0)]
    assert windows(extents, 0, 9999, is_newest_first=True, first=400) == [
        (1950, 9999),
        (1750, 1949),
        (600, 1749),
        (0, 599),
    ]
    assert windows(extents, 0, 9999, is_newest_first=False, first=400)[:2] == [(0, 399), (400, 1124)]
    assert windows(extents, 0, 300, is_newest_first=False, first=400) == [(0, 300)]
    assert windows([], -5, 5, is_newest_first=True, first=400) == [(-5, 5)]
