"""The decoder and the encoder of line protocol."""

from __future__ import annotations

import gc
import gzip
import itertools
import json
import re
import signal
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccstore.lineprotocol import (
    NANOSECONDS,
    TEXT_LIMIT,
    Decoded,
    LineError,
    Precision,
    SeriesCache,
    StreamDecoder,
    decode,
    encode,
    grammar,
)
from ccstore.lineprotocol import decoder as decoder_module
from ccstore.lineprotocol import entry as entry_module
from ccstore.lineprotocol import plain as plain_module
from ccstore.lineprotocol import series as series_module
from ccstore.lineprotocol.series import decode_head
from ccstore.message import Batch, FieldValue, Kind, Message, Series
from tests.support import strategies
from tests.support.running_daemon import ROOT
from tests.support.strategies import message_of

REFERENCE = ROOT / "tests" / "data" / "reference_decoder.jsonl.gz"
NOW = 1_700_000_000_123_456_789

thoroughly = settings(max_examples=500, deadline=None)
briefly = settings(max_examples=100, deadline=None)


def plain(messages: Iterable[Message]) -> list[tuple[Any, ...]]:
    """Messages as values that compare by what they say, types included."""
    return [
        (
            message.name,
            dict(message.tags),
            {key: (type(value), repr(value)) for key, value in message.fields.items()},
            message.time,
            message.kind,
            message.text,
        )
        for message in messages
    ]


def result(decoded: Decoded) -> tuple[list[tuple[Any, ...]], list[LineError]]:
    return plain(decoded.messages), decoded.errors


def stream(data: Iterable[bytes], **options: Any) -> Decoded:
    """What a stream decoder makes of pieces."""
    decoder = StreamDecoder(**options)
    fed = [decoder.feed(piece, NOW) for piece in data]
    fed.append(decoder.finish(NOW))
    return Decoded([m for each in fed for m in each.messages], [e for each in fed for e in each.errors])


def test_what_came_out_is_not_held() -> None:
    decoder = StreamDecoder()
    for decoded in (decoder.feed(b'a event="b"\nc\n', NOW), decoder.finish(NOW)):
        assert [decoded] == [held for held in gc.get_referrers(decoded.messages) if type(held) is not list]


def whole(data: bytes, **options: Any) -> Decoded:
    return stream([data], **options)


def one(data: bytes, **options: Any) -> Message:
    """The only message of input without mistakes."""
    messages, errors = decode(data, default_time=NOW, **options)
    assert not errors
    assert len(messages) == 1
    return messages[0]


def texts(decoded: Decoded) -> list[str]:
    return [message.text for message in decoded.messages]


def mistake(data: bytes) -> LineError:
    """The only error of input without messages."""
    messages, errors = decode(data, default_time=NOW)
    assert not messages
    assert len(errors) == 1
    return errors[0]


# The reference decoder


def reference_value(kind: str, value: Any) -> FieldValue:
    return float.fromhex(value) if kind == "f" else value


def reference_cases() -> list[dict[str, Any]]:
    with gzip.open(REFERENCE, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_decodes_as_the_reference_decoder_does() -> None:
    differing = []
    cases = reference_cases()
    assert len(cases) == 5000
    for case in cases:
        expected = plain(
            message_of(
                name,
                dict(tags),
                {key: reference_value(kind, value) for key, kind, value in fields},
                time,
            )
            for name, tags, fields, time in case["m"]
        )
        data = case["t"].encode("latin-1")
        if data.startswith(grammar.BYTE_ORDER_MARK):
            data = b"\n" + data  # at the beginning of a stream, it is left out
        messages, errors = decode(data, precision=case["p"], default_time=case["d"])
        if plain(messages) != expected or bool(errors) != bool(case["e"]):
            differing.append((case, plain(messages), errors))
    assert not differing[:3], f"{len(differing)} of {len(cases)} cases differ"


# What is accepted


@pytest.mark.parametrize(
    ("line", "name", "tags", "fields"),
    [
        (b"m f=1", "m", {}, {"f": 1.0}),
        (b"m,b=2,a=1 f=1", "m", {"b": "2", "a": "1"}, {"f": 1.0}),
        (b"  m   f=1   ", "m", {}, {"f": 1.0}),
        (rb"my\ name\,x f=1", "my name,x", {}, {"f": 1.0}),
        (rb"m=n f=1", "m=n", {}, {"f": 1.0}),
        (rb"m\=n f=1", r"m\=n", {}, {"f": 1.0}),
        (rb"m,a\ b\,c\=d=v\ w\,x\=y f=1", "m", {"a b,c=d": "v w,x=y"}, {"f": 1.0}),
        (rb"m f\ g\,h\=i=1", "m", {}, {"f g,h=i": 1.0}),
        (rb"m\n,t\u=v\\w f=1", r"m\n", {r"t\u": r"v\\w"}, {"f": 1.0}),
        (b'm"n,t"=" f"=1', 'm"n', {'t"': '"'}, {'f"': 1.0}),
        ("日本,é=ü ß=1".encode(), "日本", {"é": "ü"}, {"ß": 1.0}),
        (b"m,t=#1 #f=1", "m", {"t": "#1"}, {"#f": 1.0}),
        (b"m f=1,f=2,g=t,f=3i", "m", {}, {"f": 3, "g": True}),
        (b"m,t=a,u=b,t=c f=1", "m", {"t": "c", "u": "b"}, {"f": 1.0}),
    ],
)
def test_names_tags_and_fields(
    line: bytes, name: str, tags: dict[str, str], fields: dict[str, FieldValue]
) -> None:
    message = one(line)
    assert (message.name, message.tags, message.fields) == (name, tags, fields)


def test_of_a_tag_given_twice_the_last_value_counts_on_both_ways() -> None:
    for fast in (True, False):
        [message] = whole(b'm,cluster=a,cluster=b event="x"\n', fast=fast).messages
        assert message.series.cluster == "b"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"1", 1.0),
        (b"-1.5e3", -1500.0),
        (b".5", 0.5),
        (b"5.", 5.0),
        (b"1e-400", 0.0),
        (b"1_000", 1000.0),
        (b"0x1p4", 16.0),
        (b"-0x.8p0", -0.5),
        (b"1i", 1),
        (b"-0i", 0),
        (b"007i", 7),
        (b"9223372036854775807i", 2**63 - 1),
        (b"-9223372036854775808i", -(2**63)),
        (b"18446744073709551615u", 2**64 - 1),
        (b"0" * 5000 + b"7u", 7),
        (b'""', ""),
        (b'"a b,c=d #"', "a b,c=d #"),
        (rb'"\"\\\n\r\t"', '"\\\n\r\t'),
        (rb'"\\n\\\"\a\,"', '\\n\\"\\a\\,'),
        (b'"two\nlines"', "two\nlines"),
        (b'"\r\n\x00\t"', "\r\n\x00\t"),
        *((raw.encode(), True) for raw in ("t", "T", "true", "True", "TRUE")),
        *((raw.encode(), False) for raw in ("f", "F", "false", "False", "FALSE")),
    ],
)
def test_field_values(raw: bytes, value: FieldValue) -> None:
    message = one(b"m v=" + raw + b" 1")
    assert message.fields == {"v": value}
    assert type(message.fields["v"]) is type(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\r\n",
        b"  \n \r\n",
        b"# comment\n",
        b"  # comment\r\n#",
        b'#m event="x"\n',
        "# é".encode(),
    ],
)
def test_comments_and_blank_lines_are_nothing(data: bytes) -> None:
    assert decode(data, default_time=NOW) == ([], [])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("line", [b'm event="a"', b'm event="a" 5', b"m f=1", b'm f="a",g=2i 5'])
