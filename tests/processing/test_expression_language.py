"""Conditions: lists, loops, variables, times, and the bounds of what they may make."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ccstore.message import FieldValue
from ccstore.processing.expression import Condition, ConditionFailed, ExpressionError
from ccstore.processing.nodes import MAX_EFFORT
from ccstore.processing.subject import Subject

TAGS = {"hostname": "a0101", "type": "node", "type-id": "7", "device": "a"}
FIELDS: dict[str, FieldValue] = {
    "event": "one, two, three",
    "n": 3,
    "f": 2.5,
    "json": '{"a": [1, {"b": "x"}]}',
}
NOW = 1000.25


def subject(**fields: FieldValue) -> Subject:
    meta = {"source": "HttpReceiver(web)"}
    return Subject("x", TAGS, meta, "event", {**FIELDS, **fields}, 5 * 10**9 + 1, lambda: NOW)


def holds(source: str, **fields: FieldValue) -> bool:
    return Condition.of(source).holds(subject(**fields))


@pytest.mark.parametrize(
    "source",
    [
        # lists and parts of them
        "[1, 2, 3, 4, 5][1:4] == [2, 3, 4] and [1, 2, 3][1:-1] == [2] and [1, 2, 3][:2] == [1, 2]",
        "[1, 2, 3][2:] == [3] and [1, 2, 3][:] == [1, 2, 3] and [1, 2][3:9] == [] and [1, 2][1:0] == []",
        "name[0:1] == 'x' and event[5:8] == 'two' and event[-5:] == 'three' and tag.none?.[1:2] == nil",
        "1..3 == [1, 2, 3] and 3..1 == [] and len(1..10) == 10 and (1..3)[1] == 2 and 2 in 1..3",
        "int(type-id) in 0..9 and not (10 in 0..9) and not (2.5 in 0..9) and not ('2' in 0..9)",
        "2.0 in 1..3",
        "1..2 + 1 == [1, 2, 3] and string(1..3) == '[1 2 3]'",
        # powers
        "2 ** 3 == 8 and 2 ^ 3 == 8 and 2 ** 3 ** 2 == 512 and -2 ** 2 == -4 and 2 * 3 ** 2 == 18",
        "2 ** -1 == .5",
        "10 ** 400 > 1 and (-8) ** (1/3) != 1 and 0 ** -1 > 1",
        # maps
        "{a: 1, 'b': 2, (name + 'y'): 3, 4: 5,}.xy == 3 and {a: {b: 1}}.a.b == 1 and {} == {}",
        "{'a': 1} == {a: 1.0} and {a: 1} != {a: true} and {a: 1} != {b: 1} and 'a' in {a: 1}",
        "keys({a: 1, b: 2}) == ['a', 'b'] and values({a: 1, b: 2}) == [1, 2] and len(keys(tags)) == 4",
        # loops
        "any(values(tags), # == 'node') and not any([], true) and all([], false) and all([1, 2], # > 0)",
        "any(values(tags), {# == 'node'}) and all(keys(tags), {# != 'x'}) and none(1..3, # > 3)",
        "one([1, 2, 2], # == 1) and not one([1, 2, 2], # == 2) and not one([], true)",
        "count([1, 2, 3], # > 1) == 2 and count([true, false, true]) == 2 and sum([1, 2, 3]) == 6",
        "sum(1..3, # * 2) == 12 and sum([]) == 0 and sum(['a', 'b'], len(#)) == 2",
        "filter(0..9, {# % 2 == 0}) == [0, 2, 4, 6, 8] and map([1, 2], # + 1) == [2, 3]",
        "map(['a', 'bc'], len(#)) == [1, 2] and map([5, 6], #index) == [0, 1]",
        "find([1, 2, 3, 4], # > 2) == 3 and find([1], # > 2) == nil and findIndex([1, 2, 3, 4], # > 2) == 2",
        "findLast([1, 2, 3], # > 1) == 3 and findLastIndex([1, 2, 3], # > 1) == 2",
        "findIndex([1], # > 1) == nil",
        "filter([{a: 1}, {a: 2}], .a > 1) == [{a: 2}] and map([{a: {b: 7}}], .a.b) == [7]",
        "any([{a: 1}], #.a == 1)",
        "map(1..2, map(1..2, # * 10)) == [[10, 20], [10, 20]] and any([[1], [2]], any(#, # == 2))",
        "map(['a'], # + name) == ['ax'] and any(['a'], tag.device == #) and any([nil], # == nil)",
        "not any([nil], #) and all(['type', 'device'], # in tag) and all(['type'], msg.HasTag(#))",
        "any(split(event, ', '), # == 'two')",
        # pipes
        "event | split(', ') | len() == 3",
        "name | upper() == 'X' and 'b' in (event | replace('o', 'b') | split(''))",
        "1..5 | filter(# > 2) | map(# * 2) | sum() == 24",
        "tag.none ?? 'a,b' | split(',') | len() == 2",
        # variables
        "let x = 42; x * 2 == 84",
        "let x = event | split(', '); let y = x[1]; y == 'two' and len(x) == 3",
        "let host = tag.hostname; any(['a0101'], # == host)",
        "any([1, 2], let x = # + 1; x == 3)",
        "(let x = 1; x == 1) and (let x = 2; x == 2)",
        # functions
        "split('a,b,c', ',') == ['a', 'b', 'c'] and split('a,b,c', ',', 2) == ['a', 'b,c']",
        "split('', ',') == ['']",
        "split('aé', '') == ['a', 'é'] and split('abc', '', 2) == ['a', 'bc'] and split('a', ',', 0) == []",
        "splitAfter('a,b', ',') == ['a,', 'b'] and split('a,b', ',', 1) == ['a,b'] and split('', '') == []",
        "join(['a', 'b'], '-') == 'a-b' and join(['a', 'b']) == 'ab' and join([], ',') == ''",
        "replace('aaa', 'a', 'b') == 'bbb' and replace('aaa', 'a', 'b', 2) == 'bba'",
        "replace('ab', '', '-') == '-a-b-'",
        "repeat('ab', 3) == 'ababab' and repeat('ab', 0) == '' and indexOf('apple pie', 'pie') == 6",
        "indexOf('a', 'b') == -1 and lastIndexOf('abab', 'b') == 3 and lastIndexOf('a', 'b') == -1",
        "trimPrefix('HelloWorld', 'Hello') == 'World' and trimSuffix('HelloWorld', 'World') == 'Hello'",
        "abs(-5) == 5 and abs(-2.5) == 2.5 and ceil(1.5) == 2 and floor(-1.5) == -2",
        "round(2.5) == 3 and round(-2.5) == -3",
        "round(0.49999999999999994) == 0 and ceil(3) == 3 and round(1/0) > 1",
        "max(5, 7) == 7 and min(5, 7) == 5 and max([1, 9, 3]) == 9 and min(4, [2, 3]) == 2",
        "max([]) == nil",
        "mean([1, 2, 3]) == 2 and mean([]) == 0 and median([1, 3, 2]) == 2 and median(1, 2) == 1.5",
        "first([1, 2]) == 1 and last([1, 2]) == 2 and first([]) == nil and take([1, 2, 3], 2) == [1, 2]",
        "get([1, 2], 1) == 2 and get([1], 5) == nil and get(tag, 'device') == 'a' and get(tag, 'no') == nil",
        "get(nil, 'a') == nil and reverse([1, 2]) == [2, 1] and concat([1], [2, 3]) == [1, 2, 3]",
        "type(nil) == 'nil' and type(1) == 'int' and type(1.5) == 'float' and type('') == 'string'",
        "type(true) == 'bool' and type([]) == 'array' and type(tag) == 'map' and type(1..2) == 'array'",
        "fromJSON(field.json).a[1].b == 'x' and fromJSON('3') == 3 and type(fromJSON('3')) == 'float'",
        "fromJSON('null') == nil and fromJSON('[true]')[0] and toJSON({b: 1, a: 'é<'}) contains '\\\\u003c'",
        "toJSON([1, 2.0, 'a']) == '[\\n  1,\\n  2,\\n  \"a\"\\n]' and toJSON(nil) == 'null'",
        "toJSON({}) == '{}'",
        "toBase64('Hello') == 'SGVsbG8=' and fromBase64('SGVsbG8=') == 'Hello'",
        "bitand(0b1010, 0b1100) == 8 and bitor(0b1010, 0b1100) == 14 and bitxor(0b1010, 0b1100) == 6",
        "bitnand(0b1010, 0b1100) == 2 and bitnot(0b1010) == -11 and bitshl(0b101101, 2) == 180",
        "bitshr(45, 2) == 11",
        "bitushr(-5, 2) == 4611686018427387902 and bitshl(1, 64) == 0",
        # the message
        "msg.Tags()['type-id'] == '7' and 'device' in msg.Tags() and msg.Meta().source contains 'web'",
        "msg.Fields().n == 3 and len(msg.Fields()) == 4 and msg.GetEventValue() == 'one, two, three'",
        "msg.GetLogValue() == '' and msg.GetControlValue() == '' and msg.GetControlMethod() == ''",
        "msg.GetMetricValue() == nil and msg.GetQueryValue() == '' and msg.IsJobEvent() == ''",
        "len(msg.GetEventValue() | split(', ')) == 3 and message.GetEventValue() startsWith 'one'",
        "msg.GetTag('no') == '' and msg.GetTag('no') == nil and not (msg.GetTag('no') != '')",
        "nil == msg.GetTag('no')",
        "len(msg.GetTag('no')) == 0 and (msg.GetMeta('no') ?? 'd') == 'd' and !msg.GetTag('no')",
        "'' in [msg.GetTag('no')]",
        "msg.GetTag('device') != '' and msg.GetTag('device') != nil and '' != nil",
        "type(msg.GetTag('no')) == 'string'",
        # times
        "msg.Time().Unix() == 5 and msg.Time().UnixNano() == 5000000001 and msg.Time().UnixMilli() == 5000",
        "now().Unix() == 1000 and now() > msg.Time() and now().After(msg.Time())",
        "msg.Time().Before(now())",
        "now() - msg.Time() > duration('16m') and (now() - msg.Time()).Seconds() > 995",
        "now() - duration('1h') < now()",
        "msg.Time() + duration('1s') == msg.Time().Add(duration('1s')) and duration('90m').Hours() == 1.5",
        "now().Sub(msg.Time()).Minutes() < 17 and duration('1h') == duration('60m')",
        "duration('1s') + duration('1s') == duration('2s')",
        "type(now()) == 'time.Time' and type(duration('1s')) == 'time.Duration'",
        "duration('-1s') < duration('1s')",
        # nothing of it is in the way of what there was
        "true ? [1][0] == 1 : false",
        "tag.let == nil and tag.any == nil and tag.map == nil",
    ],
)
def test_meaning(source: str) -> None:
    assert holds(source)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("any(tag.none, true)", "any expects a list, got nil"),
        ("any(tag.device, true)", "any expects a list, got a string"),
        ("all([1], #)", "expected true or false, got a number"),
        ("sum(['a']) == 1", "a string + a number has no meaning"),
        ("tag.device[0:'a'] == 'a'", "[:] expects a whole number, got a string"),
        ("tag.none[0:1] == 'a'", "there are no parts of nil"),
        ("1..tag.device == []", ".. expects a whole number, got a string"),
        ("tag.device ** 2 == 1", "a string ** a number has no meaning"),
        ("split(tag.none, ',') == []", "split expects a string, got nil"),
        ("join([1]) == '1'", "join expects a string, got a number"),
        ("repeat('a', -1) == ''", "repeat expects a number that is not negative"),
        ("fromJSON('{') == nil", "fromJSON: this is no JSON"),
        ("fromJSON('1e999') == 1", "fromJSON: this is no JSON"),
        ("fromJSON('NaN') == 1", "fromJSON: this is no JSON"),
        ("fromBase64('!') == ''", "fromBase64: this is no text in base64"),
        ("duration('soon') > duration('1s')", "duration: 'soon' is none"),
        ("now() + now() == 1", "a time + a time has no meaning"),
        ("tag.device.Unix() == 1", "a string has no method Unix()"),
        ("now().Before(1)", "a time has no method Before(a number)"),
        ("string(now()) == ''", "a time as text is part of the language, but not of ccstore yet"),
        ("keys(tag.none) == []", "keys expects a map, got nil"),
        ("abs(tag.device) == 1", "abs expects a number, got a string"),
        ("max('a', 'b') == 'b'", "max expects a number, got a string"),
        ("{(1): 2} == {}", "the keys of a map are strings"),
        ("bitand(1.5, 1) == 1", "bitand expects whole numbers"),
        ("toJSON(1/0) == ''", "toJSON: there is an infinite number"),
        ("repeat('', 1e300) == ''", "repeat expects a whole number, got a number"),
        ("split(event, ',', 1e300) == []", "split expects a whole number, got a number"),
        ("1..1e300 == []", ".. expects a whole number, got a number"),
        (r"fromJSON('\"\\ud800\"') matches 'x'", "there is the half of a character in a text from JSON"),
        (r"toBase64(fromJSON('\"\\ud800\"')) == ''", "there is the half of a character in a text from JSON"),
    ],
)
def test_what_has_no_answer(source: str, reason: str) -> None:
    with pytest.raises(ConditionFailed) as caught:
        holds(source)
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize(
    ("source", "position", "reason"),
    [
        ("# > 1", 0, "'#' stands for an item of a list, in a predicate as of any(…) or filter(…)"),
        (".a == 1", 0, "'.' stands for an item of a list"),
        ("any([1])", 7, "expected a predicate in any(…), found ')'"),
        ("any([1], {true)", 14, "expected '}' for the '{' at column 10, found ')'"),
        ("any([1], #other == 1)", 9, "expected # or #index, found #other"),
        ("any(name, true)", 0, "any expects a list, found a string"),
        ("any([1], name)", 9, "expected what is true or false beside 'any', found a string"),
        ("filter([1], true)", 0, "expected what is true or false, found a list"),
        ("map == 1", 0, "expected '(' after the function 'map'"),
        ("reduce([1], #acc + #) == 1", 0, "reduce: the language has it, ccstore does not yet"),
        ("sort([1]) == [1]", 0, "sort: the language has it, ccstore does not yet"),
        ("[2, 1] | sortBy(#) == []", 9, "sortBy: the language has it, ccstore does not yet"),
        ("any([1], #acc == 1)", 9, "#acc: the language has it, ccstore does not yet"),
        ("$env.name == 'x'", 0, "$env: the language has it, ccstore does not yet"),
        ("date('2024-01-01') < now()", 0, "date: the language has it, ccstore does not yet"),
        ("msg.ToJSON(nil) == ''", 4, "ToJSON: the language has it, ccstore does not yet"),
        ("msg.AddTag('a', 'b')", 4, "AddTag: the language has it, ccstore does not yet"),
        ("now().Year() == 2024", 5, "only msg has methods, and times and durations have Unix, "),
        ("name | 'x'", 7, "expected a function after '|', found the string 'x'"),
        ("name | nope()", 7, "the function 'nope' is not known, expected one of len, "),
        ("let x 1; true", 6, "expected '=' after the variable 'x', found '1'"),
        ("let x = 1 true", 10, "expected ';' after the value of 'x', found 'true'"),
        ("let name = 1; true", 4, "expected another name for a variable: 'name' has a meaning already"),
        ("let len = 1; true", 4, "expected another name for a variable: 'len' has a meaning already"),
        ("let now = 1; true", 4, "expected another name for a variable: 'now' has a meaning already"),
        ("let x = 1; let x = 2; true", 15, "expected another name for a variable: 'x' has a meaning already"),
        ("(let x = 1; true) and x == 1", 22, "the name 'x' is not known"),
        ("let x = 1", 9, "expected ';' after the value of 'x', found the end"),
        ("{a 1} == {}", 3, "expected ':' after the key of the map, found '1'"),
        ("{[1]: 1} == {}", 1, "expected a key of the map, found '['"),
        ("[1][0:1", 7, "expected ']' for the '[' at column 4, found the end"),
        ("now(1) == 1", 0, "now takes 0 arguments, not 1"),
        ("split('a') == []", 0, "split takes 2 to 3 arguments, not 1"),
        ("name ** 2 == 1", 5, "expected a number beside '**', found a string"),
        ("1 .. 'a' == []", 2, "expected a number beside '..', found a string"),
        ("now() > 5", 6, "a time > a number has no meaning"),
    ],
)
def test_what_is_refused(source: str, position: int, reason: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Condition.of(source)
    assert caught.value.reason.startswith(reason)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("source", "is_of_series"),
    [
        ("any(values(tags), # == 'a') and (let x = name; x == 'y')", True),
        ("any([1], # == value)", False),
        ("any(split(event, ','), # == 'a')", False),
        ("let x = event; true", False),
        ("msg.Time().Unix() > 1", False),
        ("now().Unix() > 1", False),
        ("msg.GetControlMethod() == 'GET' or msg.Tags().a == 'b' or msg.IsJobEvent() == 'start_job'", True),
        ("msg.GetEventValue() == 'a'", False),
        ("name[0:field.n] == 'a'", False),
    ],
)
def test_what_depends_on_more_than_the_series(source: str, is_of_series: bool) -> None:
    assert Condition.of(source).is_of_series is is_of_series


def test_a_condition_can_be_asked_again_and_within_itself() -> None:
    condition = Condition.of("let x = value; any([1, 2], # == x)")
    assert [condition.holds(subject(value=value)) for value in (1, 3, 2)] == [True, False, True]


# --- bounds ---------------------------------------------------------------------------------------------

LONG = "a " * 400_000


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("any(1..100001, false)", "a range has at most 100000 numbers"),
        ("any(1..100000, false)", "it takes too long"),
        ("any(1..300, any(1..300, false))", "it takes too long"),
        ("len(map(1..5000, map(1..5000, #))) == 1", "it takes too long"),
        ("any(1..9000, event matches '^(a+)+$')", "it takes too long"),
        ("any(1..9000, event contains string(#))", "it takes too long"),
        ("any(1..9000, 'b' in split(event, ' '))", "split makes at most 100000 parts"),
        ("any(1..9000, repeat('a', 1000000) == 'b')", "it takes too long"),
        ("any(1..9000, len(take(1..100000, 99999)) == 1)", "it takes too long"),
        ("repeat('ab', 1000000) == ''", "the text would be more than 1048576 characters longer"),
        ("replace(event, '', event) == ''", "the text would be more than 1048576 characters longer"),
        (
            "join(split('aaaaaaaaaa', ''), event) == ''",
            "the text would be more than 1048576 characters longer",
        ),
        ("split(event, '') == []", "split makes at most 100000 parts"),
        ("len(concat(1..99999, 1..2)) == 1", "concat makes at most 100000 items"),
        (
            "string(fromJSON(repeat('[', 800) + repeat(']', 800))) == ''",
            "there are lists or maps in one another",
        ),
        ("fromJSON(repeat('[', 100000)) == ''", ""),
    ],
)
def test_time_and_memory_are_bounded(source: str, reason: str) -> None:
    condition = Condition.of(source)
    begun = time.thread_time()
    with pytest.raises(ConditionFailed) as caught:
        condition.holds(subject(event=LONG))
    assert caught.value.reason.startswith(reason)
    assert time.thread_time() - begun < 5


def test_what_is_within_the_bounds_has_an_answer() -> None:
    assert holds("none(1..4000, # > 4000)")
    assert holds("count(split(event, ' '), # == 'a') == 1000", event="a " * 1000)
    assert holds("any([1], event contains 'b')", event="a" * (MAX_EFFORT - 1000) + "b")


def test_variables_cannot_double_a_text_again_and_again() -> None:
    doubling = "".join(f"let x{n + 1} = x{n} + x{n}; " for n in range(40))
    with pytest.raises(ConditionFailed, match="characters longer"):
        holds(f"let x0 = 'a' + name; {doubling}x40 == ''")


def test_loops_in_loops_are_bounded_and_python_is_deep_enough() -> None:
    def nested(depth: int) -> Any:
        return Condition.of("any([true], " * depth + "#" + ")" * depth)

    assert nested(8).holds(subject())
    with pytest.raises(ExpressionError, match="more than 8 deep"):
        nested(9)
    deep = "(" * 20 + "any([true], " * 8 + "!(" * 8 + "false" + ")" * 8 + ")" * 8 + ")" * 20
    assert not Condition.of(deep).holds(subject())
