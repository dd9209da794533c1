"""The steps of packing, one after the other, whoever takes them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from attrs import frozen

from ccstore.errors import StoreUnavailable
from ccstore.storage.blocks.block_format import PackedBlock
from ccstore.storage.blocks.tiles import TileSizes
from ccstore.storage.blocks.vocabulary import MOST_BLOCKS
from ccstore.storage.census import PackedCensus
from ccstore.storage.reading.dialect import Question
from ccstore.storage.sqlite.packer import StorePacker
from ccstore.storage.sqlite.packing_plan import PackingPlan
from ccstore.storage.sqlite.packing_questions import (
    CensusOf,
    CensusOfBlocks,
    PackedRemnant,
    PackedTile,
    Tile,
    TilesOf,
    WordsOf,
)


@frozen
class Ask:
    """A step: to be answered by whoever reads."""

    question: Question[Any]


@frozen
class Do:
    """A step: to be done in the writer's thread."""

    work: Callable[..., Any]
    arguments: Sequence[Any] = ()


@frozen
class Packed:
    """No step, but how far it has come.

    :ivar rows: that were packed since the last time.
    :ivar is_end: of a segment.
    """

    rows: int
    is_end: bool = False


Steps = Generator["Ask | Do | Packed", Any, bool]


def pack_once(
    packer: StorePacker, before: int, small_before: int, sizes: TileSizes, *, has_words: bool
) -> Steps:
    """Make one packed segment; False if there was nothing to do, or it could not be done.

    :param has_words: it gets an index of words.

    See :meth:`ccstore.storage.sqlite.packer.Packer.begin` for the times.
    """
    sent = yield Do(packer.begin, (before, small_before))
    if sent is None:
        return False
    plan = PackingPlan.unpack(sent)
    try:
        number = 0
        for question in (yield from _tiles(plan, sizes)):
            blocks: Sequence[PackedBlock] = yield Ask(question)
            for block in blocks:
                if not (yield Do(packer.insert, (plan.target, number, tuple(block)))):
                    return False
                number += 1
            # What was packed before is not counted again.
            yield Packed(sum([block.rows for block in blocks]) if plan.remnant is None else 0)
        for part in range(-(-number // MOST_BLOCKS) if has_words else 0):
            chunks = yield Ask(WordsOf(plan.target, part))
            if not (yield Do(packer.index, (plan.target, part, [*map(tuple, chunks)]))):
                return False
            yield Packed(0)
        census = (yield Ask(_census(plan, number))) if number else None
        is_done = bool((yield Do(packer.publish, (plan.target, tuple(census or ())))))
        yield Packed(0, is_end=True)
    except Exception as error:
        yield Do(packer.abandon, (plan.target, not isinstance(error, StoreUnavailable)))
        raise
    return is_done


def _tiles(plan: PackingPlan, sizes: TileSizes) -> Generator[Ask, Any, Sequence[Question[list[PackedBlock]]]]:
    """What to ask for the blocks, one after the other."""
    if plan.remnant is not None:
        begins = range(0, plan.remnant.blocks, sizes.blocks)
        return [PackedRemnant(plan.remnant, begin, sizes) for begin in begins]
    tiles: Sequence[Tile] = yield Ask(TilesOf(plan.kind, plan.sources, sizes))
    return [PackedTile(plan.kind, plan.sources, tile, sizes) for tile in tiles]


def _census(plan: PackingPlan, blocks: int) -> Question[PackedCensus] | Question[PackedCensus | None]:
    if plan.remnant is not None:
        return CensusOfBlocks(plan.target, blocks)
    return CensusOf(plan.segments, plan.first, plan.last, plan.rows)


def tidy(packer: StorePacker) -> Steps:
    """Take back the space of what was packed; True if there was any."""
    found = False
    while (yield Do(packer.tidy)):
        found = True
    return found
