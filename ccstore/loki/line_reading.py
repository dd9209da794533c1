"""Lines of a query: rows of the store that have gone through the stages, with bounds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final

from attrs import evolve

from ccstore.loki.label_names import metadata_of, stream_labels
from ccstore.loki.loki_limits import Budget
from ccstore.loki.pipeline import Line, passes, steps_of
from ccstore.loki.planning import Plan
from ccstore.loki.spreading import MICROSECOND, spread
from ccstore.message import INT64_MAX, INT64_MIN
from ccstore.query import Page, Selection

#: Rows of the first page, if more than that are wanted, and of the largest.
_FIRST: Final = 500
_LARGEST: Final = 20_000
#: Rows that go through the stages in one go.
_AT_A_TIME: Final = 200

#: Gives the first page of a selection, of at most so many rows.
Ask = Callable[[Selection, int], Awaitable[Page]]


async def lines_of(
    ask: Ask, plan: Plan, begin: int, end: int, budget: Budget, *, is_newest_first: bool, first: int = _FIRST
) -> AsyncGenerator[Sequence[Line], None]:
    """The lines from between two times (ns), the second of which does not belong to it, in parts.

    :param first: rows that are asked for at first.
    """
    selection = evolve(
        plan.selection,
        begin=max(begin, INT64_MIN),
        end=min(end, INT64_MAX + 1),
        is_newest_first=is_newest_first,
    )
    budget.asks(selection)
    steps = steps_of(plan.stages)
    size = first
    while selection.begin < selection.end:
        page = await ask(selection, size)
        budget.lack(page.losses)
        for start in range(0, len(page.rows), _AT_A_TIME):
            part = []
            for row in page.rows[start : start + _AT_A_TIME]:
                stream = stream_labels(page.streams[row.stream])
                line = Line(row.time, row.text, stream, metadata_of(row.othertags))
                budget.characters += len(row.text)
                if passes(line, steps):
                    part.append(line)
            budget.looked_at += min(_AT_A_TIME, len(page.rows) - start)
            yield part
            await budget.work(_AT_A_TIME, _AT_A_TIME)
        if not page.is_cut or budget.is_spent():
            return
        selection = evolve(selection, after=page.rows[-1].position)
        size = min(4 * size, _LARGEST)


async def newest_lines(
    ask: Ask,
    plan: Plan,
    begin: int,
    end: int,
    limit: int,
    budget: Budget,
    *,
    is_newest_first: bool,
    apart: int = 0,
) -> list[Line]:
    """So many lines from the end of a time, or from its beginning, with times by which they can be paged.

    Whoever pages goes on at the time of the last line. So lines of one nanosecond, of which there may be more
    than fit into a page, have times of their own within their microsecond, the same ones whatever is asked.

    :param apart: nanoseconds; lines that are closer than that to the one before them are left out.
    """
    found: list[Line] = []
    bucket: list[Line] = []
    first = begin - begin % MICROSECOND
    last = end + -end % MICROSECOND

    def take() -> None:
        if not is_newest_first:
            spread(bucket, budget.limits.tied)
        else:
            bucket.reverse()
            spread(bucket, budget.limits.tied)
            bucket.reverse()
        for line in bucket:
            if begin <= line.time < end and not (found and abs(line.time - found[-1].time) < apart):
                found.append(line)
        bucket.clear()

    asked = lines_of(
        ask, plan, first, last, budget, is_newest_first=is_newest_first, first=min(limit + 1, _LARGEST)
    )
    async with aclosing(asked) as parts:
        async for part in parts:
            for line in part:
                if bucket and bucket[-1].time // MICROSECOND != line.time // MICROSECOND:
                    take()
                    if len(found) >= limit:
                        return found[:limit]
                bucket.append(line)
            if len(bucket) > budget.limits.together:
                budget.warn(
                    f"the answer is cut: more than {budget.limits.together} lines are of one microsecond,"
                    " choose fewer"
                )
                break
    take()
    return found[:limit]
