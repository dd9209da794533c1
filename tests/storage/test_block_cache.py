"""What is kept of blocks, and what a few rows of one are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ccstore.storage.blocks.block_cache import BlockCache, BlockEntry, HeldBlock
from ccstore.storage.blocks.block_format import COLUMNS, PlainRow, pack_block

#: Times of a few streams; ids are given in the order of arrival, which is not that of the times.
ROWS = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 400)), min_size=1, max_size=120)


def held(rows: list[PlainRow]) -> HeldBlock:
    packed = pack_block(rows)
    block = HeldBlock(BlockEntry(1, 0, *packed[:5], packed.checksum))
    block.columns.update({name: getattr(packed, name) for name in COLUMNS})
    return block


@given(ROWS, st.sampled_from((1, 10**9, 2**50)), st.data())
def test_the_ids_of_a_few_rows_are_those_that_they_have(
    given_rows: list[tuple[int, int]], unit: int, data: st.DataObject
) -> None:
    rows = sorted((stream, time * unit, number) for number, (stream, time) in enumerate(given_rows))
    block = held([(*row, "", None) for row in rows])
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=80))
    assert [*block.ids_of(picked)] == [rows[row][2] for row in picked]


def test_which_streams_a_block_has_is_known_once_it_was_noted() -> None:
    cache = BlockCache(1)
    for streams in ((3, 7, 2**31), (-5, 2**40)):
        block = held([(stream, 0, number, "", None) for number, stream in enumerate(streams)])
        cache.forget(block.entry)
        entry = block.entry._replace(number=len(streams))
        block.entry = entry
        assert cache.may_have(entry, frozenset({1000}))
        cache.note(block)
        for stream in streams:
            assert cache.may_have(entry, frozenset({1000, stream}))
            assert cache.may_have(entry, frozenset({*range(1000, 2000), stream}))
        assert not cache.may_have(entry, frozenset({1000, 2**50}))
        assert not cache.may_have(entry, frozenset(range(1000, 2000)))