def test_line_ends(line: bytes, end: bytes) -> None:
    assert plain([one(line + end)]) == plain([one(line)])


# What is rejected

NO_VALUE = "a number, a boolean or a string in double quotes"
NO_END = "expected ',', a space or the end of the line after the field 'f'"
NO_STAMP = "expected a timestamp (a whole number) or the end of the line"
A_TIME = "expected a time between the years 1677 and 2262"


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (b"m", 2, "no field"),
        (b"m ", 3, "expected a field key, found the end of the line"),
        (b"m,t=v", 6, "no field"),
        (b"m f", 4, "expected '=' after the field key 'f', found the end of the line"),
        (b"m f=", 5, "expected a value for the field 'f', found the end of the line"),
        (b"m f=1,", 7, "expected a field key after ',', found the end of the line"),
        (b"m f=1,,g=1", 7, "expected a field key after ',', found ','"),
        (b"m =1", 3, "expected a field key, found '='"),
        (b",t=v f=1", 1, "expected a measurement name, found ','"),
        (b"\tm f=1", 1, "expected a measurement name, found a tab"),
        (b"m, f=1", 3, "expected a tag key after ',', found a space"),
        (b"m,=v f=1", 3, "expected a tag key after ',', found '='"),
        (b"m,t f=1", 4, "expected '=' after the tag key 't', found a space"),
        (b"m,t= f=1", 5, "expected a value for the tag 't', found a space"),
        (b"m,t=,u=v f=1", 5, "expected a value for the tag 't', found ','"),
        (b"m,t=v=w f=1", 6, "expected ',' or a space after the tag 't', found '='"),
        (b"m f=word", 5, f"the value 'word' of field 'f' is not {NO_VALUE}"),
        (b"m f=NaN", 5, f"the value 'NaN' of field 'f' is not {NO_VALUE}"),
        (b"m f=Inf", 5, f"the value 'Inf' of field 'f' is not {NO_VALUE}"),
        (b"m f=-Inf", 5, "the value '-Inf' of field 'f' is not a finite number"),
        (b"m f=1e400", 5, "the value '1e400' of field 'f' is not a finite number"),
        (b"m f=1.5i", 5, "the value '1.5i' of field 'f' is not a 64-bit integer"),
        (
            b"m f=9223372036854775808i",
            5,
            "the value '9223372036854775808i' of field 'f' is not a 64-bit integer",
        ),
        (b"m f=-1u", 5, "the value '-1u' of field 'f' is not an unsigned 64-bit integer"),
        (b"m f=truth", 5, f"the value 'truth' of field 'f' is not {NO_VALUE}"),
        (b'm f="a', 5, "the string opened here is never closed"),
        (b'm f="a"b', 8, f"{NO_END}, found 'b'"),
        (b"m f=1 1.5", 7, f"{NO_STAMP}, found '1.5'"),
        (b"m f=1 soon", 7, f"{NO_STAMP}, found 'soon'"),
        (b"m f=1 -", 7, f"{NO_STAMP}, found '-'"),
        (b"m f=1 g=2", 7, f"{NO_STAMP}, found 'g=2': between fields there is a comma and no space"),
        (b"m f=1 # a", 7, f"{NO_STAMP}, found '# a': a comment has a line of its own"),
        (b"m f= 1", 5, "expected a value for the field 'f', found a space"),
        (b"m f =1", 4, "expected '=' after the field key 'f', found a space"),
        (b"m f=1, g=2", 7, "expected a field key after ',', found a space"),
        (b"m\tf=1", 2, "expected ',' or a space after the measurement 'm', found a tab"),
        ("m f=„1“".encode(), 5, f"the value '„1“' of field 'f' is not {NO_VALUE}"),
        ('m f="1"“'.encode(), 8, f"{NO_END}, found '“'"),
        (b"m f=1.2.3", 5, f"the value '1.2.3' of field 'f' is not {NO_VALUE}"),
        (b"m f\\ g\xff=1", 7, "expected UTF-8 in 'f\\\\ g\ufffd', found the byte 0xff (invalid start byte)"),
        (b"m f=1 5 6", 9, "expected the end of the line after the timestamp, found '6'"),
        (b"m f=1 9223372036854775808", 7, f"timestamp out of range '9223372036854775808': {A_TIME}"),
        (b"# a\x00b", 4, "expected no control character in a comment, found a NUL byte"),
        (b"\xff f=1", 1, "expected UTF-8 in '\ufffd', found the byte 0xff (invalid start byte)"),
        (b"m,t=\xc3 f=1", 5, "expected UTF-8 in '\ufffd', found the byte 0xc3 (unexpected end of data)"),
        (b'm event="ab\xff"', 12, "expected UTF-8 in a string, found the byte 0xff (invalid start byte)"),
        (b"m,\xe2\x82\xac=\x7f f=1", 7, "expected a value for the tag '€', found '\\x7f'"),
        (
            b"m f=" + b"y" * 50,
            5,
            f"the value '{'y' * 40}…' of field 'f' is not {NO_VALUE}",
        ),
    ],
)
def test_mistakes_are_explained(line: bytes, column: int, reason: str) -> None:
    assert mistake(line) == LineError(1, column, reason, line.decode(errors="replace"))


