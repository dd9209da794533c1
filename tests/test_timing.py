"""Units of time, and waiting before another attempt."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ccstore.timing import SECOND, Backoff, nanoseconds, seconds


@given(st.integers(-(10**9), 10**9), st.integers(0, SECOND - 1))
def test_seconds_and_nanoseconds_are_turned_into_one_another(whole: int, rest: int) -> None:
    assert nanoseconds(whole) == whole * SECOND
    assert seconds(whole * SECOND + rest) == whole


def test_each_wait_is_twice_as_long_up_to_a_bound() -> None:
    backoff = Backoff(1.0, 5.0)
    assert not backoff.has_begun
    assert [backoff.next() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.has_begun
    backoff.reset()
    assert backoff.next() == 1.0


@given(st.integers(0, 2**32))
def test_by_chance_a_wait_is_cut_by_up_to_a_half(seed: int) -> None:
    whole, cut = Backoff(1.0, 30.0), Backoff(1.0, 30.0, Random(seed))
    waits = [(whole.next(), cut.next()) for _ in range(8)]
    assert all(longest / 2 <= wait <= longest for longest, wait in waits)
    assert len({wait / longest for longest, wait in waits}) > 1
