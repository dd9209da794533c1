"""A block: some thousand messages of one kind, packed; its columns lie apart, and are unpacked one by one."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence, Sized
from functools import cached_property
from itertools import accumulate, chain, groupby, pairwise, repeat
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

from ccstore.storage.blocks.packed_numbers import (
    Damaged,
    StoredNumbers,
    pack,
    pack_distances,
    pack_numbers,
    unpack,
    unpack_numbers,
)
from ccstore.storage.blocks.text_spans import TextSpans

#: Bytes of the length of the other tags that stand before them.
_COUNT: Final = 4
_FIRST: Final = itemgetter(0)
_OTHER_LENGTHS: Final = "the texts do not have the lengths that are said"
_NO_SUCH_TAGS: Final = "a row has tags that are not there"

#: Stream, time (ns), id, text, and the other tags as JSON.
PlainRow = tuple[int, int, int, str, "str | None"]
_Sized = TypeVar("_Sized", bound=Sized)


class PackedBlock(NamedTuple):
    """As it is stored; what is asked for first comes first.

    The rows are in the order of their streams, whichever order of those that is, and then of time and id.

    :ivar rows: how many.
    :ivar first_time: of the oldest, in nanoseconds; ``last_time`` is that of the newest.
    :ivar min_id: the least of their ids, as ``max_id`` is the greatest.
    :ivar streams: the numbers of the streams in their order, and how many rows each has.
    :ivar times: of the rows.
    :ivar ids: of the rows in the order of their times, in which they are nearly consecutive.
    :ivar lengths: of the texts, in bytes of UTF-8.
    :ivar tag_codes: for each row, which of the sets of other tags it has.
    :ivar tags: these sets.
    :ivar texts: one behind the other.
    :ivar checksum: of all the others.
    """

    rows: int
    first_time: int
    last_time: int
    min_id: int
    max_id: int
    streams: bytes
    times: bytes
    ids: bytes
    lengths: bytes
    tag_codes: bytes
    tags: bytes
    texts: bytes
    checksum: int


#: The columns of a block that are bytes.
COLUMNS: Final = PackedBlock._fields[PackedBlock._fields.index("streams") : -1]


# In one: each property is a column, and most of them are one line.
class Block:
    """A block of which each column is unpacked when it is asked for, and kept.

    What is asked for raises :class:`ccstore.storage.blocks.packed_numbers.Damaged` if it is not as it was.

    :param rows: how many.
    :param columns: those of :data:`COLUMNS` that will be needed.
    """

    def __init__(self, rows: int, columns: Mapping[str, bytes]) -> None:
        self.rows = rows
        self._columns = columns

    @classmethod
    def of(cls, packed: PackedBlock) -> Block:
        """One of which all is at hand."""
        return cls(packed.rows, packed._asdict())

    @cached_property
    def runs(self) -> Sequence[tuple[int, int]]:
        """The streams in the order of the rows, and how many rows each has."""
        return _with_counts(*self.run_ends)

    @cached_property
    def run_ends(self) -> tuple[Sequence[int], Sequence[int]]:
        """The streams in the order of the rows, and without which row each ends."""
        return _ends_of(self._columns["streams"], self.rows)

    @cached_property
    def streams(self) -> Sequence[int]:
        """The stream of each row."""
        return [*chain.from_iterable([repeat(stream, count) for stream, count in self.runs])]

    def stream(self, row: int) -> int:
        """The stream of a row."""
        streams, ends = self.run_ends
        return streams[bisect_right(ends, row)]

    @cached_property
    def times(self) -> Sequence[int]:
        """The time of each row, in nanoseconds."""
        return self._sized(unpack_numbers("q", self._columns["times"]))

    @cached_property
    def ids_by_time(self) -> StoredNumbers:
        """The ids of the rows in the order of their times; those of one time as they stand."""
        numbers = StoredNumbers("q", self._columns["ids"])
        self._sized(numbers)
        return numbers

    @cached_property
    def ids(self) -> Sequence[int]:
        """The id of each row."""
        ids = [0] * self.rows
        for row, number in zip(in_time(self.times), self.ids_by_time.all(), strict=True):
            ids[row] = number
        return ids

    @cached_property
    def lengths(self) -> Sequence[int]:
        """The bytes of each text."""
        return self._sized(unpack_numbers("I", self._columns["lengths"]))

    @cached_property
    def starts(self) -> Sequence[int]:
        """Where in :attr:`texts` each text begins, and behind those where the last one ends."""
        starts = [*accumulate(self.lengths, initial=0)]
        if len(self.texts) != starts[-1]:
            raise Damaged(_OTHER_LENGTHS)
        return starts

    @cached_property
    def spans(self) -> TextSpans:
        """The same, for a few of them."""
        spans = TextSpans(self.lengths)
        if len(self.texts) != spans.size:
            raise Damaged(_OTHER_LENGTHS)
        return spans

    @cached_property
    def texts(self) -> bytes:
        """The texts of all rows, as UTF-8; whoever looks for something that is in none needs no lengths."""
        return unpack(self._columns["texts"])

    def text(self, row: int) -> str:
        """The text of a row."""
        begin, end = self.spans.of(row)
        return self.texts[begin:end].decode()

    @cached_property
    def _joined_tags(self) -> tuple[bytes, Sequence[int]]:
        """The sets of other tags one behind the other, and where each begins and the last one ends."""
        plain = unpack(self._columns["tags"])
        size = int.from_bytes(plain[:_COUNT], "little")
        lengths = unpack_numbers("I", plain[_COUNT : _COUNT + size])
        joined = plain[_COUNT + size :]
        ends = [*accumulate(lengths, initial=0)]
        if len(joined) != ends[-1]:
            raise Damaged("the tags do not have the lengths that are said")
        return joined, ends

    @cached_property
    def tag_sets(self) -> Sequence[str | None]:
        """The sets of other tags that there are, as JSON; the first is that of rows without any."""
        joined, ends = self._joined_tags
        return [None, *(joined[a:b].decode() for a, b in pairwise(ends))]

    @cached_property
    def _codes(self) -> Sequence[int]:
        return self._sized(unpack_numbers("I", self._columns["tag_codes"]))

    @cached_property
    def tag_codes(self) -> Sequence[int]:
        """For each row, its place in :attr:`tag_sets`."""
        if self._codes and max(self._codes) >= len(self._joined_tags[1]):
            raise Damaged(_NO_SUCH_TAGS)
        return self._codes

    def tags(self, row: int) -> str | None:
        """The other tags of a row, as JSON; of a few rows it takes less than all sets."""
        code = self._codes[row]
        if not code:
            return None
        joined, ends = self._joined_tags
        if code >= len(ends):
            raise Damaged(_NO_SUCH_TAGS)
        return joined[ends[code - 1] : ends[code]].decode()

    def row(self, row: int) -> PlainRow:
        """All of a row."""
        return self.stream(row), self.times[row], self.ids[row], self.text(row), self.tags(row)

    def _sized(self, numbers: _Sized) -> _Sized:
        if len(numbers) != self.rows:
            raise Damaged(f"a column has {len(numbers)} rows and not {self.rows}")
        return numbers


def is_whole(packed: PackedBlock) -> bool:
    """Nothing is different from what was packed."""
    return packed.checksum == checksum_of(packed[:-1])


def in_time(times: Sequence[int]) -> list[int]:
    """The places of the times in their order; of those that are the same, as they stand."""
    return sorted(range(len(times)), key=times.__getitem__)


def runs_of(packed: bytes, rows: int) -> list[tuple[int, int]]:
    """Undo what was done to :attr:`PackedBlock.streams`; raises :class:`Damaged`.

    :param rows: of the block.
    """
    return _with_counts(*_ends_of(packed, rows))


def _ends_of(packed: bytes, rows: int) -> tuple[Sequence[int], Sequence[int]]:
    numbers = unpack_numbers("q", packed)
    half = len(numbers) // 2
    streams, ends = [*numbers[:half]], [*numbers[half:]]
    if len(ends) != half or ends[-1:] != [rows] or ends != sorted(ends):
        raise Damaged("the streams do not have as many rows as are said")
    return streams, ends


def _with_counts(streams: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int]]:
    return [*zip(streams, map(int.__sub__, ends, [0, *ends]), strict=False)]


def pack_block(rows: Sequence[PlainRow]) -> PackedBlock:
    """Pack rows, of which those of one stream stand together, by time and id.

    Raises :class:`Damaged` if what comes out of it again is not what went in.
    """
    streams, times, ids, texts, tags = zip(*rows, strict=True)
    encoded = [text.encode() for text in texts]
    joined = b"".join(encoded)
    order = in_time(times)
    codes: dict[str | None, int] = {None: 0}
    tag_codes = [codes.setdefault(each, len(codes)) for each in tags]
    numbers = (len(rows), min(times), max(times), min(ids), max(ids))
    columns = (
        _pack_runs(streams),
        pack_distances(times),
        pack_distances([*map(ids.__getitem__, order)]),
        pack_numbers("I", [*map(len, encoded)]),
        pack_numbers("I", tag_codes),
        _pack_tags([tag for tag in codes if tag is not None]),
        pack(joined),
    )
    packed = PackedBlock(*numbers, *columns, checksum_of((*numbers, *columns)))
    block = Block.of(packed)
    if not (
        [*block.streams] == [*streams]
        and [*block.times] == [*times]
        and [*block.ids] == [*ids]
        and [*block.lengths] == [*map(len, encoded)]
        and block.texts == joined
        and [*map(block.tag_sets.__getitem__, block.tag_codes)] == [*tags]
    ):
        raise Damaged("what was packed is not what comes out of it")
    return packed


def _pack_runs(streams: Sequence[int]) -> bytes:
    runs = [(stream, sum(1 for _ in run)) for stream, run in groupby(streams)]
    # Sums of the counts, so that distances give the counts.
    return pack_distances([stream for stream, _ in runs] + [*accumulate([count for _, count in runs])])


def _pack_tags(sets: Sequence[str]) -> bytes:
    encoded = [tags.encode() for tags in sets]
    lengths = pack_numbers("I", [*map(len, encoded)])
    return pack(len(lengths).to_bytes(_COUNT, "little") + lengths + b"".join(encoded))


def checksum_of(parts: Sequence[int | bytes]) -> int:
    """The checksum of all that comes before it in a :class:`PackedBlock`."""
    checksum = 0
    for part in parts:
        plain = part if isinstance(part, bytes) else part.to_bytes(8, "little", signed=True)
        checksum = zlib.crc32(plain, zlib.crc32(len(plain).to_bytes(8, "little"), checksum))
    return checksum
