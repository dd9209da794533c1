"""Numbers made of lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from ccstore.batch import Batch
from ccstore.loki.evaluation import Evaluation
from ccstore.loki.label_names import Labels
from ccstore.loki.line_reading import newest_lines
from ccstore.loki.loki_limits import Budget, LokiLimits
from ccstore.loki.metric_parser import parse_query, parse_selector
from ccstore.loki.metric_series import Grid
from ccstore.loki.pipeline import Line
from ccstore.loki.planning import plan_of
from ccstore.loki.sample_text import number_text, seconds_of
from ccstore.loki.syntax import LogQLError, LogQuery
from ccstore.loki.vectors import Operand
from ccstore.message import Message
from ccstore.query import Counting, Counts, Page, Selection
from ccstore.storage.reading.counts import CountsQuestion
from ccstore.storage.reading.pages import Limits, Pages
from tests.support.loki_case import BASE, SECOND, LokiTestCase, line
from tests.support.stores import NOW, MemoryBackend, message


class Asked:
    """A store in memory that queries are worked out with."""

    def __init__(self, messages: Sequence[Message], **limits: int) -> None:
        self._backend = MemoryBackend()
        self._backend.open()
        self._backend.write(Batch.of(messages))
        self.budget = Budget(LokiLimits(**limits), 10, Clock(), lambda: succeed(None))
        self.pages = 0

    async def _page(self, selection: Selection, max_rows: int) -> Page:
        self.pages += 1
        (page,) = await self._backend.read(Pages([selection], -(2**63), Limits(max_rows)), timeout=1)
        return page  # type: ignore[no-any-return]

    async def _counts(self, counting: Counting) -> Counts:
        return await self._backend.read(CountsQuestion(counting, -(2**63)), timeout=1)  # type: ignore[no-any-return]

    def value(self, query: str, grid: Grid) -> Operand:
        expression = parse_query(query)
        assert not isinstance(expression, LogQuery)
        evaluation = Evaluation(grid, self._page, self._counts, self.budget, nullcontext)
        results: list[Any] = []
        Deferred.fromCoroutine(evaluation.value(expression)).addBoth(results.append)
        if not isinstance(results[0], (dict, float, int)):
            results[0].raiseException()
        return results[0]  # type: ignore[no-any-return]

    def lines(self, query: str, limit: int, *, is_newest_first: bool) -> Sequence[Line]:
        """The lines of a query."""
        asked = newest_lines(
            self._page,
            plan_of(parse_selector(query)),
            NOW - SECOND,
            NOW + SECOND,
            limit,
            self.budget,
            is_newest_first=is_newest_first,
        )
        results: list[Any] = []
        Deferred.fromCoroutine(asked).addBoth(results.append)
        return results[0]  # type: ignore[no-any-return]

    def at(self, query: str, time: int = NOW) -> dict[str, float | None]:
        """The values at one time, by those of their labels."""
        found = self.value(query, Grid(time))
        assert isinstance(found, dict)
        return {"/".join(value for _, value in labels): values[0] for labels, values in found.items()}


drafts = st.lists(
    st.tuples(
        st.sampled_from(("a", "b")),
        st.sampled_from((None, "err", "info")),
        st.integers(-40, 40),
        st.integers(0, 1),
    ),
    max_size=40,
)


def made(drafts: Sequence[tuple[str, str | None, int, int]]) -> list[Message]:
    return [
        message(
            f"n={abs(at)}",
            NOW + at * SECOND + rest,
            "log",
            hostname=host,
            **({"loglevel": level} if level else {}),
        )
        for host, level, at, rest in drafts
    ]


@given(drafts, st.integers(1, 30), st.integers(1, 15), st.integers(1, 8), st.integers(-20, 20))
def test_the_store_counts_what_the_windows_have(
    drafted: Sequence[tuple[str, str | None, int, int]], length: int, step: int, count: int, begin: int
) -> None:
    """Its beginning does not belong to a window, its end does; to look at each line gives the same."""
    grid = Grid(NOW + begin * SECOND, step * SECOND, count)
    expected: dict[Labels, list[float | None]] = {}
    for index in range(count):
        end = grid.time(index)
        inside = Counter(
            (("detected_level", {"err": "error", None: "unknown"}.get(level, "info")), ("hostname", host))
            for host, level, at, rest in drafted
            if end - length * SECOND < NOW + at * SECOND + rest <= end
        )
        for labels, number in inside.items():
            expected.setdefault(labels, [None] * count)[index] = number
    query = f'sum by (hostname, detected_level) (count_over_time({{cluster="alex"}}[{length}s]))'
    by_store = Asked(made(drafted))
    assert by_store.value(query, grid) == expected
    assert by_store.pages == 0
    by_line = Asked(made(drafted), bins=-1)
    assert by_line.value(query, grid) == expected
    for query in (
        'rate({cluster="alex"}[7s])',
        'rate({cluster="alex"} | detected_level="error" [7s] offset 3s)',
        'sum without (hostname) (count_over_time({cluster="alex"} | hostname="a" |= "1" [5s]))',
        'absent_over_time({cluster="alex"}[2s])',
    ):
        assert Asked(made(drafted)).value(query, grid) == Asked(made(drafted), bins=-1).value(query, grid)


def numbers(*values: str, host: str = "a") -> list[Message]:
    return [
        message(f"v={value}", NOW - (len(values) - index) * SECOND, "log", hostname=host)
        for index, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("sum_over_time", 14.0),
        ("avg_over_time", 3.5),
        ("min_over_time", 1.0),
        ("max_over_time", 6.0),
        ("first_over_time", 6.0),
        ("last_over_time", 2.0),
        ("stdvar_over_time", 4.25),
        ("stddev_over_time", 4.25**0.5),
        ("rate", 1.4),
    ],
)
def test_functions_of_values(function: str, expected: float) -> None:
    asked = Asked(numbers("6", "1", "5", "2"))
    found = asked.at(f'{function}({{cluster="alex"}} | logfmt | unwrap v [10s])')
    assert [*found.values()] == [pytest.approx(expected)]


def test_quantiles_conversions_and_groups() -> None:
    asked = Asked([*numbers("1ms", "3ms", "x"), *numbers("2KB", "4KB", host="b")])
    for query, expected in (
        (
            'quantile_over_time(0.5, {hostname="a"} | logfmt | v!="x" | unwrap duration(v) [9s]) by (kind)',
            {"a": 0.002},
        ),
        (
            'max_over_time({hostname="b"} | logfmt | unwrap bytes(v) [10s]) without (name, kind)',
            {"alex/b/job/unknown": 4000},
        ),
        (
            'sum by (kind) (sum_over_time({hostname="a"} | logfmt | unwrap duration(v) | __error__="" [9s]))',
            {"a": 0.004},
        ),
        ('quantile_over_time(2, {hostname="b"} | logfmt | unwrap bytes(v) [10s]) by ()', {"": float("inf")}),
        ('sum(bytes_over_time({hostname="b"}[10s]))', {"": 10.0}),
        ('sum(bytes_rate({hostname="b"}[10s]))', {"": 1.0}),
    ):
        found = asked.at(query)
        assert [*found.values()] == pytest.approx([*expected.values()]), query
    with pytest.raises(LogQLError, match=r"pipeline error: 'SampleExtractionErr'.*leave such lines out"):
        asked.at('sum_over_time({hostname="a"} | logfmt | unwrap duration(v) [10s])')
    with pytest.raises(LogQLError, match="pipeline error: 'JSONParserErr'"):
        asked.at('rate({hostname="a"} | json [10s])')
    assert asked.at('rate({hostname="a"} | json | __error__="" [10s])') == {}


ONE = 'sum by (hostname) (count_over_time({cluster="alex"}[10s]))'
TWO = 'sum by (hostname) (count_over_time({hostname="a"}[10s]))'


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ONE, {"a": 3, "b": 1}),
        ('sum(count_over_time({cluster="alex"}[10s]))', {"": 4}),
        (f"avg({ONE})", {"": 2}),
        (f"min({ONE}) + max({ONE})", {"": 4}),
        (f"count({ONE})", {"": 2}),
        (f"stddev({ONE})", {"": 1}),
        (f"stdvar({ONE})", {"": 1}),
        (f"topk(1, {ONE})", {"a": 3}),
        (f"bottomk(1, {ONE})", {"b": 1}),
        (f"sort({ONE})", {"b": 1, "a": 3}),
        (f"sort_desc({ONE})", {"a": 3, "b": 1}),
        (f"{ONE} * 2", {"a": 6, "b": 2}),
        (f"2 - {ONE}", {"a": -1, "b": 1}),
        (f"{ONE} / {TWO}", {"a": 1}),
        (f"{ONE} > 1", {"a": 3}),
        (f"{ONE} > bool 1", {"a": 1, "b": 0}),
        (f"2 < {ONE}", {"a": 3}),
        (f"{ONE} and {TWO}", {"a": 3}),
        (f"{ONE} unless {TWO}", {"b": 1}),
        (f"{TWO} or {ONE}", {"a": 3, "b": 1}),
        (f"{ONE} or vector(0)", {"a": 3, "b": 1, "": 0}),
        (f"{ONE} and on () vector(1)", {"a": 3, "b": 1}),
        (f"{TWO} + ignoring (hostname) vector(1)", {"": 4}),
        (f"{ONE} / on () group_left sum({ONE})", {"a": 0.75, "b": 0.25}),
        (f"sum({ONE}) - on () group_right () {ONE}", {"a": 1, "b": 3}),
        (f"sum({ONE}) > ignoring (hostname) group_right {TWO}", {"a": 4}),
        (f'{ONE} + on () group_left (x) label_replace(vector(1), "x", "y", "", "")', {"a/y": 4, "b/y": 2}),
        (f"{ONE} + on () group_left (hostname) vector(1)".replace(ONE, TWO), {"": 4}),
        (f"{ONE} % 2 == 1", {"a": 1, "b": 1}),
        (f"{ONE} ^ 2", {"a": 9, "b": 1}),
        ("vector(1)+vector(1)", {"": 2}),
        ('absent_over_time({hostname="c"}[10s])', {"c": 1}),
        ('absent_over_time({hostname="a"}[10s])', {}),
        (f'label_replace({ONE}, "x", "$1-${{2}}$$", "hostname", "(a)(.*)")', {"a/a-$": 3, "b": 1}),
        (f'sum by (x) (label_replace({ONE}, "x", "y", "nothing", ""))', {"y": 4}),
    ],
)
def test_series_are_put_together(query: str, expected: dict[str, float]) -> None:
    asked = Asked([*numbers("1", "2", "3"), *numbers("4", host="b")])
    found = asked.at(query)
    assert found == expected
    assert [*found] == [*expected] or "sort" not in query


def test_numbers_stay_numbers() -> None:
    asked = Asked([])
    for query, expected in (
        ("1 + 2 * 3", 7),
        ("2 ^ 3 ^ 0", 2),
        ("1 > bool 2", 0),
        ("-5 % 3", -2),
        ("1 / 4", 0.25),
    ):
        assert asked.value(query, Grid(NOW)) == expected
    assert str(asked.value("0 / 0", Grid(NOW))) == "nan"


def test_series_that_do_not_fit_together_are_refused() -> None:
    asked = Asked([*numbers("1"), *numbers("2", host="b")])
    for query, said in (
        (f"vector(1) + on () {ONE}", "two series on the right of '\\+'"),
        (f"{ONE} + on () vector(1)", "two series on the left of '\\+'"),
        (f"{ONE} + on () group_left (hostname) vector(1)", "two series on the left of '\\+' become the same"),
        (f"{ONE} + on () group_right vector(1)", "two series on the left of '\\+' have the same labels"),
        (f'label_replace({ONE}, "hostname", "x", "", "")', "the same labels"),
    ):
        with pytest.raises(LogQLError, match=said):
            asked.at(query)


def test_too_much_is_cut_and_that_is_said() -> None:
    many = [message("x", NOW - index, "log", hostname=f"a{index}") for index in range(3000)]
    asked = Asked(many, samples=1000)
    assert len(asked.at('count_over_time({cluster="alex"}[10s])')) == 11
    assert "more than 11 series, aggregate them" in asked.budget.warnings[0]
    asked = Asked(many, rows=600)
    asked.at('sum(bytes_over_time({cluster="alex"}[10s]))')
    assert asked.budget.warnings == [
        "the answer is cut: only 2500 lines were looked at, ask for less time or choose fewer lines"
    ]


def test_time_is_cut_and_that_is_said() -> None:
    clock = Clock()
    budget = Budget(LokiLimits(), 5, clock, lambda: succeed(None))
    clock.advance(5)
    assert not budget.is_spent()
    clock.advance(1)
    assert budget.is_spent()
    assert budget.is_spent()
    assert budget.warnings == [
        "the answer is cut: it took longer than 5 s, ask for less time or choose fewer lines"
    ]


def test_lines_of_one_moment_are_so_many_at_most() -> None:
    asked = Asked([message(str(number), NOW, "log") for number in range(1000)], together=300)
    for is_newest_first in (True, False):
        lines = asked.lines('{cluster="alex"}', 900, is_newest_first=is_newest_first)
        assert 300 < len(lines) < 900
    assert asked.budget.warnings == [
        "the answer is cut: more than 300 lines are of one microsecond, choose fewer"
    ]


def test_numbers_and_times_as_prometheus_writes_them() -> None:
    for value, text in ((2.0, "2"), (0.1, "0.1"), (1e-7, "0.0000001"), (-3, "-3"), (1e20, "1" + "0" * 20)):
        assert number_text(value) == text
    assert [number_text(float(each)) for each in ("nan", "inf", "-inf")] == ["NaN", "+Inf", "-Inf"]
    assert (seconds_of(5 * SECOND), seconds_of(5 * SECOND + 250_999_999)) == (5, 5.25)


class MetricTests(LokiTestCase):
    """Numbers by the calls of Grafana."""

    async def some(self) -> None:
        self.start()
        await self.fill(
            line("one", 0, loglevel="err"),
            line("two", SECOND, loglevel="err", hostname="a02"),
            line("three", 2 * SECOND),
            line("n=5", 3 * SECOND, hostname="a02"),
        )

    async def test_the_volume_of_explore(self) -> None:
        await self.some()
        query = 'sum by (level, detected_level) (count_over_time({cluster="alex"} | drop __error__[2s]))'
        data = await self.data("query_range", query=query, start=BASE, end=BASE + 4 * SECOND, step="2000ms")
        self.assertEqual([*data], ["resultType", "result", "stats"])
        self.assertEqual(data["resultType"], "matrix")
        seconds = BASE // SECOND
        self.assertEqual(
            data["result"],
            [
                {
                    "metric": {"detected_level": "error", "level": "err"},
                    "values": [[seconds, "1"], [seconds + 2, "1"]],
                },
                {"metric": {"detected_level": "unknown"}, "values": [[seconds + 2, "1"], [seconds + 4, "1"]]},
            ],
        )

    async def test_at_a_moment(self) -> None:
        await self.some()
        at = 10 * SECOND
        for query, expected in (
            ('sum by (hostname) (rate({cluster="alex"}[20s]))', {"a01": "0.1", "a02": "0.1"}),
            ('topk(1, sum by (hostname) (count_over_time({cluster="alex"} |= "t" [20s])))', {"a01": "1"}),
            ('sum(sum_over_time({cluster="alex"} | logfmt | unwrap n [20s]))', {"": "5"}),
            ('sum(count_over_time({cluster="alex"}[8s]))', {"": "1"}),
            ('sum(count_over_time({cluster="alex"}[8s] offset 1s))', {"": "2"}),
        ):
            self.assertEqual(await self.number(query, at), expected, query)

    async def test_scalars(self) -> None:
        self.start()
        data = await self.data("query", query="1 + 1", time=5)
        self.assertEqual((data["resultType"], data["result"]), ("scalar", [5, "2"]))
        data = await self.data("query_range", query="1 + 1", start=5, end=7, step=1)
        self.assertEqual(data["result"], [{"metric": {}, "values": [[5, "2"], [6, "2"], [7, "2"]]}])

    async def test_the_step_if_nobody_says(self) -> None:
        """A two hundred and fiftieth of the time, and a second at least."""
        self.start()
        for span, step in ((100, 1), (1000, 4), (86400, 345)):
            data = await self.data("query_range", query="vector(1)", start=1000, end=1000 + span)
            first, second = data["result"][0]["values"][:2]
            self.assertEqual(second[0] - first[0], step)
