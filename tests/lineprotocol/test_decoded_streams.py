"""The life of a stream decoder: what it holds, and lines that are too long."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from ccstore.lineprotocol import (
    Decoded,
    LineError,
    StreamDecoder,
)
from tests.support import strategies
from tests.support.decoded_lines import NOW, stream, texts, whole


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


def test_what_came_out_is_not_held() -> None:
    decoder = StreamDecoder()
    for decoded in (decoder.feed(b'a event="b"\nc\n', NOW), decoder.finish(NOW)):
        assert [decoded] == [held for held in gc.get_referrers(decoded.messages) if type(held) is not list]
