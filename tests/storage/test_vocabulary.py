"""The words of packed messages, and what is found by them."""

from __future__ import annotations

from functools import reduce
from itertools import chain
from operator import or_
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.vocabulary import (
    MOST_BLOCKS,
    Chunk,
    ChunkHead,
    Piece,
    VocabularyTaker,
    blocks_of,
    heads_for,
    pieces_of,
    sort_of,
)

#: Texts whose words are often alike, in parts and as a whole.
WORDS = st.text("ab12_ .é\n", max_size=8)
BLOCKS = st.lists(st.lists(WORDS, max_size=6), min_size=1, max_size=MOST_BLOCKS)


def chunks_of(blocks: list[bytes]) -> list[Chunk]:
    taker = VocabularyTaker()
    for number, texts in enumerate(blocks):
        taker.add(number, texts)
    return [*taker.packed()]


def found(chunks: list[Chunk], part: bytes, count: int) -> set[int]:
    """The blocks that may have a part of a text."""
    left = (1 << count) - 1
    heads = [ChunkHead(chunk.sort, chunk.first) for chunk in chunks]
    for piece in pieces_of(part):
        meant = [*chain(*heads_for(piece, heads))]
        sought = [blocks_of(chunk, piece, left) for chunk in chunks if (chunk.sort, chunk.first) in meant]
        left &= reduce(or_, sought, 0)
    return {number for number in range(count) if left >> number & 1}


@given(BLOCKS, WORDS)
def test_no_block_with_the_part_is_missed(blocks: list[list[str]], part: str) -> None:
    encoded = [b"\0".join(text.lower().encode() for text in texts) for texts in blocks]
    sought = part.lower().encode()
    there = {
        number
        for number, texts in enumerate(blocks)
        if any(sought in text.lower().encode() for text in texts)
    }
    assert there <= found(chunks_of(encoded), sought, len(blocks))


def test_only_blocks_with_such_words_are_found() -> None:
    blocks = [
        b"node a0101 down\0job 123456 ended",
        b"node a0102 up\0job 1234567 ended",
        b"\xc3\xa9t\xc3\xa9 0x7f3a",
    ]
    chunks = chunks_of(blocks)
    for part, expected in (
        (b"node", {0, 1}),
        (b"od", {0, 1}),
        (b"a0101", {0}),
        (b"123456", {0, 1}),
        (b"job 123456 ", {0}),
        (b"b 12345", {0, 1}),
        (b"4567 en", {1}),
        (b"7f3", {2}),
        (b"x7", {2}),
        (b"\xa9t", {2}),
        (b"a0101 down", {0}),
        (b"a0102 down", set()),
        (b"nothing", set()),
        (b": ", {0, 1, 2}),
        (b"", {0, 1, 2}),
    ):
        assert found(chunks, part, 3) == expected, part


def test_what_helps_most_is_looked_for_first() -> None:
    assert [piece[:2] for piece in pieces_of(b"ab cde 12 fg")] == [
        (b"cde", "is"),
        (b"12", "is"),
        (b"ab", "ends"),
        (b"fg", "begins"),
    ]
    assert [piece.how for piece in pieces_of(b"word")] == ["has"]


def test_many_words_are_divided() -> None:
    """Each is found in the chunk that begins before it; a word of many blocks has all of them."""
    blocks = [
        b" ".join(b"%d" % (number * 32 + place) for number in range(1000)) + b" all" for place in range(32)
    ]
    chunks = chunks_of(blocks)
    assert len(chunks) > 5
    assert [*chunks] == sorted(chunks, key=lambda chunk: (chunk.sort, chunk.first))
    assert found(chunks, b" 16037 ", 32) == {16037 % 32}
    assert found(chunks, b"all", 32) == {*range(32)}
    (chunk,) = [each for each in chunks if each.first == b"all"]
    assert blocks_of(chunk, Piece(b"all", "is", (chunk.sort,)), 6) == 6


#: Words of one sort in order, divided.
SORTED = st.builds(
    lambda words, size: [words[start : start + size] for start in range(0, len(words), size)],
    st.one_of(
        st.integers(1, 5).flatmap(
            lambda size: st.sets(st.integers(0, 10**size - 1).map(lambda number: b"%0*d" % (size, number)))
        ),
        st.sets(st.text("ab", min_size=1, max_size=4).map(str.encode)),
    ).map(sorted),
    st.integers(1, 4),
)
SOUGHT = st.sampled_from(("is", "begins", "ends", "has"))


@given(SORTED, st.one_of(st.integers(0, 9999).map(lambda number: b"%d" % number), st.just(b"ab")), SOUGHT)
@example([[b"1100", b"1199"], [b"1200", b"1210"]], b"12", "has")
@example([[b"1099", b"1100"], [b"2099"]], b"99", "ends")
def test_no_chunk_with_such_a_word_is_left_out(divided: list[list[bytes]], text: bytes, how: Any) -> None:
    heads = [ChunkHead(sort_of(words[0]), words[0]) for words in divided]
    piece = Piece(text, how, (1, *range(2, 30)) if text.isdigit() else (0, 1))
    meant = {head.first for head in chain(*heads_for(piece, heads))}
    tests = {
        "is": bytes.__eq__,
        "begins": bytes.startswith,
        "ends": bytes.endswith,
        "has": bytes.__contains__,
    }
    for words in divided:
        if sort_of(words[0]) in piece.sorts and any(tests[how](word, text) for word in words):
            assert words[0] in meant


def test_only_chunks_that_can_have_a_number_are_looked_at() -> None:
    """Of numbers that follow one on the other; where the last chunk ends is not known."""
    heads = [ChunkHead(sort_of(b"1000000"), b"%d" % first) for first in range(1_000_000, 2_000_000, 1000)]
    for text, expected in (
        (b"1234567", [b"1234000"]),
        (b"123456", [b"1123000", b"1234000", b"1999000"]),
        (b"99999", [b"1099000", b"1199000", b"1299000", b"1399000", b"1499000"]),
    ):
        (piece,) = pieces_of(text)
        found = [head.first for head in chain(*heads_for(piece, heads))]
        assert found[:5] == expected, text


def test_damage_is_told() -> None:
    (chunk,) = chunks_of([b"word"])
    with pytest.raises(Damaged):
        blocks_of(chunk._replace(words=chunk.words[:-1]), pieces_of(b"word")[0], 1)