def test_a_mistake_in_a_string_of_several_lines_is_located_where_it_stands() -> None:
    error = mistake(b'\n\nm f="a\nb\xff",g=1\n')
    assert (error.line, error.column) == (4, 2)
    assert error.text == 'm f="a'


def test_lines_are_counted_over_strings_comments_and_blank_lines() -> None:
    data = b'# one\n\nm event="three\nfour"\nm event="five"\r\nbad\nm event="seven"\nworse'
    for fast in (True, False):
        assert [error.line for error in whole(data, fast=fast).errors] == [6, 8]


def test_the_text_of_a_long_line_is_cut() -> None:
    assert mistake(b"a" * (TEXT_LIMIT + 1)).text == "a" * TEXT_LIMIT
    assert mistake("é".encode() * 300).text == "é" * TEXT_LIMIT
    assert mistake("😀".encode() * 300).text == "😀" * TEXT_LIMIT


def test_the_text_has_no_line_end() -> None:
    assert mistake(b"bad\r\n").text == "bad"


BAD_LINES = [
    b"m",
    b"m f=",
    b"m,t= f=1",
    b"m f=word",
    b"m f=1 1.5",
    b'm event="x',
    b'm event="x\\"',
    b'm a=1,event="x',
    b'm event="x"y',
    b"\xff f=1",
    b'm event="\xff"',
    b"\x00",
    b"#\x01",
]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_wrong_line_costs_only_itself(bad: bytes, end: bytes, fast: bool) -> None:
    good = [b'm event="%d"' % number for number in range(4)]
    data = b"".join(line + end for line in [good[0], bad, good[1], bad, bad, good[2], good[3], bad])
    decoded = whole(data, fast=fast)
    assert texts(decoded) == ["0", "1", "2", "3"]
    assert [error.line for error in decoded.errors] == [2, 4, 5, 8]


@pytest.mark.parametrize(
    ("data", "survivors", "where"),
    [
        # The next line's opening quote would close the string.
        (b'm event="open\nm event="b"\n', ["b"], (1, 9)),
        (b'm event="open\nm event=""\n', [""], (1, 9)),
        (b'm event="open\nm f=1,event="b" 5\n', ["b"], (1, 9)),
        # No quote follows at all.
        (b'm event="a"\nm event="open\n', ["a"], (2, 9)),
        (b'm event="a"\nm event="open', ["a"], (2, 9)),
        (b'm event="a"\nm event="open\n\n\n', ["a"], (2, 9)),
        # An escaped quote closes nothing.
        (b'm event="open\\"\nm event="b"\n', ["b"], (1, 9)),
        # The second string of the line is the open one.
        (b'm event="a",f="open\nm event="b"\n', ["b"], (1, 15)),
        # A string of two lines is right, the one behind it is not.
        (b'm f="1\n2",event="open\nm event="b"\n', ["b"], (2, 10)),
    ],
)
def test_an_unclosed_quote_costs_only_its_own_line(
    data: bytes, survivors: list[str], where: tuple[int, int]
) -> None:
    for fast in (True, False):
        decoded = whole(data, fast=fast)
        assert texts(decoded) == survivors
        assert [(error.line, error.column) for error in decoded.errors] == [where]


def test_lines_without_quotes_behind_an_unclosed_one_survive() -> None:
    messages, errors = decode(b'm event="open\nm value=1\nm value=2\n', default_time=NOW)
    assert [message.fields for message in messages] == [{"value": 1.0}, {"value": 2.0}]
    assert len(errors) == 1


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b" 5\n", b',g="x\ny"\n'])
def test_a_string_over_line_ends_may_be_followed_by_what_follows_a_string(end: bytes) -> None:
    assert one(b'm event="m event=1\n\nm event=2"' + end).text == "m event=1\n\nm event=2"


# Time


