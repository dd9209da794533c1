"""The words of packed messages, by which is found which blocks a part of a text may be in.

A text is searched for any part of it, not only for words. So the words stand there as they are, in order and
packed, and are themselves searched: a part of a text that has something between words has whole words, or
ends of words, between them. Letters, digits, and what mixes both are apart, digits also by their number: what
is looked for is looked for where it can be. A word may be in some of up to :data:`MOST_BLOCKS` blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final, Literal, NamedTuple

from ccstore.storage.blocks.packed_numbers import pack, unpack

#: That share a vocabulary: a set of them is a number of as many bits.
MOST_BLOCKS: Final = 32
#: In lower case, as ASCII has it; a byte of another character belongs to a word.
_WORD: Final = re.compile(rb"[0-9a-z\x80-\xff]+")
_DIGITS: Final = re.compile(rb"[0-9]+")
#: Sorts of words: those without digits, those that mix; digits alone are of a sort of their own by number.
LETTERS: Final = 0
MIXED: Final = 1
_FIRST_OF_DIGITS: Final = 2
#: Digits from which on their number does not matter.
_LONG: Final = 20
#: Words of a chunk: what is looked for by its beginning is found in one or two.
_CHUNK: Final = 4096
#: The code of a word that is in several blocks.
_SEVERAL: Final = MOST_BLOCKS
#: Bytes of a set of blocks.
_MASK: Final = 4


class Chunk(NamedTuple):
    """Some words of one sort, as they are stored.

    :ivar sort: :data:`LETTERS`, :data:`MIXED`, or two more than the number of digits is.
    :ivar first: the first word.
    :ivar words: all of them in order, each behind a line feed, and one at the end; packed.
    :ivar codes: for each word the number of its block, or :data:`MOST_BLOCKS` for several; packed.
    :ivar masks: for each of these the set of its blocks as 4 bytes, the low one first; packed.
    """

    sort: int
    first: bytes
    words: bytes
    codes: bytes
    masks: bytes


class ChunkHead(NamedTuple):
    """Which chunk of a vocabulary: its sort and its first word."""

    sort: int
    first: bytes


class Piece(NamedTuple):
    """What a word of a text has to be like for a part of a text to be in there.

    :ivar sorts: of words that are to be searched.
    """

    text: bytes
    how: Literal["is", "begins", "ends", "has"]
    sorts: tuple[int, ...]


def sort_of(word: bytes) -> int:
    """The sort of a word."""
    if word.isdigit():
        return _FIRST_OF_DIGITS + min(len(word), _LONG)
    return MIXED if _DIGITS.search(word) else LETTERS


def pieces_of(part: bytes) -> list[Piece]:
    """The words that a part of a text, in lower case, consists of; what helps most comes first."""
    found = []
    for word in _WORD.finditer(part):
        text = word[0]
        begins, ends = word.start() > 0, word.end() < len(part)
        if begins and ends:
            found.append(Piece(text, "is", (sort_of(text),)))
        elif begins or ends:
            found.append(Piece(text, "begins" if begins else "ends", _sorts_around(text)))
        else:
            found.append(Piece(text, "has", _sorts_around(text)))
    return sorted(found, key=lambda piece: (piece.how != "is", piece.how == "has", -len(piece.text)))


def _sorts_around(text: bytes) -> tuple[int, ...]:
    """The sorts of the words that may have this in them."""
    sort = sort_of(text)
    if sort == LETTERS:
        return (LETTERS, MIXED)
    if sort == MIXED:
        return (MIXED,)
    return (MIXED, *range(sort, _FIRST_OF_DIGITS + _LONG + 1))


def heads_for(piece: Piece, heads: Sequence[ChunkHead]) -> list[list[ChunkHead]]:
    """The chunks of a vocabulary that may have words that a piece asks for.

    :param heads: of all its chunks, in their order.
    :return: those of each sort that follow one on the other.
    """
    runs: list[list[ChunkHead]] = []
    is_before = False
    for head, following in zip_longest(heads, heads[1:]):
        is_meant = head.sort in piece.sorts and _may_have(
            piece, head, following.first if following is not None and following.sort == head.sort else None
        )
        if is_meant and is_before and runs[-1][0].sort == head.sort:
            runs[-1].append(head)
        elif is_meant:
            runs.append([head])
        is_before = is_meant
    return runs


def _may_have(piece: Piece, head: ChunkHead, behind: bytes | None) -> bool:
    """Whether a chunk may have words that a piece asks for.

    :param behind: a word that comes behind all of its own; None if there are none of its sort behind it.
    """
    text, how, (sort, first) = piece.text, piece.how, head
    if how == "is":
        return first <= text and (behind is None or text < behind)
    if how == "begins":
        # No byte of UTF-8 is that large.
        return first <= text + b"\xff" and (behind is None or text < behind)
    digits = sort - _FIRST_OF_DIGITS
    if not (0 < digits < _LONG and first.isdigit()):
        return True
    # Such words are numbers of so many digits: those that have the text at a place are from one to another
    # again and again, and it is looked for the first one from the first word on.
    least, most = int(first), 10**digits - 1 if behind is None else int(behind) - 1
    number, size = int(text), 10 ** len(text)
    for unit in (1,) if how == "ends" else [10**place for place in range(digits - len(text) + 1)]:
        found = least // unit // size * size * unit + number * unit
        if found + unit <= least:
            found += size * unit
        if found <= most:
            return True
    return False


class VocabularyTaker:
    """Takes the words of up to :data:`MOST_BLOCKS` blocks."""

    def __init__(self) -> None:
        # The blocks of each word, as a set of bits.
        self._known: dict[bytes, int] = {}

    def add(self, number: int, texts: bytes) -> None:
        """Add the words of a block.

        :param number: of the block, from 0.
        :param texts: all of them in lower case, with something between them that belongs to no word.
        """
        known, bit = self._known, 1 << number
        for word in {*_WORD.findall(texts)}:
            known[word] = known.get(word, 0) | bit

    def packed(self) -> Iterator[Chunk]:
        """What is to be stored, in the order of sorts and words."""
        by_sort: dict[int, list[bytes]] = {}
        for word in self._known:
            by_sort.setdefault(sort_of(word), []).append(word)
        for sort, words in sorted(by_sort.items()):
            words.sort()
            for start in range(0, len(words), _CHUNK):
                yield self._chunk(sort, words[start : start + _CHUNK])

    def _chunk(self, sort: int, words: Sequence[bytes]) -> Chunk:
        sets = [self._known[word] for word in words]
        codes = bytes([_SEVERAL if each & (each - 1) else each.bit_length() - 1 for each in sets])
        masks = b"".join([each.to_bytes(_MASK, "little") for each in sets if each & (each - 1)])
        plain = b"\n" + b"\n".join(words) + b"\n"
        return Chunk(sort, words[0], *(pack(part) for part in (plain, codes, masks)))


def blocks_of(chunk: Chunk, piece: Piece, among: int) -> int:
    """The blocks that have a word of this chunk that a piece asks for, as a set of bits.

    :param among: those that matter: it is enough to find all of these.

    Raises :class:`ccstore.storage.blocks.packed_numbers.Damaged`.
    """
    plain = unpack(chunk.words)
    is_begun = piece.how in ("is", "begins")
    text = b"\n" * is_begun + piece.text + b"\n" * (piece.how in ("is", "ends"))
    place = plain.find(text)
    if place < 0:
        return 0
    codes, masks = unpack(chunk.codes), unpack(chunk.masks)
    found = number = counted = 0
    while place >= 0 and found & among != among:
        # Before a word there is a line feed more than there are words before it.
        begin = place + is_begun
        number += plain.count(b"\n", counted, begin)
        counted = begin
        code = codes[number - 1]
        if code == _SEVERAL:
            start = _MASK * codes.count(_SEVERAL, 0, number - 1)
            found |= int.from_bytes(masks[start : start + _MASK], "little")
        else:
            found |= 1 << code
        place = plain.find(text, plain.index(b"\n", begin))
    return found & among
