"""What questions over packed logs cost: CPU of the reader that answers them, without a daemon around it."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.month import COMMON, DAY, DAYS, REGEX, Month, host_name
from benchmarks.packed_month import pack_month, reader_of
from benchmarks.packing_costs import BEGIN, fill_month
from benchmarks.report import progress
from ccstore.query import Counting, Matcher, Selection, TextCondition
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.pages import Limits, Pages

_SECOND: Final = 10**9
_FILE: Final = "ccstore.db"
_NO_LIMIT: Final = Limits(100_000)


def run(rows: int, *, keep: Path | None, use: Path | None, repeat: int) -> list[dict[str, object]]:
    """Milliseconds of CPU that each question takes.

    :param rows: messages of the month, of which three fourths are logs.
    :param keep: a directory in which the packed file is made, for other runs.
    :param use: such a directory, of as many rows.
    :param repeat: times each is asked, with other values; those that look at everything a fourth as often.
    """
    figures: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="ccstore-packed-") as name:
        path = Path(use or keep or name, _FILE)
        if use is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            fill_month(path, rows)
            figures.append(pack_month(path))
        with reader_of(path) as answer:
            for what, make, share in _Questions(Month(rows, BEGIN)).all():
                progress(what)
                times, found = [], 0
                for _ in range(max(repeat // share, 2)):
                    question = make()
                    begun = time.process_time()
                    answered = answer(question)
                    times.append(1000 * (time.process_time() - begun))
                    found = _size(answered)
                figures.append(
                    {
                        "what": what,
                        "figure": statistics.median(times),
                        "unit": "ms of CPU",
                        "more": f"first {times[0]:.1f}, longest {max(times):.1f}; {found:,} found at last",
                    }
                )
    return figures


def _size(answered: Any) -> int:
    if isinstance(answered, list):
        return sum(len(page.rows) for page in answered)
    return len(answered.counts)


class _Questions:
    """About the logs of a month, of which no kind of messages but logs is packed."""

    def __init__(self, month: Month) -> None:
        self._month = month
        self._chance = random.Random(5)

    def all(self) -> Iterator[tuple[str, Callable[[], Any], int]]:
        """Each with how many times less often it is asked."""
        page, counts, text = self._page, self._counts, _contains

        def host() -> Matcher:
            return Matcher("hostname", "=", host_name(self._chance.randrange(self._month.hosts)))

        def job() -> int:
            return self._chance.randrange(100_000, 100_000 + 100 * self._month.hosts // 8)

        def day() -> dict[str, Any]:
            begin = self._month.begin + self._chance.randrange(DAYS - 1) * DAY
            return {"begin": begin * _SECOND, "end": (begin + DAY) * _SECOND, "matchers": (host(),)}

        regex = TextCondition("matches", REGEX)
        either = TextCondition("matches", r"(n0001|n0002) not resp")
        yield "newest 100 of a host", lambda: page(100, matchers=(host(),)), 1
        yield "newest 100 of everything", lambda: page(100), 1
        yield "newest 100 with a word that is everywhere", lambda: page(100, texts=(text(COMMON),)), 1
        yield "one host, one day", lambda: page(1000, **day()), 1
        yield "a word that is nowhere", lambda: page(100, texts=(text("quetzalx"),)), 1
        yield "what a job logged", lambda: page(1000, texts=(text(f"job {job()} "),)), 1
        yield "its number as a part of any word", lambda: page(1000, texts=(text(f"{job()}"),)), 1
        yield "regular expression over everything", lambda: page(10_000, texts=(regex,)), 4
        yield "one of alternatives over everything", lambda: page(10_000, texts=(either,)), 4
        phrase, often = text("not responding, retry 19"), text("not responding")
        yield "hosts of a phrase", lambda: counts(("hostname",), texts=(phrase,)), 4
        yield "hosts of a phrase of every fourth log", lambda: counts(("hostname",), texts=(often,)), 10
        yield "histogram by hour and name", lambda: counts(("name",), step=3600 * _SECOND), 4

    def _page(self, limit: int, **selected: Any) -> Pages:
        return Pages([Selection(kinds=("log",), limit=limit, **selected)], 0, _NO_LIMIT)

    def _counts(self, by: tuple[str, ...], step: int | None = None, **selected: Any) -> CountsQuestion:
        begin, end = self._month.begin * _SECOND, self._month.end * _SECOND
        selection = Selection(kinds=("log",), begin=begin, end=end, **selected)
        return CountsQuestion(Counting(selection, by, step, with_times=step is None), 0)


def _contains(what: str) -> TextCondition:
    return TextCondition("contains", what, ignores_case=True)
