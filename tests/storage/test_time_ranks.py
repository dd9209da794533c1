"""The places of rows in the order of their times, each by itself and all in order: they are the same."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.storage.blocks.block_format import in_time
from ccstore.storage.blocks.time_ranks import TimeRanks

#: Around a time, some close to each other and some far from each other, so that many are the same.
TIMES = st.builds(
    lambda begin, steps, unit: [max(min(begin + step * unit, INT64_MAX), INT64_MIN) for step in steps],
    st.sampled_from((0, -5, 1_700_000_000 * 10**9, INT64_MIN, INT64_MAX, -(10**9), 2**40 - 3)),
    st.lists(st.integers(-300, 300), min_size=1, max_size=60),
    st.sampled_from((1, 7, 256, 10**9, 2**32, 2**44 + 1, 2**54, 2**62)),
)


@given(TIMES)
@example([255, 256, 0, 511, 256, 257])
@example([INT64_MIN, INT64_MAX, -1, 0, 1])
def test_each_place_is_that_of_all_in_order(times: list[int]) -> None:
    ranks = TimeRanks(times, min(times), max(times))
    expected = [*range(len(times))]
    for place, row in enumerate(in_time(times)):
        expected[row] = place
    assert [ranks.of(row) for row in range(len(times))] == expected
