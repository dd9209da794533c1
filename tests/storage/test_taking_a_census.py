"""What a census holds of messages while it is taken."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ccstore.storage.census import CensusTaker, PackedCensus
from tests.support.stores import NOW

STREAMS = 4000
#: Bytes that are more than enough for the messages, and far less than a row of hours for each stream.
MOST = 48 << 20


@contextmanager
def few_bytes() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST


def taken(first: int, numbers: range) -> PackedCensus:
    """The census of a message of each stream now, and of one at another time."""
    streams, times = [*numbers], [first, *(NOW + number for number in numbers[1:])]
    taker = CensusTaker(first, times[-1], 66_000)
    taker.add(streams, times, dict.fromkeys(streams, streams[0]), ["info"] * len(streams))
    return taker.packed()


@pytest.mark.parametrize("first", [1, -(2**62)])
def test_one_message_of_a_wrong_clock_takes_no_memory_for_all_streams(first: int) -> None:
    with few_bytes():
        census = taken(first, range(STREAMS))
    assert census.cells is None
    assert census.first == first


def test_nor_does_it_where_censuses_are_united() -> None:
    # Each by itself has few steps.
    years = [taken(NOW - year * 365 * 86_400 * 10**9, range(year, year + 2)) for year in range(1, 12)]
    today = taken(NOW, range(STREAMS))
    assert today.cells is not None
    names = dict.fromkeys(range(STREAMS), 0)
    with few_bytes():
        taker = CensusTaker(years[-1].first, today.last, 66_000)
        for census in (*years, today):
            taker.add_census(census, names)
        united = taker.packed()
    assert united.cells is None
    assert united.last == today.last
