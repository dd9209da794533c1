"""Which blocks of a packed segment may have a part of a text, by the words that there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress

from ccstore.storage.blocks.block_cache import BlockEntry
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.blocks.vocabulary import MOST_BLOCKS, ChunkHead, Piece, blocks_of, heads_for, pieces_of
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
        self._listed: dict[tuple[int, int], int] = {}
        self._left: dict[tuple[int, int], int] = {}
        # What is known of them is kept by this.
        self._keys: dict[tuple[int, int], tuple[Hashable, ...]] = {}

    def expect(self, entries: Sequence[BlockEntry]) -> Sequence[BlockEntry]:
        """It will be asked about some of these, and about no others of their segment.

        :return: those that may have it, as far as that was found out by an earlier question.
        """
        if not self._pieces:
            return entries
        by_place: defaultdict[tuple[int, int], list[BlockEntry]] = defaultdict(list)
        for entry in entries:
            by_place[entry.segment, entry.number // MOST_BLOCKS].append(entry)
        left: list[BlockEntry] = []
        for place, there in by_place.items():
            key = self._keys[place] = (*[entry.checksum for entry in there], *self._pieces)
            self._listed[place] = sum([1 << entry.number % MOST_BLOCKS for entry in there])
            known = self._dialect.block_cache.sieved(key)
            if known is None:
                self._left.pop(place, None)
                left += there
            else:
                self._left[place] = known
                left += [entry for entry in there if known >> entry.number % MOST_BLOCKS & 1]
        return left

    def may_have(self, part: Part, entry: BlockEntry) -> Reading[bool]:
        """Whether a block of a part may have it."""
        if not self._pieces:
            return True
        number, bit = divmod(entry.number, MOST_BLOCKS)
        place = entry.segment, number
        if place not in self._left:
            bits = self._listed[place]
            left: int | None = None
            # If the words are damaged, the blocks themselves have to be looked at.
            with suppress(Damaged):
                left = yield from self._sieved(part, number, bits)
            if left is not None:
                self._dialect.block_cache.note_sieved(self._keys[place], left)
            self._left[place] = bits if left is None else left
        return bool(self._left[place] >> bit & 1)

    def _sieved(self, part: Part, number: int, bits: int) -> Reading[int | None]:
        """Of some blocks those that may have all of it; None if there are no words yet."""
        last = max([max(piece.sorts) for piece in self._pieces])
        heads = yield from self._dialect.chunk_heads(part, number, last)
        # Letters come first, of which there always are some.
        if not heads:
            return None
        for piece in self._pieces:
            bits = yield from self._with_piece(part, number, piece, heads, bits)
            if not bits:
                break
        return bits

    def _with_piece(
        self, part: Part, number: int, piece: Piece, heads: Sequence[ChunkHead], bits: int
    ) -> Reading[int]:
        """Of some blocks those that may have a piece."""
        found = 0
        for run in heads_for(piece, heads):
            for chunk in (yield from self._dialect.chunks(part, number, run)):
                found |= blocks_of(chunk, piece, bits & ~found)
                if found == bits:
                    return bits
        return found
