"""Both ways of the decoder give the same, however the input is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccstore.lineprotocol import (
    NANOSECONDS,
    Decoded,
    Precision,
    StreamDecoder,
    encode,
)
from ccstore.message import Message
from tests.support import strategies
from tests.support.decoded_lines import NOW, reference_cases, result, stream, texts, thoroughly, whole

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
