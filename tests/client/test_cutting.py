"""Cutting line protocol into bodies of whole lines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccstore.client.cutting import BODY, ENTRIES, Body, Cutter
from ccstore.lineprotocol import decode

LINES = st.lists(
    st.sampled_from(
        [
            b'm,t=v event="x"\n',
            b'm event="two\nlines \\" and\n more" 17\n',
            b"# comment\n",
            b"\n",
            b"nonsense\n",
            b'm event="never closed\n',
            b'm,t=a"b event="x"\r\n',
        ]
    ),
    max_size=30,
)


def cut(pieces: list[bytes], cutter: Cutter) -> list[Body]:
    bodies = [each for piece in pieces for each in cutter.feed(piece)]
    last = cutter.finish()
    return [*bodies, last] if last else bodies


@settings(max_examples=150, deadline=None)
@given(LINES, st.integers(1, 40), st.integers(1, 5), st.booleans())
def test_bodies_are_the_input_cut_where_lines_end(
    lines: list[bytes], size: int, entries: int, has_end: bool
) -> None:
    data = b"".join(lines)
    if not has_end:
        data = data.rstrip(b"\n")
    bodies = cut([data[start : start + size] for start in range(0, len(data), size)], Cutter(entries=entries))
    assert b"".join(one.data for one in bodies) == data
    first = 1
    for one in bodies:
        assert (one.first, one.lines) == (first, one.data.count(b"\n") + (not one.data.endswith(b"\n")))
        first += one.lines
    whole, parts = decode(data, default_time=1), [decode(one.data, default_time=1) for one in bodies]
    assert [message[1:] for part in parts for message in part.messages] == [
        message[1:] for message in whole.messages
    ]
    assert sum(one.entries for one in bodies) == len(whole.messages) + len(whole.errors)


def test_bodies_are_bounded_and_so_is_what_is_held() -> None:
    cutter = Cutter()
    line = b'm,cluster=c,hostname=a0101 event="some text of no importance at all"\n'
    sizes = []
    for _ in range(200):
        for one in cutter.feed(line * 1000):
            sizes.append(len(one.data))
            assert one.entries <= ENTRIES + 2000
    assert len(sizes) > 10
    assert max(sizes) < BODY + 2 * 65536


@pytest.mark.parametrize("piece", [1000, 65536, 10**7])
def test_a_line_that_never_ends_is_left_out_and_costs_no_neighbour(piece: int) -> None:
    good = [b'm event="a"\n', b'm event="b"\n', b'm event="c"\n']
    data = good[0] + b"x" * 300_000 + b"\n" + good[1] + b"z" * 300_000 + b"\n" + good[2]
    cutter = Cutter(longest=100_000)
    bodies = cut([data[start : start + piece] for start in range(0, len(data), piece)], cutter)
    assert b"".join(one.data for one in bodies) == b"".join(good)
    assert [one.first for one in bodies] == [1, 3, 5]
    assert cutter.too_long == [2, 4]


def test_a_string_that_never_ends_is_given_to_the_server_in_parts() -> None:
    data = b'm event="a"\nm event="' + b"y\n" * 200_000 + b'"\nm event="c"\n'
    cutter = Cutter(longest=100_000)
    bodies = cut([data], cutter)
    assert len(bodies) > 1
    assert b"".join(one.data for one in bodies) == data
    assert (bodies[-1].last, cutter.too_long) == (200_004 - 1, [])
