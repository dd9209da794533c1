"""Conditions: what they mean, what is refused and with which words."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ccstore.message import FieldValue, Kind
from ccstore.processing.expression import (
    MAX_DEPTH,
    MAX_NESTING,
    Condition,
    ConditionFailed,
    ExpressionError,
)
from ccstore.processing.subject import Subject
from ccstore.processing.tokens import MAX_LENGTH

TAGS = {
    "hostname": "a0101",
    "type": "node",
    "type-id": "7",
    "stype": "disk",
    "stype-id": "0",
    "device": "a",
    "digits": "3",
    "empty": "",
}


def subject(
    name: str = "x",
    *,
    kind: Kind = "event",
    tags: dict[str, str] = TAGS,
    fields: dict[str, FieldValue] | None = None,
) -> Subject:
    if fields is None:
        fields = {"event": "hello world", "n": 3, "f": 2.5, "yes": True, "nine": 9}
    return Subject(name, tags, {"source": "HttpReceiver(web)", "unit": "MB"}, kind, fields, 5 * 10**9 + 1)


def holds(source: str, **given: Any) -> bool:
    return Condition.of(source).holds(subject(**given))


def refusal(source: str) -> tuple[int, str]:
    """Where and why a condition is refused."""
    with pytest.raises(ExpressionError) as caught:
        Condition.of(source)
    return caught.value.position, caught.value.reason


def failure(source: str) -> tuple[int, str]:
    """Where and why a condition has no answer."""
    with pytest.raises(ConditionFailed) as caught:
        holds(source)
    return caught.value.position, caught.value.reason


# --- seen in production ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "yes", "no"),
    [
        ("true", {}, None),
        (
            "name == 'x' && !(tag.device == 'a' || tag.device == 'b')",
            {"tags": {"device": "c"}},
            {"tags": {"device": "b"}},
        ),
        ("name == 'x' && !(tag.device == 'a' || tag.device == 'b')", {"tags": {}}, {"name": "y", "tags": {}}),
        ("!(name in [`load_one`])", {"name": "load_two"}, {"name": "load_one"}),
        (
            "tag.stypeid matches 'home:/home'",
            {"tags": {"stype-id": "nfs-home:/home"}},
            {"tags": {"stype-id": "/scratch"}},
        ),
        ("tag.stypeid matches 'home:/home'", {"tags": {"stypeid": "home:/home"}}, {"tags": {}}),
        (
            "messagetype == 'metric' && !(name in ['a','b'])",
            {"kind": "metric", "name": "c"},
            {"kind": "metric", "name": "a"},
        ),
        ("messagetype == 'metric' && !(name in ['a','b'])", {"kind": "metric"}, {"kind": "event"}),
        ("!msg.HasTag('k')", {}, {"tags": {"k": "v"}}),
    ],
)
def test_conditions_seen_in_production(source: str, yes: dict[str, Any], no: dict[str, Any] | None) -> None:
    assert holds(source, **yes)
    assert no is None or not holds(source, **no)


# --- meaning --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "*",
        " * ",
        "true",
        "not false",
        # names
        "name == 'x' and messagetype == 'event' and msgtype == messagetype",
        "tag.hostname == tags.hostname and tag['hostname'] == 'a0101' and tag_hostname == tags_hostname",
        "type == 'node' and type-id == '7' and typeid == '7' and stype == 'disk'",
        "stype-id == '0' and stypeid == '0' and tag.stype-id == tag['stype-id'] and tags_stypeid == '0'",
        "tag.type-id == '7' and tag.typeid == '7' and tag['type-id'] == '7' and tag_type-id == '7'",
        "tag['typeid'] == '7' and msg.HasTag('type-id') and msg.HasTag('typeid') and 'typeid' in tag",
        "event == 'hello world' and field.event == event and field_event == event and fields.n == 3",
        "value == nil and log == nil and control == nil",
        "timestamp == 5 and time == timestamp",
        "meta.source == 'HttpReceiver(web)' and meta_unit == 'MB' and meta.none == nil",
        "msg.Name() == 'x' and message.Name() == name",
        "msg.GetTag('device') == 'a' and msg.GetTag('none') == nil and msg.HasTag('empty')",
        "msg.IsEvent() and not msg.IsLog() and !msg.IsMetric()",
        "msg.GetField('n') == 3 and msg.HasField('f') and not msg.HasField('none')",
        # what is not there
        "tag.none == nil and nil == tag.none and tag.none != 'a' and !(tag.none == 'a')",
        "not (tag.none matches 'a') and not (tag.none contains 'a') and not (tag.none startsWith 'a')",
        "not (tag.none endsWith 'a') and not ('a' in tag.none) and not (tag.none in ['a']) and nil in [nil]",
        "not (name contains nil) and not (nil matches name)",
        "(tag.none ?? 'd') == 'd' and 'a' == tag.device ?? 'd' and 'd' == tag.none ?? tag.more ?? 'd'",
        "tag.none?.more == nil and tag.none?.more.still == nil and tag?.device == 'a'",
        "tag?.['device'] == 'a' and tag.none?.['more'] == nil",
        # strict equality
        "!('3' == 3) and '3' != 3 and tag.digits != 3 and tag.digits == '3'",
        "1 == 1.0 and 1.0 == 1 and field.n == 3.0 and not (true == 1) and field.yes == true",
        "[1, 2] == [1, 2.0] and [1] != ['1'] and nil == nil and not (nil == false) and nil != ''",
        # precedence
        "!false == true",
        "not false == true",
        "!(name == 'y')",
        "not msg.IsLog() == true",
        "true or false and false",
        "(true || false) && !false",
        "1 + 2 * 3 == 7 and (1 + 2) * 3 == 9 and 10 - 2 - 3 == 5 and 8 / 2 / 2 == 2",
        "-2 + 3 == 1 and - -2 == 2 and 2 * -3 == -6 and +2 == 2",
        "(1 < 2) == true",
        "1 < 2 < 3 and not (1 < 2 < 2) and 3 >= 3 > 2",
        "name == 'y' ? false : true",
        "false ? false : false ? false : true",
        "(name ?? 'a') == 'x' ? true : false",
        # numbers
        "7 / 2 == 3.5 and 7 % 3 == 1 and -7 % 3 == -1 and 7 % -3 == 1 and 0.1 < .2 and 1e3 == 1000",
        "0x10 == 16 and 0b11 == 3 and 0o17 == 15 and 1_000 == 1000 and 1. == 1",
        "1 / 0 > 10 and -1 / 0 < -10",
        "9223372036854775807 + 1 < 0",
        "field.f * 2 == 5 and field.n + field.f == 5.5 and 'a' + 'b' == 'ab'",
        "'a' < 'b' and 'B' < 'a'",
        # lists and maps
        "name in ['x', 'y'] and not (name in []) and name not in ['a'] and 3 in [1, 3.0] and !('3' in [3])",
        "'device' in tag and 'none' not in tags and [1, 2, 3][1] == 2 and [1, 2, 3][-1] == 3",
        "name in [tag.none, 'x',]",
        # strings
        "'it\\'s' == \"it's\" and `a\\b` == 'a\\\\b' and '\\x41\\u0042\\t' == `AB\t` and '\\101' == 'A'",
        "event contains 'lo wo' and event startsWith 'hello' and event endsWith 'world'",
        "name not contains 'y' and name not matches '^y'",
        "name not startsWith 'y' and name not endsWith 'y'",
        "event matches `^h.*d$` and event matches 'o' and not (event matches '^o') and 'A' matches '(?i)a'",
        "event matches 'h' + 'e'",
        "'ü' matches '^.$' and len('ü') == 1",
        # functions
        "len('abc') == 3 and len([1]) == 1 and len(tag) == 8 and lower('AB') == 'ab' and upper('ab') == 'AB'",
        "trim('  a ') == 'a' and trim('xax', 'x') == 'a'",
        "int('12') == 12 and int(2.9) == 2 and int('-3') == -3 and float('2.5') == 2.5 and float(1) == 1",
        "string(3) == '3' and string(2.50) == '2.5' and string(2.0) == '2' and string(true) == 'true'",
        "string(1e20) == '100000000000000000000' and string(1e21) == '1e+21' and string(nil) == '<nil>'",
        "hasPrefix('abc', 'ab') and hasSuffix('abc', 'bc')",
        # comments and space
        "true // false",
        "/* no */ name ==\n  'x' // yes\n",
        # words that are operators are keys, too
        "tag.in == nil and tag.not == nil and tag.matches == nil",
        # what comes later does not count
        "true or tag.none < 3",
        "not (false and tag.none < 3)",
    ],
)
def test_meaning(source: str) -> None:
    assert holds(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("tag.none", False),
        ("field.none", False),
        ("value", False),
        ("field.yes", True),
        ("field.none && true", False),
        ("true && field.none", False),
        ("tag.device == 'y' || field.none", False),
        ("field.none || tag.device == 'a'", True),
        ("field.none and tag.none < 3", False),
        ("!field.none", True),
        ("not (field.none or tag.none)", True),
        ("field.none ? false : true", True),
        ("(field.none ?? field.more)", False),
        ("tag.none?.more", False),
        ("name == 'x' ? tag.none : true", False),
        ("[nil][0]", False),
        ("msg.GetField('none')", False),
    ],
)
def test_what_is_absent_is_false(source: str, expected: bool) -> None:
    assert holds(source) is expected


@pytest.mark.parametrize(
    ("source", "position", "reason"),
    [
        ("tag.none < 3", 9, "nil < a number has no meaning"),
        ("tag.digits > 2", 11, "a string > a number has no meaning"),
        ("tag.digits % 2 == 1", 11, "a string % a number has no meaning"),
        ("field.n % 0 == 1", 8, "division by zero"),
        ("field.f % 2 == 1", 8, "a fraction % a number has no meaning"),
        ("name == 'x' && tag.device", 22, "expected true or false, got a string"),
        ("tag.none || field.n", 18, "expected true or false, got a number"),
        ("field.n ? true : false", 5, "expected true or false, got a number"),
        ("tag.device", 0, "expected true or false, got a string"),
        ("!tag.device", 4, "expected true or false, got a string"),
        ("tag.none.more == 1", 8, "there is nothing at 'more' of nil"),
        ("tag.device.more == 1", 10, "there is nothing at 'more' of a string"),
        ("[1][1] == 1", 3, "the list has no index 1, it has 1 items"),
        ("[1][field.f] == 1", 3, "expected a whole number as the index of a list, got a fraction"),
        ("tag[1] == 'a'", 3, "expected a string as the key of a map, got a number"),
        ("int(tag.device) == 1", 0, "int: 'a' is no whole number"),
        ("len(tag.none) == 1", 0, "nil has no length"),
        ("lower(field.n) == 'a'", 0, "lower expects a string, got a number"),
        ("'a' in tag.device", 4, "in a string has no meaning"),
        ("field.n contains '3'", 8, "a number contains a string has no meaning"),
        ("name matches tag.hostname + '('", 5, "the regular expression 'a0101(' is wrong: missing ')'"),
    ],
)
def test_what_has_no_answer(source: str, position: int, reason: str) -> None:
    where, why = failure(source)
    assert why.startswith(reason)
    # The exact character is a help, not a promise; it must lie at the part that fails.
    assert abs(where - position) <= 4, where


@pytest.mark.parametrize(
    ("source", "position", "reason"),
    [
        ("", 0, "expected a value, found the end"),
        ("name ==", 7, "expected a value, found the end"),
        ("name == 'x' &&", 14, "expected a value, found the end"),
        ("name == 'x", 8, "the string opened here is not closed"),
        ("name == 'x' 'y'", 12, "expected an operator or the end, found the string 'y'"),
        ("name = 'x'", 5, "'=' is not known here (== compares)"),
        ("name & 'x'", 5, "'&' is not known here (&& is and)"),
        ("(name == 'x'", 12, "expected ')' for the '(' at column 1, found the end"),
        ("name in ['a' 'b']", 13, "expected ',' or ']' in the list, found the string 'b'"),
        ("tag['a' == 'b'", 14, "expected ']' for the '[' at column 4, found the end"),
        ("tag. == 'b'", 5, "expected a key after '.', found '=='"),
        ("true ? false", 12, "expected ':' of the conditional, found the end"),
        ("nme == 'x'", 0, "the name 'nme' is not known, expected one of name, "),
        ("hostname == 'x'", 0, "the name 'hostname' is not known: a tag is tag.hostname"),
        ("size(name) == 1", 0, "the function 'size' is not known, expected one of len, "),
        ("len == 1", 0, "expected '(' after the function 'len'"),
        ("len(name, name) == 1", 0, "len takes 1 arguments, not 2"),
        ("trim() == 'a'", 0, "trim takes 1 to 2 arguments, not 0"),
        ("all(tags, true)", 0, "all expects a list, found a map"),
        ("let == 1", 4, "expected the name of a variable after 'let', found '=='"),
        ("msg.Nope()", 4, "expected one of Name, "),
        ("msg.HasTag()", 4, "HasTag takes 1 arguments, not 0"),
        ("msg == 1", 4, "expected '.' and a method after 'msg', found '=='"),
        ("name.lower() == 'x'", 4, "only msg has methods"),
        ("name matches '(a'", 13, "the regular expression '(a' is wrong: missing ')'"),
        (
            "name matches 'a{2000}'",
            13,
            "the regular expression 'a{2000}' is wrong: invalid repetition size: '{2000}'",
        ),
        (
            r"name matches '(a)\\1'",
            13,
            "the regular expression '(a)\\\\1' is wrong: invalid escape sequence: '\\\\1'",
        ),
        (r"name == 'a\qb'", 10, "is no escape"),
        (r"name == '\ud800'", 9, "is no character"),
        ("name", 0, "expected what is true or false, found a string"),
        ("1", 0, "expected what is true or false, found a number"),
        ("name && true", 0, "expected what is true or false beside '&&', found a string"),
        ("!name == 'x'", 1, "expected what is true or false beside 'not', found a string"),
        ("name < 3", 5, "a string < a number has no meaning"),
        ("name - 1 == 2", 5, "expected a number beside '-', found a string"),
        ("name in 'abc'", 5, "expected a list or a map beside 'in', found a string"),
        ("1 contains 'a'", 2, "expected a string beside 'contains', found a number"),
        ("name < nil", 5, "a string < nil has no meaning"),
        ("tag.a < true", 6, "expected a string or a number beside '<', found a truth value"),
        ("name.x == 1", 4, "there are no keys in a string"),
        ("tag.a ?? 'b' == 'c'", 13, "expected parentheses around the part with '??' before '=='"),
        ("name not == 'x'", 9, "expected one of contains, endsWith, in, matches, startsWith after not"),
        ("99999999999999999999 == 1", 0, "the number '99999999999999999999' is too large"),
        ("1e999 == 1", 0, "the number '1e999' is too large"),
        ("1.2.3 == 1", 0, "expected a number, found '1.2.'"),
        ("3x == 1", 0, "expected a number, found '3x'"),
        ("/* open", 0, "the comment opened here is not closed"),
        ("name == \x00", 8, r"'\x00' is not known here"),
        ("9 *** 9 == 1", 4, "expected a value, found '*'"),
    ],
)
def test_what_is_refused(source: str, position: int, reason: str) -> None:
    where, why = refusal(source)
    assert why.startswith(reason) or reason in why, why
    assert where == position


def test_two_ways_of_writing_type_id() -> None:
    for tags in ({"type-id": "1"}, {"typeid": "1"}, {"typeid": "2", "type-id": "1"}):
        for source in ("type-id", "typeid", "tag.type-id", "tag['typeid']", "msg.GetTag('type-id')"):
            assert holds(f"{source} == '1'", tags=tags)
    assert not holds("type-id == '1' or 'type-id' in tag", tags={"type": "1", "id": "1"})


def test_constants_of_the_configuration() -> None:
    constants = {"LIMIT": 3, "HOSTS": ["a0101", "a0102"], "LEVELS": {"low": 1}}
    for source in ("field.n == LIMIT", "tag.hostname in HOSTS", "LEVELS.low == 1", "'low' in LEVELS"):
        assert Condition.of(source, constants).holds(subject())
    # What a message has goes before.
    assert Condition.of("name == 'x'", {"name": "y"}).holds(subject())


@pytest.mark.parametrize(
    ("source", "is_of_series"),
    [
        ("name == 'x' and tag.a == nil and meta.source == 'a' and messagetype == 'event'", True),
        ("msg.HasTag('a') or msg.IsEvent() or type-id == '1' or tag_x == '1'", True),
        ("name == 'x' and value > 3", False),
        ("true or event == 'x'", False),
        ("tag[string(timestamp)] == nil", False),
        ("msg.HasField('a')", False),
        ("field.a == 1", False),
        ("[log] == [nil]", False),
        ("name == 'x' ? time > 3 : true", False),
        ("not (field_a in [1])", False),
        ("int(control) == -1", False),
    ],
)
def test_what_depends_on_more_than_the_series(source: str, is_of_series: bool) -> None:
    assert Condition.of(source).is_of_series is is_of_series


# --- bounds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "(" * 5000 + "true" + ")" * 5000,
        "!" * 5000 + "true",
        "not " * 3000 + "true",
        "-" * 5000 + "1 == 1",
        "[" * 5000,
        "true ? " * 2000,
        "false ? true : " * 1000 + "true",
        "len(" * 3000,
        "tag[" * 3000,
        "+".join(["'a'"] * 3000) + " == 'a'",
        " ?? ".join(["tag.a"] * 2000) + " == 'a'",
        "1 == 1" + " == true" * 2000,
        "2 ** " * 3000 + "2 == 2",
        "let a = " * 2000,
        "name" + " | upper()" * 1500 + " == 'X'",
        "{a: " * 3000,
        "any([" * 3000,
        "any([1], " * 1500,
    ],
)
def test_depth_is_bounded(source: str) -> None:
    assert "deep" in refusal(source)[1]


@pytest.mark.parametrize(
    "source",
    [
        "(" * (MAX_NESTING - 1) + "true" + ")" * (MAX_NESTING - 1),
        "!" * 48 + "true",
        "+".join(["'a'"] * (MAX_DEPTH - 2)) + " startsWith 'a'",
        "false or " * 2000 + "true",
        " && ".join(["name == 'x'"] * 1000),
        "tag" + "?.a" * 5000 + " == nil",
        # As many calls in one another as there can be.
        "(true and true or 1 * (1 + 1) < 2 or " * 45 + "true" + ")" * 45,
    ],
)
def test_within_the_bounds_python_is_deep_enough(source: str) -> None:
    assert holds(source)


def test_length_is_bounded() -> None:
    assert refusal("true " + " " * MAX_LENGTH) == (MAX_LENGTH, f"it is longer than {MAX_LENGTH} characters")


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a*)*b", "(a|aa)+$", "(.*a){20}$", "(x+x+)+y"])
def test_no_regular_expression_takes_long(pattern: str) -> None:
    """With an engine that backtracks, each of these would take years."""
    for text in ("a" * 100_000 + "b!", "x" * 100_000):
        begun = time.thread_time()
        holds(f"event matches '{pattern}'", fields={"event": text})
        holds("event matches field.p", fields={"event": text, "p": pattern})
        assert time.thread_time() - begun < 10


def test_a_pattern_from_a_message_is_bounded() -> None:
    condition = Condition.of("name matches event")
    with pytest.raises(ConditionFailed, match="at most 1000 characters"):
        condition.holds(subject(fields={"event": "a" * 1001}))
    with pytest.raises(ConditionFailed, match=r"regular expression .* is wrong"):
        condition.holds(subject(fields={"event": "((((a{100}){100}){100}){100})"}))


# --- anything -------------------------------------------------------------------------------------------

WORDS = """
name tag tags field meta msg event value type-id tag_a field_a true false nil ( ) [ ] . ?. , ? : == != < <=
> >= && || and or not ! + - * / % in matches contains startsWith endsWith ?? 'a' "b" `c` 1 2.5 0x1 len lower
int float string trim hasPrefix msg.Name() msg.HasTag('a') tag.a tag['a'] // /* */ { } # | .. ** ^ let
' " \\ é 'x' '(' ; = : any( all( map( filter( count( sum( find( #index .a values(tag) split( join( repeat(
now() msg.Time() .Unix() duration('1h') fromJSON( toJSON( [1:2] 1..3 x
"""
PIECES = st.sampled_from([*WORDS.split(), "\x00", "\n"])
VALUES = st.one_of(st.text(max_size=5), st.integers(-(2**63), 2**64 - 1), st.floats(), st.booleans())


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(PIECES, max_size=25).map(" ".join),
        st.lists(PIECES, max_size=25).map("".join),
    ),
    st.dictionaries(st.sampled_from(["a", "event", "value", "log", "control"]), VALUES),
)
@example("nil in nil", {})
@example("'a' in nil", {})
@example("name matches nil", {})
@example("-nil == 1", {})
@example("tag.a.b == 1 ? value : event", {})
@example("value * value * value < 1", {"value": 1e308})
@example("int(value) == 1", {"value": float("inf")})
@example("value % 2 == 1", {"value": True})
def test_nothing_but_its_own_errors(source: str, fields: dict[str, FieldValue]) -> None:
    found, *where = answer(source, subject(fields=fields))
    if found in ("refused", "failed"):
        position, reason = where
        assert 0 <= position <= len(source)
        assert reason
    if found != "refused" and Condition.of(source).is_of_series:
        assert answer(source, subject(fields={}))[0] == found


def answer(source: str, of: Subject) -> tuple[Any, ...]:
    """Whether a condition holds, or what is wrong with it and where."""
    try:
        found = Condition.of(source).holds(of)
    except ExpressionError as error:
        return "refused", error.position, error.reason
    except ConditionFailed as error:
        return "failed", error.position, error.reason
    assert found is True or found is False
    return (found,)


@settings(deadline=None)
@given(
    st.integers(1, 400), st.sampled_from(["({})", "!!({})", "[{}][0]", "true ? {} : true", "({}) and true"])
)
def test_nesting_ends_in_its_own_error(depth: int, shape: str) -> None:
    source = "true"
    for _ in range(depth):
        source = shape.format(source)
        if len(source) > MAX_LENGTH:
            break
    found, *where = answer(source, subject())
    assert found is True or "deep" in where[1] or "longer" in where[1]
