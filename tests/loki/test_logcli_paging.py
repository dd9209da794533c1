"""Pages as logcli asks for them: each begins at the time of the last line of the one before."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ccstore.loki.pipeline import Line
from ccstore.loki.spreading import MICROSECOND, spread
from tests.support.loki_case import BASE, SECOND, LokiTestCase, line


class PagingTests(LokiTestCase):
    """All lines come, each once, whatever the size of a page is."""

    async def paged(
        self, query: str, batch: int, limit: int, *, is_forward: bool, begin: int = BASE - SECOND
    ) -> list[str]:
        """The lines that logcli prints, in its order; it is done as logcli does it."""
        printed: list[str] = []
        end = BASE + 100 * SECOND
        last: list[tuple[str, str]] = []
        while not limit or len(printed) < limit:
            size = batch
            if limit and limit - len(printed) < size:
                size = limit - len(printed) + len(last)
            direction = "FORWARD" if is_forward else "BACKWARD"
            data = await self.data(
                "query_range", query=query, limit=size, start=begin, end=end, direction=direction
            )
            entries: list[tuple[str, str]] = [
                (value[0], value[1]) for stream in data["result"] for value in stream["values"]
            ]
            entries.sort(key=lambda each: int(each[0]), reverse=not is_forward)
            new = [each for each in entries if each not in last]
            printed += [text for _, text in new]
            if not new:
                break
            last = [each for each in entries if each[0] == entries[-1][0]]
            self.assertLess(len(last), batch, "logcli gives up")
            if len(new) == limit:
                break
            if is_forward:
                begin = int(last[0][0])
            else:
                end = int(last[0][0]) + 1
        return printed

    async def check(self, expected: list[str], **given: Any) -> None:
        for is_forward in (True, False):
            ordered = expected if is_forward else [*reversed(expected)]
            for batch, limit in ((5, 0), (7, 0), (1000, 0), (5, 12), (30, 31)):
                found = await self.paged('{cluster="alex"}', batch, limit, is_forward=is_forward, **given)
                self.assertEqual(found, ordered[: limit or None], (batch, limit, is_forward))

    async def test_many_lines_of_one_nanosecond(self) -> None:
        self.start()
        texts = [f"line {number}" for number in range(60)]
        await self.fill(
            line("before", -1),
            *(line(text, 0) for text in texts[:50]),
            *(line(text, 1) for text in texts[50:]),
            line("after", 5000),
        )
        await self.check(["before", *texts, "after"])

    async def test_lines_that_are_all_alike(self) -> None:
        self.start()
        await self.fill(*(line("same", 0) for _ in range(30)), line("other", SECOND))
        await self.check([*["same"] * 30, "other"])

    async def test_more_than_a_microsecond_has_room_for(self) -> None:
        """They share nanoseconds, of which none has more than a page."""
        self.start()
        texts = [f"line {number}" for number in range(1500)]
        await self.fill(*(line(text, 0) for text in texts))
        for batch in (5, 1000):
            found = await self.paged('{cluster="alex"}', batch, 0, is_forward=False)
            self.assertEqual(sorted(found), sorted(texts), batch)

    async def test_lines_that_few_stages_let_through(self) -> None:
        self.start()
        await self.fill(*(line(f"n={number % 10}", 0, hostname=f"a{number}") for number in range(100)))
        for batch in (6, 1000):
            found = await self.paged('{cluster="alex"} | logfmt | n="3"', batch, 0, is_forward=True)
            self.assertEqual(found, ["n=3"] * 10)

    async def test_few_lines_keep_their_times(self) -> None:
        """Also if they share a nanosecond, as long as they fit into any page and can be told apart."""
        self.start()
        await self.fill(*(line(f"line {number}", 7) for number in range(4)), line("another", 3))
        data = await self.data("query_range", query='{cluster="alex"}')
        times = {value[0] for stream in data["result"] for value in stream["values"]}
        self.assertEqual(times, {str(BASE + 7), str(BASE + 3)})
        for at, expected in ((BASE + 7, 1), (BASE + 8, 5)):
            self.assertEqual(len(await self.lines('{cluster="alex"}', end=at)), expected)


@given(
    st.lists(st.integers(0, 999), min_size=1, max_size=60),
    st.integers(0, 4),
    st.booleans(),
)
def test_times_stay_within_their_microsecond_and_in_order(
    offsets: list[int], tied: int, are_alike: bool
) -> None:
    """They are distinct if any had to be changed; else they are as they were."""
    offsets.sort()
    lines = [
        Line(5 * MICROSECOND + offset, "x" if are_alike else str(number), (), ())
        for number, offset in enumerate(offsets)
    ]
    before = [each.time for each in lines]
    spread(lines, tied)
    times = [each.time for each in lines]
    assert all(5 * MICROSECOND <= each < 6 * MICROSECOND for each in times)
    assert times == sorted(times)
    if times != before or are_alike:
        assert len({*times}) == len(times)
