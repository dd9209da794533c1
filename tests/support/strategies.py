"""What more than one test generates: names, messages, hostile bytes, and ways to cut bytes into pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

from hypothesis import strategies as st

from ccstore.message import FieldValue, Message, Series, classify

# Characters that mean something somewhere in the format, between some that do not.
_TELLING = "ab,= \"\\#'nt01.-é日😀\u0085"

#: A name, a key or a tag value that line protocol can carry.
tokens: st.SearchStrategy[str] = st.one_of(
    st.text(_TELLING, min_size=1, max_size=8),
    st.text(
        st.characters(codec="utf-8", exclude_characters=[*map(chr, range(0x20)), "\x7f"]),
        min_size=1,
        max_size=8,
    ),
).filter(lambda token: not token.endswith("\\"))

#: A measurement name.
names = tokens.filter(lambda name: not name.startswith("#"))

tags = st.dictionaries(
    st.sampled_from(["cluster", "hostname", "type", "type-id", "method"]) | tokens, tokens, max_size=4
)

strings = st.one_of(
    st.text(_TELLING + "\n\r\t", max_size=12),
    st.text(st.characters(codec="utf-8"), max_size=12),
)

field_values: st.SearchStrategy[FieldValue] = st.one_of(
    strings,
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)

fields = st.dictionaries(
    st.sampled_from(["event", "log", "value", "control", "query"]) | tokens,
    field_values,
    min_size=1,
    max_size=4,
)

#: Nanoseconds that fit into 64 bits, also after they are cut to whole seconds.
times = st.integers(-(2**63) + 10**9, 2**63 - 1)


def message_of(name: str, tags: Mapping[str, str], fields: Mapping[str, FieldValue], time: int) -> Message:
    """The message for a line with these parts."""
    return Message.of(Series(name, tags, classify(tags, fields)), fields, time)


#: Messages that :func:`ccstore.lineprotocol.encode` can carry.
messages: st.SearchStrategy[Message] = st.builds(message_of, names, tags, fields, times)

#: The messages that make up nearly all traffic.
plain_messages: st.SearchStrategy[Message] = st.builds(
    message_of,
    st.sampled_from(["job", "sys log", "é"]),
    st.dictionaries(st.sampled_from(["cluster", "hostname", "type"]), st.sampled_from(["a", "b,c", "日"])),
    st.dictionaries(st.sampled_from(["event", "log"]), strings, min_size=1, max_size=1),
    times,
)

#: Lines as they are sent most of the time, and such as look like it.
plain_lines: st.SearchStrategy[bytes] = st.lists(
    st.builds(
        lambda head, kind, text, stamp, end: f'{head} {kind}="{"".join(text)}"{stamp}{end}'.encode(),
        st.sampled_from(["m", "m,t=v", "job,cluster=alex,hostname=h1", "é,t=日", "m,t", "m\x01"]),
        st.sampled_from(["event", "log"]),
        st.lists(
            st.sampled_from(
                [
                    *("a", "é", "日😀", " ", ",", "=", '\\"', "\\n", "\\t", "\\\\", "\\x"),
                    *("\r", "\x01", "\x02", "#"),
                    # Not what a string may have, but quotes and newlines that might be taken for others.
                    *('"', '" 5"m event=', "\n", '\n 7"', '" 7\nm event="'),
                ]
            ),
            max_size=6,
        ),
        st.just("")
        | st.integers(0, 10**19 - 1).map(lambda number: f" {number}")
        | st.sampled_from([" 1700000000", " 1700000000123", " 1700000000123456789", " 00", " -5", " x"]),
        st.sampled_from(["\n", "\n", "\r\n"]),
    ),
    max_size=6,
).map(b"".join)

_FRAGMENTS = [
    *(bytes([byte]) for byte in b'"\\\n\r ,=#mtiu019.-\t\x00\xff'),
    *(
        b"\r\n",
        b'\\"',
        b"\\\\",
        b"\\n",
        b'="',
        b'",',
        b'" ',
        b'"\n',
        b" f=",
        b",f=",
        b",t=v",
        b"\xc3\xa9",
        b"\xc3",
    ),
    *(b'm event="', b'm,t=v log="', b'm event="x"', b'm log="x\\n" 1700000000', b"m f=1i", b"m value=1 "),
    *(b" 1700000000", b" 9223372036854775807", b" 9223372037", b'm event="a"\nm event="b"\n', b"# comment\n"),
]

#: Bytes made of what the grammar is made of, in any order, and some that are nothing but bytes.
hostile: st.SearchStrategy[bytes] = st.one_of(
    st.lists(st.sampled_from(_FRAGMENTS), max_size=24).map(b"".join),
    st.binary(max_size=40),
)

#: Sizes of the pieces into which something is cut, used over and over.
sizes: st.SearchStrategy[list[int]] = st.one_of(
    st.just([1]),
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
)


def pieces(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """The bytes cut into pieces of these sizes."""
    start = 0
    for size in cycle(sizes):
        if start >= len(data):
            return
        yield data[start : start + size]
        start += size
