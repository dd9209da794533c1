"""Which lines are rejected, with what reason, and that their neighbours are not."""

from __future__ import annotations

import pytest

from ccstore.lineprotocol import (
    TEXT_LIMIT,
    LineError,
    decode,
)
from tests.support.decoded_lines import NOW, mistake, one, texts, whole

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
