"""The language of queries: what is read, what it means, and what is said of mistakes."""

from __future__ import annotations

import pytest

from ccstore.loki.lexer import bytes_of, duration_of
from ccstore.loki.metric_parser import parse_query, parse_selector
from ccstore.loki.printing import printed
from ccstore.loki.syntax import (
    AndCondition,
    BinaryOperation,
    Extraction,
    Grouping,
    IpCondition,
    JsonStage,
    LabelFilter,
    LabelMatcher,
    LineFilter,
    LineMatch,
    LogfmtStage,
    LogQLError,
    LogQuery,
    LogRange,
    Matching,
    NumberCondition,
    NumberLiteral,
    OrCondition,
    RangeAggregation,
    Unwrap,
    VectorAggregation,
    VectorLiteral,
)

MINUTE = 60 * 10**9
#: Queries, and the same as they are printed; None if they are printed as they stand.
QUERIES: tuple[tuple[str, str | None], ...] = (
    ('{cluster="alex"}', None),
    ('{ cluster = "alex" , }', '{cluster="alex"}'),
    ("{}", None),
    ('{cluster=~"a.*", hostname!="a01", name!~"x|y"}', None),
    ("{hostname=~`a\\d+`}", '{hostname=~"a\\\\d+"}'),
    ('({cluster="alex"} |= "x")', '{cluster="alex"} |= "x"'),
    (
        '{a="b"}|="x"!="y"|~"z"!~"w"|>"<_> k"!>"<_> l"',
        '{a="b"} |= "x" != "y" |~ "z" !~ "w" |> "<_> k" !> "<_> l"',
    ),
    ('{a="b"} |= "x" or "y" or ip("10.0.0.0/8")', None),
    ('{a="b"} |= ip("10.0.0.1") != ip("10.0.0.1-10.0.0.9")', None),
    ('{a="b"} # of a\n |= "#" # and so on', '{a="b"} |= "#"'),
    ('{a="b"} | json | logfmt | unpack | decolorize', None),
    ('{a="b"} | json c="d.e[0]", f | logfmt --strict --keep-empty g, h="i"', None),
    ('{a="b"} | regexp "(?P<c>x+)" | pattern "<d> - <_>"', None),
    ('{a="b"} | logfmt | rate="x" | json="y" | by>5', '{a="b"} | logfmt | rate="x" | json="y" | by>5'),
    ('{a="b"} | c="d" and e!="f"', '{a="b"} | (c="d" and e!="f")'),
    ('{a="b"} | c=5, d>=2.5KiB e<1m30s or f!=-3', '{a="b"} | (((c==5 and d>=2.5KiB) and e<1m30s) or f!=-3)'),
    ('{a="b"} | (c="d" or e=~"f") | g=ip("::1")', '{a="b"} | (c="d" or e=~"f") | g=ip("::1")'),
    ('{a="b"} | line_format "{{.c}} {{.d | upper}}" | label_format e=f, g="{{.h}}"', None),
    ('{a="b"} | drop c, d="e", __error__ | keep f', None),
    ("vector(1)+vector(1)", "vector(1) + vector(1)"),
    ("1 + 2 * 3 ^ 2 ^ 2", "1 + (2 * (3 ^ (2 ^ 2)))"),
    ("(1 + 2) * -3", "(1 + 2) * -3"),
    ('count_over_time({a="b"}[5m])', 'count_over_time({a="b"} [5m])'),
    ('rate({a="b"} |= "x" [1h30m] offset 1d)', 'rate({a="b"} |= "x" [1h30m] offset 1d)'),
    ('rate({a="b"}[5m] |= "x" | json)', 'rate({a="b"} |= "x" | json [5m])'),
    ('rate(({a="b"} |= "x")[5m])', 'rate({a="b"} |= "x" [5m])'),
    ('rate(({a="b"} |= "x" [5m]))', 'rate({a="b"} |= "x" [5m])'),
    ('rate({a="b"}[5m] offset -1m)', 'rate({a="b"} [5m] offset -1m)'),
    ('bytes_rate({a="b"}[1m]) > bool bytes_over_time({a="b"}[1m])', None),
    ('sum by (c) (rate({a="b"}[1m])) / on (c) sum(rate({a="b"}[1m])) by (c)', None),
    ('rate({a="b"} [1m]) + on (c) group_left rate({a="b"} [1m])', None),
    ('rate({a="b"} [1m]) / ignoring (c) group_right (d, e) vector(2)', None),
    ('max without () (count_over_time({a="b"}[1m])) unless ignoring (c, d) vector(2)', None),
    ('topk(3, sum(rate({a="b"}[1m])))', 'topk(3, sum(rate({a="b"} [1m])))'),
    ('sort_desc(absent_over_time({a="b"}[1m]))', 'sort_desc(absent_over_time({a="b"} [1m]))'),
    ('quantile_over_time(0.99, {a="b"} | json | unwrap duration(c) | __error__="" [1m]) by (d)', None),
    ('avg_over_time({a="b"} | unwrap c [1m] offset 5m) without (d)', None),
    ('max_over_time(({a="b"} | unwrap bytes(c))[1m])', 'max_over_time({a="b"} | unwrap bytes(c) [1m])'),
    ('label_replace(rate({a="b"}[1m]), "c", "$1", "d", "(.*)")', None),
)


