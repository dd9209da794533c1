"""What the stages of a query make of a line."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from ccstore.loki.label_names import Labels
from ccstore.loki.line_conditions import line_filter_test, text_conditions
from ccstore.loki.metric_parser import parse_selector
from ccstore.loki.pipeline import Line, passes, steps_of
from ccstore.loki.planning import plan_of
from ccstore.loki.syntax import LineFilter
from ccstore.loki.templates import compile_template
from ccstore.query import Matcher, TextCondition
from ccstore.storage.reading.evaluate import text_test

STREAM: Labels = (("cluster", "alex"), ("hostname", "a01"))
METADATA: Labels = (("job", "7"),)


def run(stages: str, text: str) -> tuple[str, Mapping[str, str]] | None:
    """The line, and the labels that it has besides its own."""
    line = Line(0, text, STREAM, METADATA)
    if not passes(line, steps_of(parse_selector('{cluster="alex"} ' + stages).stages)):
        return None
    known = {**dict(STREAM), **dict(METADATA)}
    return line.text, {name: value for name, value in line.labels().items() if known.get(name) != value}


JSON = '{"a":{"b":1.50,"c":"x"},"d":[1,{"e":"f"}],"g":true,"h":null,"cluster":"other","i-j":"k","l":""}'


@pytest.mark.parametrize(
    ("stages", "text", "expected"),
    [
        ("| json", JSON, {"a_b": "1.50", "a_c": "x", "g": "true", "cluster_extracted": "other", "i_j": "k"}),
        (
            '| json x="a.b", y="d[1].e", z="a", w="q", v="[\\"i-j\\"]"',
            JSON,
            {"x": "1.50", "y": "f", "z": '{"b":"1.50","c":"x"}', "v": "k"},
        ),
        ("| json", "no", {"__error__": "JSONParserErr"}),
        ("| json", "[1]", {"__error__": "JSONParserErr"}),
        ("| logfmt", 'a=1 b="x y" c= d e="q\\"r" a=2', {"a": "1", "b": "x y", "e": 'q"r'}),
        ('| logfmt x="b", a', "a=1 b=2 c=3", {"a": "1", "x": "2"}),
        ("| logfmt", '= "x" a=1', {"a": "1"}),
        ("| logfmt --strict", "a=1 b", {"a": "1", "__error__": "LogfmtParserErr"}),
        (
            '| pattern "<ip> - <_> [<when>] <rest>"',
            "1.2.3.4 - u [now] GET /",
            {"ip": "1.2.3.4", "when": "now", "rest": "GET /"},
        ),
        ('| pattern "<ip> - <_>x"', "no", {}),
        ('| regexp "(?P<method>[A-Z]+) (?P<path>\\\\S+)"', "GET /a", {"method": "GET", "path": "/a"}),
        ('| logfmt | label_format x=a, y="{{.a}}-{{.b}}"', "a=1 b=2", {"x": "1", "b": "2", "y": "-2"}),
        ('| logfmt | label_format cluster="{{.cluster}}2"', "a=1", {"a": "1", "cluster": "alex2"}),
        ('| logfmt | drop a, b="3", cluster', "a=1 b=2", {"b": "2"}),
        ("| logfmt | keep a, hostname", "a=1 b=2", {"a": "1"}),
        ("| json | drop __error__, __error_details__", "no", {}),
    ],
)
def test_labels_are_made(stages: str, text: str, expected: Mapping[str, str]) -> None:
    found = run(stages, text)
    assert found is not None
    labels = {name: value for name, value in found[1].items() if name != "__error_details__"}
    assert labels == expected


@pytest.mark.parametrize(
    ("stages", "text", "expected"),
    [
        ('| logfmt | line_format "{{.a}} {{ .b | upper }} {{__line__}}"', "a=1 b=x", "1 X a=1 b=x"),
        (
            '| logfmt | line_format "{{if eq .a `1`}}one{{else if gt .a 5}}many{{else}}some{{end}}"',
            "a=7",
            "many",
        ),
        ('| logfmt | line_format "{{if and .a (not .b)}}yes{{end}}"', "a=7", "yes"),
        ('| line_format "a {{- /* not said */ -}}  b"', "x", "ab"),
        (
            '| logfmt | line_format "{{printf `%-4s|%05.1f|%d` .a (float64 .b) (add .b 1)}}"',
            "a=x b=2",
            "x   |002.0|3",
        ),
        (
            '| logfmt | line_format "{{.a | replace `x` `y` | trunc 2}}{{default `none` .q}}"',
            "a=xxx",
            "yynone",
        ),
        ('| line_format "{{regexReplaceAll `(a+)b` __line__ `<${1}>`}}"', "aab", "<aa>"),
        ('| logfmt | line_format "{{alignRight 4 .a}}{{divf .b 4}}{{div .b 0}}"', "a=x b=2", "   x0.50"),
        ("| unpack", '{"_entry":"inner","a":"b","c":1}', "inner"),
        ("| decolorize", "\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_lines_are_made(stages: str, text: str, expected: str) -> None:
    found = run(stages, text)
    assert found is not None
    assert found[0] == expected


@pytest.mark.parametrize(
    ("stages", "text", "is_kept"),
    [
        ("| logfmt | a>5", "a=6", True),
        ("| logfmt | a>5", "a=5", False),
        ("| logfmt | a>5", "b=6", False),
        ("| logfmt | a>5", "a=x", True),  # with an error
        ('| logfmt | a>5 | __error__=""', "a=x", False),
        ("| logfmt | a>=1.5s and b<2KiB", "a=1600ms b=2000", True),
        ("| logfmt | a>=1.5s and b<2KiB", "a=1600ms b=2KB", True),
        ("| logfmt | a>=1.5s and b<2KiB", "a=1s b=1", False),
        ('| logfmt | a="x" or b=~"y+"', "b=yy", True),
        ('| logfmt | a="x" or b=~"y+"', "b=yyz", False),
        ('| q=""', "x", True),
        ('| job="7" | cluster!="alex"', "x", False),
        ('| logfmt | a=ip("10.0.0.0/8")', "a=10.1.2.3", True),
        ('| logfmt | a!=ip("10.0.0.0/8")', "a=10.1.2.3", False),
        ('|= ip("10.0.0.1-10.0.0.9")', "from 10.0.0.5:80", True),
        ('|= ip("10.0.0.1-10.0.0.9")', "from 10.0.0.10", False),
        ('!= ip("::1")', "at ::1", False),
        ('| line_format "y" |= "x"', "x", False),
    ],
)
def test_lines_are_kept_or_not(stages: str, text: str, is_kept: bool) -> None:
    assert (run(stages, text) is not None) is is_kept


@pytest.mark.parametrize(
    ("filters", "kept", "left_out"),
    [
        ('|= "b"', ["abc"], ["aBc", ""]),
        ('|= "a" or "b"', ["xa", "xb"], ["x"]),
        ('!= "a" or "b"', ["x", ""], ["xa", "xb"]),
        ('|~ "^a" or "b$"', ["ax", "xb"], ["xax"]),
        ('!~ "^a" or "b$"', ["xax"], ["ax", "xb"]),
        ('|> "a <_> b"', ["a x b", "a x y b"], ["a  b", "a x b.", "xa x b"]),
        ('|> "<_>a.b<_>"', ["xa.by"], ["a.b", "xaxby"]),
        ('!> "a <_>"', ["a ", "b c"], ["a b"]),
        ('|= ""', ["", "x"], []),
        ('!= ""', [], ["", "x"]),
        ('|= "a" or ""', ["", "x"], []),
        ('!~ "" or "x"', [], ["", "y"]),
        ('|= "a.b" or "(c"', ["xa.b", "(c"], ["axb", "c"]),
    ],
)
def test_the_store_filters_lines_as_a_test_does(filters: str, kept: list[str], left_out: list[str]) -> None:
    (stage,) = parse_selector('{a="b"} ' + filters).stages
    assert isinstance(stage, LineFilter)
    conditions = text_conditions(stage)
    assert conditions is not None
    for text in (*kept, *left_out):
        expected = text in kept
        assert line_filter_test(stage)(text) is expected, text
        assert all(text_test(each)(text) for each in conditions) is expected, text


def test_the_store_is_asked_for_what_it_can_decide() -> None:
    plan = plan_of(
        parse_selector(
            '{cluster="alex", kind=~"l.*", hostname=~"a.*", type_id!="3"} |= "x" | jobid="7" and a_b="c"'
            ' | json | name="y" |= "z" | line_format "q" |= "w" | drop __error__'
        )
    )
    selection = plan.selection
    assert (selection.clusters, selection.kinds) == (("alex",), ("log",))
    assert selection.matchers == (
        Matcher("hostname", "=~", "a.*"),
        Matcher("type-id", "!=", "3"),
        Matcher("tag.jobid", "=", "7"),
    )
    assert selection.texts == (TextCondition("contains", "x"), TextCondition("contains", "z"))
    assert len(plan.stages) == 6
    assert not plan.is_of_labels
    assert plan_of(parse_selector('{service_name="x"} | drop __error__')).stages == ()


def test_a_selector_needs_a_condition() -> None:
    for query in ("{}", '{a=~".*"}', '{a!="b"}', '{a=""}'):
        with pytest.raises(ValueError, match="the selector needs a condition"):
            plan_of(parse_selector(query))
        plan_of(parse_selector(query), may_be_empty=True)


def test_a_line_does_not_grow_without_end() -> None:
    """What makes too much of it is noted, and it stays as it was."""
    grown = "| label_format a=`{{.b}}{{.b}}`, b=`{{.a}}{{.a}}` "
    for stages in (
        "| line_format `{{__line__}}{{__line__}}` " * 25,
        f'| line_format "{{{{__line__ | replace `x` `{"x" * 1000}`}}}}" ' * 3,
        f'| line_format "{{{{regexReplaceAll `x` __line__ `{"x" * 5000}`}}}}" ' * 3,
        f'| line_format "{{{{printf `{"%s" * 200}` {"__line__ " * 200}}}}}" ' * 3,
        "| label_format b=`{{__line__}}` " + grown * 12,
    ):
        found = run(stages, "x" * 1000)
        assert found is not None
        assert found[1]["__error__"] == "TemplateFormatErr"
        assert len(found[0]) <= 1 << 20


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("x" * 10_001, "10000 are the most"),
        ("{{" * 5000, "not closed by }}"),
        ("{{if .a}}" * 60, "too many blocks"),
        ("{{if .a}}" + "{{else if .a}}" * 60 + "{{end}}", "too many blocks"),
        ("{{" + "(" * 60 + ".a" + ")" * 60 + "}}", "too many parentheses"),
        ("{{end}}", "belongs to no {{if}}"),
        ("{{if .a}}", "not closed by {{end}}"),
        ("{{.a | .b}}", "stands the name of a function"),
        ("{{lower}}", "takes 1 arguments, got 0"),
        ("{{lower .a .b}}", "takes 1 arguments, got 2"),
        ("{{(.a}}", "a ) is missing"),
        ("{{.a)}}", "stands behind the end"),
        ("{{}}", "is empty, or ends too early"),
        ("{{.a $b}}", "cannot be read"),
    ],
)
def test_wrong_templates_are_told(template: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        compile_template(template)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{{__timestamp__ | date "2006-01-02T15:04:05.000Z07:00"}}', "2026-02-03T04:05:06.789Z"),
        ('{{date "Mon Jan _2 3:04PM 06 .99 -0700 MST" __timestamp__}}', "Tue Feb  3 4:05AM 26 .78 +0000 UTC"),
        ('{{dateInZone "15:04 MST" __timestamp__ "Europe/Berlin"}}', "05:05 CET"),
        ('{{dateInZone "15:04" __timestamp__ "Nowhere"}}', "2026-02-03T04:05:06.789000000Z"),
        ('{{date "15:04" "no time"}}', "no time"),
        ("{{unixEpoch __timestamp__}} {{__timestamp__ | unixEpochMillis}}", "1770091506 1770091506789"),
        ('{{unixEpoch "x"}}', ""),
        ('{{mod 7 3}} {{max 1 5 3}} {{min "4" 2}} {{maxf 1.5 2}} {{minf 1.5 2}}', "1 5 2 2 1.5"),
        ("{{ceil 1.2}} {{floor 1.8}} {{round 1.256 2}} {{round -2.5}}", "2 1 1.26 -3"),
        ('{{int "inf"}} {{div "1e400" 2}} {{ceil "inf"}} {{mod 3 "nan"}}', "0 0 +Inf 0"),
        ('{{count "a+" "aa b a"}} {{count "(" "x"}}', "2 0"),
        ('{{repeat 3 "ab"}}{{nindent 2 "x\\ny"}}', "ababab\n  x\n  y"),
        ('{{alignLeft 3 "abcd"}}|{{alignRight 3 "abcd"}}|{{alignRight 0 "abcd"}}', "abc|bcd|"),
    ],
)
def test_functions_of_templates(template: str, expected: str) -> None:
    at = 1_770_091_506_789_000_000
    assert compile_template(template)(({}, "", at)) == expected
