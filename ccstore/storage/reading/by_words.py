"""Which blocks of a packed segment may have a part of a text, by the words that there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

from ccstore.storage.blocks.block_cache import BlockEntry
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.vocabulary import MOST_BLOCKS, Piece, blocks_of, pieces_of
from ccstore.storage.reading.dialect import Dialect, Part
from ccstore.storage.reading.statement import Reading


class WordSieve:
    """Leaves out blocks that cannot have what is looked for.

    :param needed: parts of texts that all have to be there, as UTF-8 in the lower case of ASCII.
    """

    def __init__(self, needed: Iterable[bytes], dialect: Dialect) -> None:
        self._dialect = dialect
        pieces = [piece for part in needed for piece in pieces_of(part)]
        # A letter or two are in some word of every block.
        useful = [piece for piece in dict.fromkeys(pieces) if piece.how == "is" or len(piece.text) > 2]
        self._pieces = sorted(useful, key=lambda each: (each.how != "is", each.how == "has", -len(each.text)))
        # By segment and vocabulary: the blocks that are to be told of, and of these those that may have it.
        self._listed: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._left: dict[tuple[int, int], int] = {}

    def expect(self, entries: Iterable[BlockEntry]) -> None:
        """It will be asked about some of these, and about no others."""
        for entry in entries:
            number, bit = divmod(entry.number, MOST_BLOCKS)
            self._listed[entry.segment, number] |= 1 << bit

    def may_have(self, part: Part, entry: BlockEntry) -> Reading[bool]:
        """Whether a block of a part may have it."""
        if not self._pieces:
            return True
        number, bit = divmod(entry.number, MOST_BLOCKS)
        place = entry.segment, number
        if place not in self._left:
            bits = self._listed[place]
            # If they are damaged, the blocks themselves have to be looked at.
            with suppress(Damaged):
                bits = yield from self._sieved(part, number, bits)
            self._left[place] = bits
        return bool(self._left[place] >> bit & 1)

    def _sieved(self, part: Part, number: int, bits: int) -> Reading[int]:
        for piece in self._pieces:
            found, is_known = 0, False
            for sort in piece.sorts:
                chunks = yield from self._dialect.chunks(part, number, sort, *_range_of(piece))
                is_known = is_known or bool(chunks)
                for chunk in chunks:
                    if found & bits == bits:
                        break
                    found |= blocks_of(chunk, piece, bits & ~found)
            if not is_known and not (yield from self._dialect.has_words(part, number)):
                return bits
            bits &= found
            if not bits:
                break
        return bits


def _range_of(piece: Piece) -> tuple[bytes | None, bytes | None]:
    """Between which words those are that a piece asks for, both included; None if they may be anywhere."""
    if piece.how == "is":
        return piece.text, piece.text
    if piece.how == "begins":
        # No byte of UTF-8 is that large.
        return piece.text, piece.text + b"\xff"
    return None, None
