"""Where texts begin and end, and which text a byte belongs to."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from ccstore.storage.blocks.text_spans import TextSpans

#: Of more texts than are added up together, with many that are empty.
LENGTHS = st.builds(
    lambda lengths, times: lengths * times,
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.sampled_from((1, 2, 7, 20)),
)


@given(LENGTHS, st.integers(0, 2))
def test_each_byte_belongs_to_the_text_that_has_it(lengths: list[int], gap: int) -> None:
    spans = TextSpans(lengths, gap)
    expected = [*pairwise(accumulate([length + gap for length in lengths], initial=0))]
    assert [spans.of(row) for row in range(len(lengths))] == expected
    assert spans.size == expected[-1][1]
    for row, (begin, end) in enumerate(expected):
        for place in range(begin, end):
            assert spans.row_at(place) == (row, end)
