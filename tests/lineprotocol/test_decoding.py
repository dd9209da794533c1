"""What the decoder accepts, and what it makes of it."""

from __future__ import annotations

import pytest

from ccstore.lineprotocol import (
    NANOSECONDS,
    Precision,
    StreamDecoder,
    decode,
    grammar,
)
from ccstore.message import FieldValue
from tests.support.decoded_lines import NOW, one, plain, reference_cases, reference_value, whole
from tests.support.strategies import message_of


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