@pytest.mark.parametrize(
    ("precision", "stamp", "time"),
    [
        ("s", 1_700_000_000, 1_700_000_000 * 10**9),
        ("ms", 1_700_000_000, 1_700_000_000 * 10**6),
        ("us", 1_700_000_000, 1_700_000_000 * 10**3),
        ("ns", 1_700_000_000, 1_700_000_000),
        ("ns", 2**63 - 1, 2**63 - 1),
        ("ns", -(2**63), -(2**63)),
        ("s", -1, -(10**9)),
        ("auto", 0, 0),
        ("auto", 10**11 - 1, (10**11 - 1) * 10**9 if (10**11 - 1) * 10**9 < 2**63 else None),
        ("auto", 9_223_372_036, 9_223_372_036 * 10**9),
        ("auto", 9_223_372_037, None),
        ("auto", 10**11, 10**17),
        ("auto", 10**14 - 1, None),
        ("auto", 10**14, 10**17),
        ("auto", 10**17 - 1, None),
        ("auto", 10**17, 10**17),
        ("auto", 1_700_000_000, 1_700_000_000 * 10**9),
        ("auto", 1_700_000_000_123, 1_700_000_000_123 * 10**6),
        ("auto", 1_700_000_000_123_456, 1_700_000_000_123_456 * 10**3),
        ("auto", 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        ("auto", -1, -(10**9)),
        ("auto", -(10**11), -(10**17)),
        ("auto", -(10**17), -(10**17)),
        ("h", 500_000, 500_000 * 3600 * 10**9),
        ("h", 2_562_048, None),
        ("m", -30_000_000, -30_000_000 * 60 * 10**9),
        ("m", 153_722_868, None),
        ("s", 9_223_372_036, 9_223_372_036 * 10**9),
        ("s", 9_223_372_037, None),
        ("s", -9_223_372_036, -9_223_372_036 * 10**9),
        ("s", -9_223_372_037, None),
        ("ms", 2**63 - 1, None),
        ("ns", 2**63, None),
        ("ns", -(2**63) - 1, None),
    ],
)
def test_timestamps(precision: Precision, stamp: int, time: int | None) -> None:
    for fast in (True, False):
        messages, errors = whole(b'm event="x" %d\n' % stamp, precision=precision, fast=fast)
        if time is None:
            assert not messages
            assert errors[0].reason.startswith(f"timestamp out of range '{stamp}': expected a time")
        else:
            assert [message.time for message in messages] == [time]
            assert not errors


@pytest.mark.parametrize("precision", sorted(NANOSECONDS))
@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_a_lenient_decoder_finds_the_unit_that_was_not_meant(precision: Precision, unit: int) -> None:
    time = 1_700_000_000 * 10**9
    for stamp in (time // unit, -time // unit):
        lines = b'm event="x" %d\nm event="y"\n' % stamp
        for fast in (True, False):
            decoder = StreamDecoder(precision=precision, lenient=True, fast=fast)
            times = [message.time for message in decoder.feed(lines, NOW).messages]
            if unit >= NANOSECONDS[precision]:  # what is too coarse for its unit means what it says
                expected = stamp * (NANOSECONDS[precision] or unit)
            else:
                expected = stamp * unit
            assert times[0] == expected


def test_leading_zeros_of_a_timestamp_do_not_matter() -> None:
    assert one(b'm event="x" ' + b"0" * 30 + b"5").time == 5 * 10**9
    assert one(b'm event="x" ' + b"0" * 17 + b"5").time == 5 * 10**9


@pytest.mark.parametrize(
    ("precision", "time"),
    [
        ("auto", NOW),
        ("ns", NOW),
        ("us", 1_700_000_000_123_456_000),
        ("ms", 1_700_000_000_123_000_000),
        ("s", 1_700_000_000_000_000_000),
        ("m", 1_699_999_980_000_000_000),
        ("h", 1_699_999_200_000_000_000),
    ],
)
def test_the_default_time_is_cut_to_the_precision(precision: Precision, time: int) -> None:
    assert one(b'm event="x"\n', precision=precision).time == time
    assert one(b"m f=1  ", precision=precision).time == time


def test_a_time_before_the_epoch_is_cut_downwards() -> None:
    assert decode(b"m f=1", precision="s", default_time=-1).messages[0].time == -(10**9)


def test_a_line_without_timestamp_has_the_time_when_its_end_came() -> None:
    for fast in (True, False):
        decoder = StreamDecoder(fast=fast)
        assert not decoder.feed(b'm event="a', 1).messages
        [message] = decoder.feed(b'"\n', 2).messages
        assert message.time == 2


# Any cutting, and both ways

#: What strings, and all around them, are made of where the fast way undoes escapes by means of those of C.
_ESCAPES = [
    *(b"\\", b'\\"', b"\\\\", b"\\a", b"\\b", b"\\n", b"\\7", b"\\8", b"\\10", b"\\x07", b"\\x", b"\\'"),
    *(b"\\\n", b"a", b"b", b"7", b"8", b"\x07", b"\x08", b"\xff", b"\xfe", b"\xfd", b"\xfc", "ä".encode()),
    *(b'"', b"\n", b" ", b"="),
]
_BEFORE = (b'j,a=b event="', b'a7,b8=7 log="', b'j\\"a event="')
_BEHIND = (b'" 17\n', b'" 8\n', b'"\n', b'" 1 7\n', b'"\r\n')


@pytest.mark.parametrize("before", _BEFORE)
@pytest.mark.parametrize("behind", _BEHIND)
def test_both_ways_undo_the_same_escapes(before: bytes, behind: bytes) -> None:
    for text in itertools.product((b"", *_ESCAPES), repeat=2):
        data = before + b"".join(text) + behind
        fast = StreamDecoder(fast=True)
        for _ in range(2):  # with a series that is new, and that is known
            slow = StreamDecoder(fast=False)
            assert result(fast.feed(data, 5)) == result(slow.feed(data, 5)), data
            assert result(fast.finish(5)) == result(slow.finish(5)), data


@thoroughly
@given(strategies.hostile, strategies.sizes, st.none() | st.integers(1, 60), st.booleans())
def test_the_result_does_not_depend_on_the_cutting(
    data: bytes, sizes: list[int], limit: int | None, fast: bool
) -> None:
    expected = result(whole(data, max_line_length=limit, fast=fast))
    cut = stream(strategies.pieces(data, sizes), max_line_length=limit, fast=fast)
    assert result(cut) == expected


@thoroughly
@given(
    st.lists(strategies.messages | strategies.plain_messages, max_size=5),
    strategies.hostile,
    strategies.sizes,
    st.none() | st.integers(1, 200),
)
def test_both_ways_agree_on_right_lines_between_hostile_ones(
    messages: list[Message], garbage: bytes, sizes: list[int], limit: int | None
) -> None:
    data = encode(messages[:2]) + garbage + encode(messages[2:])
    fast = result(stream(strategies.pieces(data, sizes), max_line_length=limit, fast=True))
    assert fast == result(whole(data, max_line_length=limit, fast=False))


@thoroughly
@given(strategies.hostile, st.sampled_from(sorted(NANOSECONDS)), st.none() | st.integers(1, 60))
def test_both_ways_agree_on_hostile_input(data: bytes, precision: Precision, limit: int | None) -> None:
    fast = whole(data, precision=precision, max_line_length=limit)
    assert result(fast) == result(whole(data, precision=precision, max_line_length=limit, fast=False))


@thoroughly
@given(strategies.plain_lines, st.sampled_from(sorted(NANOSECONDS)), st.none() | st.integers(1, 200))
def test_both_ways_agree_on_lines_that_look_plain(
    data: bytes, precision: Precision, limit: int | None
) -> None:
    fast = whole(data, precision=precision, max_line_length=limit)
    assert result(fast) == result(whole(data, precision=precision, max_line_length=limit, fast=False))


@thoroughly
@given(strategies.plain_lines | strategies.hostile, st.sampled_from(sorted(NANOSECONDS)))
def test_what_is_decoded_as_plain_is_what_a_stream_gives(data: bytes, precision: Precision) -> None:
    lines = data if data.endswith(b"\n") else data + b"\n"
    decoder = StreamDecoder(precision=precision)
    messages = decoder.plain(lines, NOW)
    assert decoder.is_between_lines
    if messages is not None:
        assert len(messages) == lines.count(b"\n")
        assert result(Decoded(messages, [])) == result(whole(lines, precision=precision))


@pytest.mark.parametrize(
    ("lines", "is_plain"),
    [
        (b'm event="a"\nm,t=v log="b\\n" 5\r\n', True),
        (b"", False),
        (b"\n", False),
        (b"# c\n", False),
        (b"m value=1\n", False),
        (b'm event="a"\nbad\n', False),
        (b'm event="\xff"\n', False),
        (b'm event="a" 9999999999999999999\n', False),
        (b'm,t= event="a"\n', False),
        (b'm event="' + b"x" * 100 + b'"\n', False),
        (b'm event="a" 5"b"m event=\n 7\n', False),
        (b'm event="a\n" 5\n', False),
        (b'm event="a"5\n', False),
        (b'm event="a"  5\n', False),
        (b'm event="a" 5\nm event="b\n', False),
        (b'm event="a\\"b\\\\" 5\n', True),
    ],
)
def test_which_lines_are_plain(lines: bytes, is_plain: bool) -> None:
    assert (StreamDecoder(max_line_length=100).plain(lines, NOW) is not None) == is_plain


def test_both_ways_agree_on_the_reference_cases() -> None:
    for case in reference_cases():
        data = case["t"].encode("latin-1")
        assert result(whole(data, precision=case["p"])) == result(
            stream(strategies.pieces(data, [3]), precision=case["p"], fast=False)
        )


def test_input_larger_than_what_is_decoded_in_one_go() -> None:
    lines = [b'm event="%d\n%s"\n' % (number, b"x" * number) for number in range(900)]
    data = b"".join(lines) + b'm event="' + b"y" * 300_000 + b'"\n'
    decoded = whole(data)
    assert not decoded.errors
    assert texts(decoded) == [f"{number}\n{'x' * number}" for number in range(900)] + ["y" * 300_000]


def test_the_general_way_tells_on_which_line_each_message_begins() -> None:
    lines: list[int] = []
    whole(b'm f=1\n\nm f="a\nb"\nbad\n# c\nm event="x"', fast=False, lines=lines)
    assert lines == [1, 3, 7]


# Encoding


@pytest.mark.parametrize("precision", ["s", "ms", "us", "ns"])
@briefly
@given(st.lists(strategies.messages, max_size=4))
def test_what_is_encoded_decodes_to_the_same(precision: Any, messages: list[Message]) -> None:
    data = encode(messages, precision=precision)
    unit = NANOSECONDS[precision]
    expected = [message._replace(time=message.time // unit * unit) for message in messages]
    assert data.count(b"\n") == len(messages)
    for fast in (True, False):
        assert result(whole(data, precision=precision, fast=fast)) == (plain(expected), [])


def test_a_line_is_encoded_in_the_order_of_its_parts() -> None:
    message = message_of("a b", {"t,u": "v=w"}, {"event": 'say "hi"\n', "f": True, "g": 2}, 7)
    assert encode([message]) == rb'a\ b,t\,u=v\=w event="say \"hi\"\n",f=true,g=2i 7' + b"\n"


@pytest.mark.parametrize("wrong", ["", "a\n", "\x00", "a\x7f", "a\\", "\ud800"])
def test_what_no_name_key_or_tag_value_can_be_is_refused(wrong: str) -> None:
    for name, tags, fields in [
        (wrong, {}, {"f": 1}),
        ("m", {wrong: "v"}, {"f": 1}),
        ("m", {"t": wrong}, {"f": 1}),
        ("m", {}, {wrong: 1}),
    ]:
        with pytest.raises(ValueError, match=r"cannot carry|surrogates"):
            encode([message_of(name, tags, fields, 0)])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (2**64, "integer 18446744073709551616"),
        (-(2**63) - 1, "integer -9223372036854775809"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (float("nan"), "nan"),
    ],
)
def test_a_number_that_does_not_fit_is_refused(value: FieldValue, why: str) -> None:
    with pytest.raises(ValueError, match=f"cannot carry.*{re.escape(why)}"):
        encode([message_of("m", {}, {"f": value}, 0)])


@pytest.mark.parametrize("time", [2**63, -(2**63) - 1])
def test_a_time_that_does_not_fit_is_refused(time: int) -> None:
    with pytest.raises(ValueError, match="cannot carry the time"):
        encode([message_of("m", {}, {"f": 1}, time)])


def test_a_name_that_would_read_as_a_comment_is_refused() -> None:
    with pytest.raises(ValueError, match="comment"):
        encode([message_of("#m", {}, {"f": 1}, 0)])


def test_a_message_without_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a field"):
        encode([message_of("m", {}, {}, 0)])


# Lines that are too long


def line_of(length: int) -> bytes:
    return b'm event="' + b"x" * (length - 10) + b'"'


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("sizes", [[1], [7], [1000]])
def test_a_line_may_be_as_long_as_the_limit_and_no_longer(fast: bool, end: bytes, sizes: list[int]) -> None:
    def decoded(length: int) -> Decoded:
        return stream(strategies.pieces(line_of(length) + end, sizes), max_line_length=50, fast=fast)

    assert texts(decoded(50)) == ["x" * 40]
    assert not decoded(50).errors
    assert not decoded(51).messages
    [error] = decoded(51).errors
    assert (error.line, error.column, error.reason) == (1, 1, "longer than 50 bytes")
    assert error.text == line_of(51)[:50].decode()


def test_the_limit_holds_for_a_string_of_several_lines() -> None:
    for fast in (True, False):
        fits = b'm event="' + b"\n" * 40 + b'"\nm event="next"\n'
        assert texts(whole(fits, max_line_length=50, fast=fast)) == ["\n" * 40, "next"]
        too_long = b'm event="' + b"\n" * 41 + b'"\nm event="next"\n'
        decoded = whole(too_long, max_line_length=50, fast=fast)
        assert texts(decoded) == ["next"]
        assert decoded.errors[0].line == 1


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("size", [1, 13, 100, 5000])
def test_a_line_that_is_too_long_is_skipped_and_never_held(fast: bool, size: int) -> None:
    decoder = StreamDecoder(max_line_length=200, fast=fast)
    data = b'm event="a"\n' + line_of(5000) + b'\nm event="b"\nbad\n'
    out = Decoded([], [])
    for piece in strategies.pieces(data, [size]):
        messages, errors = decoder.feed(piece, NOW)
        assert decoder.pending <= 200
        out.messages.extend(messages)
        out.errors.extend(errors)
    assert texts(out) == ["a", "b"]
    assert [(error.line, error.text[:5]) for error in out.errors] == [(2, "m eve"), (4, "bad")]


def test_a_line_that_is_too_long_is_reported_before_it_ends_and_only_once() -> None:
    decoder = StreamDecoder(max_line_length=20)
    assert len(decoder.feed(b"x" * 21, NOW).errors) == 1
    assert decoder.pending == 0
    assert decoder.feed(b"x" * 1000, NOW) == ([], [])
    assert decoder.finish(NOW) == ([], [])


def test_memory_for_a_line_that_is_too_long_is_bounded() -> None:
    limit = 1 << 20
    piece = b"x" * (1 << 16)
    decoder = StreamDecoder(max_line_length=limit)
    decoder.feed(b'm event="', NOW)
    tracemalloc.start()
    try:
        errors = [error for _ in range(80) for error in decoder.feed(piece, NOW).errors]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(errors) == 1
    assert peak < 4 * limit
    assert texts(decoder.feed(b'"\nm event="next"\n', NOW)) == ["next"]


# The life of a stream decoder


def test_nothing_complete_is_held() -> None:
    decoder = StreamDecoder()
    assert texts(decoder.feed(b'm event="a"\nm ev', NOW)) == ["a"]
    assert decoder.pending == 4
    assert texts(decoder.feed(b'ent="b"\n', NOW)) == ["b"]
    assert decoder.pending == 0


def test_finish_takes_a_last_line_without_newline() -> None:
    decoder = StreamDecoder()
    assert decoder.feed(b'm event="a"', NOW) == ([], [])
    assert texts(decoder.finish(NOW)) == ["a"]
    assert decoder.pending == 0
    assert decoder.finish(NOW) == ([], [])


@pytest.mark.parametrize("left", [b"", b"m event=", b'm event="open\nm f=1\n', b"x" * 100, b'm event="a"\nb'])
def test_a_decoder_can_be_used_again_after_finish(left: bytes) -> None:
    decoder = StreamDecoder(max_line_length=40)
    decoder.feed(left, NOW)
    decoder.finish(NOW)
    messages, errors = decoder.feed(b'm event="first"\nbad\n', NOW)
    assert [message.text for message in messages] == ["first"]
    assert [error.line for error in errors] == [2]


def test_what_is_given_up_is_named() -> None:
    decoder = StreamDecoder()
    assert decoder.abandon("idle") is None
    decoder.feed(b'm event="a"\nm event="b\nc', NOW)
    assert decoder.abandon("idle") == LineError(2, 1, "idle", 'm event="b')
    assert decoder.pending == 0
    assert decoder.abandon("idle") is None
    assert decoder.finish(NOW) == ([], [])


def test_a_decoder_can_be_used_again_after_giving_up() -> None:
    decoder = StreamDecoder()
    decoder.feed(b'm event="open\nm f=1', NOW)
    decoder.abandon("idle")
    out = [decoder.feed(piece, NOW) for piece in (b'm event="', b'b"\n', b'm event="c"\n')]
    assert [texts(each) for each in out] == [[], ["b"], ["c"]]


def test_nothing_is_left_to_give_up_of_a_line_reported_as_too_long() -> None:
    decoder = StreamDecoder(max_line_length=10)
    assert len(decoder.feed(b"x" * 11, NOW).errors) == 1
    assert decoder.abandon("idle") is None


# The cache


def test_the_same_head_gives_the_same_series_on_both_ways() -> None:
    cache = SeriesCache()
    [first, second] = whole(b'm,t=v event="a"\nm,t=v event="b"\n', cache=cache).messages
    [third, fourth] = whole(b'm,t=v event="c" 5\nm,t=v log="d"\n', cache=cache, fast=False).messages
    assert first.series is second.series is third.series
    assert (fourth.series.kind, fourth.series.tags) == ("log", third.series.tags)


def test_a_series_is_of_one_kind() -> None:
    data = b'm,t=v event="a"\nm,t=v log="b"\nm,t=v value=1\nm,t=v,method=GET control="c"\nm,t=v f="d"\n' * 2
    for fast in (True, False):
        kinds = [message.kind for message in whole(data, fast=fast).messages]
        assert kinds == ["event", "log", "metric", "control", "other"] * 2


def alive(prefix: str) -> list[str]:
    """The names of all series that begin so, as they were made."""
    gc.collect()
    found = [each for each in gc.get_objects() if type(each) is Series]
    return [each.name for each in found if each.name.startswith(prefix)]


def test_a_head_that_is_wrong_is_not_remembered() -> None:
    cache = SeriesCache()
    for _ in range(2):
        assert len(whole(b'wrong,t= event="a"\n', cache=cache).errors) == 1
    assert not alive("wrong")


@pytest.mark.parametrize(("tags", "size"), [("", 40), (",cluster=c", 10)])
def test_the_cache_holds_one_and_a_half_generations_at_most(tags: str, size: int) -> None:
    cache = SeriesCache(size)
    for number in range(1000):
        cache.get(f"held{number}{tags} event=")
        assert number < 10 or number % 50 or 5 <= len(alive("held")) <= 15
    found = alive("held")
    assert 5 <= len(found) <= 15
    assert sorted(found) == [f"held{number}" for number in range(1000 - len(found), 1000)]


def test_the_cache_is_bounded_in_characters_too() -> None:
    cache = SeriesCache(text=1000)
    for number in range(100):
        cache.get(f"long{'m' * 76}{number:03},cluster=c event=")
    assert 5 <= len(alive("long")) <= 16


def test_a_head_that_is_too_long_is_not_kept() -> None:
    cache = SeriesCache()
    line = b"lengthy,t=" + b"x" * 5000 + b' event="a"\n'
    assert texts(whole(line * 2, cache=cache)) == ["a", "a"]
    assert texts(whole(line, cache=cache, fast=False)) == ["a"]
    assert not alive("lengthy")


def test_a_series_in_use_outlives_the_generations() -> None:
    cache = SeriesCache(10)
    used = cache.get("used,cluster=c event=")
    for number in range(1000):
        cache.get(f"m{number},cluster=c event=")
        if number % 4 == 0:
            assert cache.get("used,cluster=c event=") is used


HEADS = [
    "job,cluster=alex,hostname=a0101,function=start_job",
    "job,cluster=alex",
    "job",
    "job,clusters=alex",
    "job,hostname=,cluster=alex",
    "job,hostname=a,cluster=alex,hostname=b",
    "job,cluster=alex,cluster=fritz",
    "fleet,cluster=alex,function=heartbeat",
    "fleet,function=heartbeat,cluster=alex",
    "fleet2,cluster=alex,function=heartbeat",
    "#job,cluster=alex",
    "job,cluster=al\u00a0ex",
    "job,cluster=älex,hostname=日本",
    "job,cluster=" + "x" * 300,
    "job,hostname=" + "x" * 300 + ",cluster=a",
    "job,cluster=a=b",
    "job,cluster=a\\=b",
    "job\\,cluster=a",
    'job,cluster="a"',
    "job,cluster",
    ",cluster=a",
    "job,cluster=a,",
    "job,cluster=a\x7f",
    "j\x01b,cluster=a",
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", ["event", "log"])
def test_a_series_is_what_a_look_at_all_of_it_says(head: str, kind: Kind) -> None:
    line = f'{head} {kind}="text"\n'.encode()
    [fast, slow] = [[each.series for each in whole(line, fast=fast).messages] for fast in (True, False)]
    assert len(fast) == len(slow)
    for series in (*fast, *slow):
        same = Series(*decode_head(head), kind)
        for what in ("name", "tags", "kind", "is_storable", "cluster", "stream", "othertags"):
            assert getattr(Series.of_source(series.source), what) == getattr(same, what)
        stream = series.stream
        assert (series.tags, series.stream, series.othertags) == (same.tags, stream, same.othertags)


# What is known of a batch


@pytest.mark.parametrize(
    "stamps",
    [
        [b"", b""],
        [b" 1700000000", b" 1700000000"],
        [b" 1700000001", b" 1700000000", b" 1700000003"],
        [b" 1700000000000000005", b" 1700000000000000004"],
        [b" 1700000000", b" 1600000000000", b""],
        [b" 1700000000", b""],
        [b" 0", b" -5"],
    ],
)
@pytest.mark.parametrize("head", [b"m,cluster=c", b"m", b"fleet,cluster=c,function=heartbeat"])
@pytest.mark.parametrize("value", [b'event="a\\"b"', b'log="x\ny"', b"value=1"])
def test_a_decoder_knows_what_a_look_at_all_messages_says(
    head: bytes, value: bytes, stamps: list[bytes]
) -> None:
    lines = b"".join(b'n,cluster=c event="first"\n' + head + b" " + value + stamp + b"\n" for stamp in stamps)
    for size in (1, 30, 1000):
        batch = Batch()
        decoder = StreamDecoder()
        for start in range(0, len(lines), size):
            batch.extend(decoder.feed(lines[start : start + size], NOW).messages)
        facts, same = batch.facts, Batch(batch.series, batch.texts, batch.times).facts
        assert facts._replace(size=same.size) == same
        assert same.size <= facts.size <= len(lines)


def test_what_is_known_of_a_batch_follows_its_messages() -> None:
    [message] = whole(b'm,cluster=c event="abc" 1700000000\n').messages
    batch = Batch.of([message])
    assert batch.facts == (1, message.time, message.time, 3, True)
    batch.append(message._replace(series=Series("m"), time=5))
    assert batch.facts == (2, 5, message.time, 6, False)
    batch.series.append(message.series)
    batch.texts.append("d")
    batch.times.append(-1)
    assert batch.facts == (3, -1, message.time, 7, False)
    both = Batch()
    both.extend(batch[:1])
    both.extend(batch[2:])
    assert both.facts == (2, -1, message.time, 4, True)
    assert Batch().facts.is_storable


# Linear time


class Scanned:
    """Counts the bytes that are looked at."""

    total = 0


class CountingPattern:
    """An expression for a part of a line, counting what it is used on."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern

    def match(self, data: bytes, position: int = 0, end: int | None = None) -> re.Match[bytes] | None:
        end = len(data) if end is None else end
        match = self.pattern.match(data, position, end)
        Scanned.total += (end if match is None else match.end()) - position
        return match

    def fullmatch(self, data: bytes) -> re.Match[bytes] | None:
        Scanned.total += len(data)
        return self.pattern.fullmatch(data)

    def finditer(self, data: bytes, position: int, end: int) -> Iterator[re.Match[bytes]]:
        Scanned.total += end - position
        return self.pattern.finditer(data, position, end)


class CountingBuffer(bytearray):
    """A buffer that counts how far it is searched."""

    def find(self, what: Any, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        found = super().find(what, start, end)
        stop = found if found >= 0 else len(self) if end is None else min(end, len(self))
        Scanned.total += max(0, stop - start)
        return found

    def count(self, what: Any, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        Scanned.total += (len(self) if end is None else end) - start
        return super().count(what, start, end)

    def __bytes__(self) -> bytes:
        Scanned.total += len(self)
        return super().__bytes__()


class CountingChunk:
    """The fast way's expression, counting what it is used on."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern

    def findall(self, text: str) -> list[Any]:
        # Where nothing matches, a search begins anew at each byte.
        unmatched = len(text) - (text.rfind("\n") + 1)
        Scanned.total += len(text) + unmatched**2
        return self.pattern.findall(text)


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> type[Scanned]:
    monkeypatch.setattr(Scanned, "total", 0)
    for module in (entry_module, series_module):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and not name.endswith("_ESCAPE"):
                monkeypatch.setattr(module, name, CountingPattern(value))
    monkeypatch.setattr(plain_module, "_CHUNK", CountingChunk(plain_module._CHUNK))
    monkeypatch.setattr(decoder_module, "bytearray", CountingBuffer, raising=False)
    return Scanned


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("sizes", [[1], [1, 700], [10**6]])
@pytest.mark.parametrize("limit", [None, 1000])
@pytest.mark.parametrize(
    "data",
    [
        b'm event="' + b"line\n" * 3_000,
        b'm event="' + b'line \\"\n' * 2_000,
        b"m event=" + b"x" * 16_000,
        b'm event="x\n' * 1_500,
        b'm a="\n' * 2_500,
        b'm a="\n",' * 2_000,
        b'm a="' + b'\n",b="' * 2_200,
        b'm event="' + b"m f=1\n" * 2_500 + b'"x\n',
        b'm event="' + b"\n" * 16_000 + b'"x\n',
        b"\n" * 16_000,
        b"\n" + b"x" * 16_000,
        b'm event="a"\n' * 9 + b'm event="' + b"x" * 16_000,
        b"\\" * 16_000,
        b"m," + b"a=b," * 4_000,
        b"m " + b"a=1," * 4_000,
    ],
    ids=lambda data: repr(data[:16])[2:-1],
)
def test_no_byte_is_looked_at_again_and_again(
    scanned: type[Scanned], data: bytes, sizes: Sequence[int], limit: int | None, fast: bool
) -> None:
    decoder = StreamDecoder(max_line_length=limit, fast=fast)
    for piece in strategies.pieces(data, sizes):
        decoder.feed(piece, NOW)
    decoder.finish(NOW)
    assert scanned.total < 10 * len(data)


def test_a_long_string_in_single_bytes_is_looked_at_twice_at_most(scanned: type[Scanned]) -> None:
    data = b'm event="' + b"a line\n" * 9_000
    decoder = StreamDecoder()
    for piece in strategies.pieces(data, [1]):
        decoder.feed(piece, NOW)
    assert decoder.pending == len(data)
    assert scanned.total < 2 * len(data)


@pytest.fixture
def patience() -> Iterator[None]:
    """Ends a test that would take hours; one that takes milliseconds never notices."""

    def give_up(number: int, frame: object) -> None:
        raise AssertionError("the time grows with the square of the length")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("beginning", "unit", "end"),
    [
        (b"\n", b"x", b""),
        (b"m f=", b"1", b"x\n"),
        (b"m f=0x", b"1", b"x\n"),
        (b"m f=0x1p", b"1", b"x\n"),
        (b"m f=", b"1_", b"x\n"),
        (b"m f=1.", b"1", b"x\n"),
        (b"m f=1e", b"1", b"x\n"),
        (b"m f=", b"1", b"ix\n"),
        (b"m f=1 ", b"1", b"-\n"),
        (b'm event="', b"\\\\", b"\n"),
        (b'm event="', b'\\"', b"\n"),
        (b'm event="x" ', b" ", b"x\n"),
        (b"m,t=", b"\\ ", b"\n"),
        (b"m,t=v f", b"\\=", b"\n"),
    ],
)
def test_a_megabyte_of_nonsense_is_rejected_at_once(
    beginning: bytes, unit: bytes, end: bytes, fast: bool
) -> None:
    data = beginning + unit * (1_000_000 // len(unit)) + end
    decoded = whole(data, fast=fast)
    assert not decoded.messages
    assert len(decoded.errors) == 1