def spaced(text: str) -> str:
    """A text with no regard to what is between its words."""
    return "".join(text.split())


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_a_query_is_read_and_printed(query: str, expected: str | None) -> None:
    text = printed(parse_query(query))
    if expected is None:
        # But for parentheses and spaces, and where the grouping stands, it is as it was.
        assert sorted(spaced(text)) == sorted(spaced(query)) or spaced(text) == spaced(query)
    else:
        assert spaced(text) == spaced(expected)
    assert parse_query(text) == parse_query(query)


def test_what_lines_are_asked_for() -> None:
    assert parse_query('{a="b"} |= "x" or "y" | json c="d", e | f>=1.5s or (g="h" and i=5KB)') == LogQuery(
        (LabelMatcher("a", "=", "b"),),
        (
            LineFilter("|=", (LineMatch("x"), LineMatch("y"))),
            JsonStage((Extraction("c", "d"), Extraction("e", "e"))),
            LabelFilter(
                OrCondition(
                    NumberCondition("f", ">=", 1.5e9, "duration", "1.5s"),
                    AndCondition(
                        LabelMatcher("g", "=", "h"), NumberCondition("i", "==", 5000, "bytes", "5KB")
                    ),
                )
            ),
        ),
    )
    assert parse_selector('{a="b"} | logfmt --strict | c=ip("10.0.0.1")').stages == (
        LogfmtStage(is_strict=True),
        LabelFilter(IpCondition("c", "=", "10.0.0.1")),
    )


def test_what_numbers_are_asked_for() -> None:
    lines = LogQuery((LabelMatcher("a", "=", "b"),))
    rate = RangeAggregation("rate", LogRange(lines, 5 * MINUTE, MINUTE))
    assert parse_query('sum by (c) (rate({a="b"}[5m] offset 1m)) > bool on (c) vector(2)') == BinaryOperation(
        ">",
        VectorAggregation("sum", rate, None, Grouping(("c",))),
        VectorLiteral(2),
        is_bool=True,
        matching=Matching(("c",), is_on=True),
    )
    assert parse_query('quantile_over_time(.5, {a="b"} | unwrap bytes(c) | d="e" [5m])') == RangeAggregation(
        "quantile_over_time",
        LogRange(lines, 5 * MINUTE, 0, Unwrap("c", "bytes", (LabelMatcher("d", "=", "e"),))),
        0.5,
    )
    assert parse_query("0x10") == NumberLiteral(16)


def test_a_query_may_have_many_parts() -> None:
    for query in (
        "1" + "+1" * 299,
        '{a="b"} | ' + " or ".join(['c="d"'] * 290),
        '{a="b"} | ' + "(" * 100 + 'c="d"' + ")" * 100,
        "(" * 150 + "1" + ")" * 150,
        "sum(" * 140 + 'rate({a="b"}[1m])' + ")" * 140,
    ):
        assert printed(parse_query(query))


def test_numbers_that_are_too_large() -> None:
    assert parse_query("1e999") == parse_query("0x" + "f" * 400) == NumberLiteral(float("inf"))
    with pytest.raises(LogQLError, match="at most 10,000 days"):
        parse_query('rate({a="b"}[300y])')
    for text in ("9" * 31 + "h", "9" * 400 + ".5h", "9" * 5000 + "KB"):
        with pytest.raises(ValueError, match="expected a"):
            (bytes_of if text.endswith("KB") else duration_of)(text)


def test_strings_as_go_has_them() -> None:
    for written, meant in (
        (r'"a\"b\\c\n\t"', 'a"b\\c\n\t'),
        (r'"\x41\u00e4\U0001F600\101"', "Aä\U0001f600A"),
        ('`a\\"b`', 'a\\"b'),
    ):
        query = parse_selector("{a=" + written + "}")
        assert query.matchers[0].value == meant, written


def test_durations_and_sizes() -> None:
    for text, duration in (
        ("1h30m", 90 * MINUTE),
        ("1.5s", 15 * 10**8),
        ("-2d", -2880 * MINUTE),
        ("5µs", 5000),
    ):
        assert duration_of(text) == duration
    for text, size in (("5", 5), ("5B", 5), ("1.5KiB", 1536), ("2 MB", 2_000_000), ("1k", 1000)):
        assert bytes_of(text) == size
    for text in ("", "5", "m", "5minutes", "1h-5m"):
        with pytest.raises(ValueError, match="expected a duration"):
            duration_of(text)
    with pytest.raises(ValueError, match="expected a size"):
        bytes_of("5 lines")


