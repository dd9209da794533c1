"""The encoder of line protocol."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccstore.lineprotocol import (
    NANOSECONDS,
    encode,
)
from ccstore.message import FieldValue, Message
from tests.support import strategies
from tests.support.decoded_lines import briefly, plain, result, whole
from tests.support.strategies import message_of


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