#: Wrong queries, with line and column, and what is said of them.
MISTAKES = (
    ("", 1, 1, "expected a selector"),
    ("{", 1, 2, "expected a name, got the end"),
    ('{a="b"', 1, 7, "expected ',' or '}'"),
    ("{a=b}", 1, 4, "expected a string, got 'b'"),
    ('{a="b}', 1, 4, "a string begins here"),
    ('{a="b"} |= ', 1, 12, "expected a string, got the end"),
    ('{a="b"}\n  |= x', 2, 6, "expected a string, got 'x'"),
    ('{a="b"} | json c=', 1, 18, "expected a string"),
    ('{a="b"} | json c="d["', 1, 16, "expected a path"),
    ('{a="b"} |', 1, 10, "expected a stage or a condition"),
    ('{a="b"} | c', 1, 12, "got the end"),
    ('{a="b"} | c=~5', 1, 14, "expected a string"),
    ('{a="b"} | c>"5"', 1, 13, "expected a number"),
    ('{a="b"} | c>=ip("10.0.0.1")', 1, 14, "expected a number"),
    ('{a="b"} |~ ip("10.0.0.1")', 1, 9, "ip() goes with"),
    ('{a="b"} |= ip("x")', 1, 15, "expected an address"),
    ('{a="b"} |~ "("', 1, 9, "the regular expression '(' is wrong: missing ')'"),
    ('{a=~"("}', 1, 5, "the regular expression '(' is wrong: missing ')'"),
    ('{a="\\d"}', 1, 5, "means nothing in a string"),
    ('{a="b"} | regexp "x"', 1, 18, "needs a name"),
    ('{a="b"} | pattern "<a><b>"', 1, 19, "nothing stands between <a> and <b>"),
    ('{a="b"} | line_format "{{.c"', 1, 23, "not closed"),
    ('{a="b"} | line_format "{{nope .c}}"', 1, 23, "the template function 'nope' is not there"),
    ('{a="b"} | label_format c=d, c=e', 1, 29, "made twice"),
    ('{a="b"} | logfmt --loose', 1, 18, "expected --strict or --keep-empty"),
    ('{a="b"} | xml', 1, 11, "xml is not there, json, logfmt"),
    ('rate({a="b"})', 1, 13, "expected a range"),
    ('rate({a="b"}[5minutes])', 1, 13, "expected a duration"),
    ('rate({a="b"}[5)', 1, 13, "its ] is missing"),
    ('rate({a="b"}[0s])', 1, 13, "longer than nothing"),
    ('rate({a="b"}[1m][2m])', 1, 17, "two ranges"),
    ('min({a="b"}[5m])', 1, 5, "expected a selector"),
    ('unk({a="b"}[5m])', 1, 1, "there is no function 'unk'"),
    ('rate_counter({a="b"}[5m])', 1, 1, "rate_counter is not there: use rate"),
    ('approx_topk(2, rate({a="b"}[5m]))', 1, 1, "use topk"),
    ('sum_over_time({a="b"}[5m])', 1, 14, "needs numbers"),
    ('count_over_time({a="b"} | unwrap c [5m])', 1, 16, "takes no unwrap"),
    ('absent_over_time({a="b"}[5m]) by (c)', 1, 17, "cannot be grouped"),
    ("sum(1)", 1, 1, "needs series"),
    ('topk(0, rate({a="b"}[5m]))', 1, 6, "at least 1"),
    ('sort(rate({a="b"}[5m])) by (c)', 1, 1, "cannot be grouped"),
    ('rate({a="b"}[5m]) or 5', 1, 19, "series on both sides"),
    ('rate({a="b"}[5m]) + bool 5', 1, 21, "bool is for comparisons"),
    ('rate({a="b"}[5m]) and on (c) group_left rate({a="b"}[5m])', 1, 30, "takes no group_left"),
    ('rate({a="b"}[5m]) + group_left rate({a="b"}[5m])', 1, 21, "group_left needs on"),
    ('label_replace(rate({a="b"}[5m]), "c")', 1, 37, "expected ','"),
    (
        'label_replace(rate({a="b"}[5m]), "c", "d", "e", "(")',
        1,
        49,
        "the regular expression '(' is wrong: missing ')'",
    ),
    ('{a="\\x00"}', 1, 4, "NUL or half a character"),
    ("{a=`\0`}", 1, 4, "NUL or half a character"),
    ('{a="\\ud800"}', 1, 4, "NUL or half a character"),
    ('{a="\\UFFFFFFFF"}', 1, 4, "does not exist"),
    ('{a="b"} $', 1, 9, "'$' means nothing here"),
    ('{a="b"} | c=5zz', 1, 13, "neither a number"),
    ("(" * 200 + '{a="b"}' + ")" * 200, 1, 152, "too many operators"),
    ("1" + "+(1" * 200 + ")" * 200, 1, 302, "too many operators"),
    ("1" + "+1" * 400, 1, 602, "too many operators"),
    ('{a="b"} | ' + " or ".join(['c="d"'] * 400), 1, 2702, "too many operators"),
)


@pytest.mark.parametrize(("query", "line", "column", "said"), MISTAKES)
def test_a_mistake_is_told_with_its_place(query: str, line: int, column: int, said: str) -> None:
    with pytest.raises(LogQLError) as told:
        parse_query(query)
    assert told.value.place == (line, column), told.value
    assert said in str(told.value)
    assert str(told.value).startswith(f"parse error at line {line}, col {column}: ")
