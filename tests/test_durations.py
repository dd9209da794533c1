"""Durations: how they are read and shown."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccstore.durations import Duration, parse_duration, show_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("+0", 0.0),
        ("0s", 0.0),
        ("10s", 10.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("+2s", 2.0),
        ("100us", 1e-4),
        ("100\u00b5s", 1e-4),
        ("100\u03bcs", 1e-4),
        ("5ns", 5e-9),
        ("1m1m", 120.0),
        ("2562047h", 2562047 * 3600.0),
        ("30d", 2592000.0),
        ("2w", 1209600.0),
        ("1w2d12h", 820800.0),
        ("1.5d", 129600.0),
        ("1d1s", 86401.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "-1s",
        "-0",
        "1",
        "10",
        "d",
        "1y",
        "1mo",
        "1D",
        "106752d",
        "15251w",
        "s",
        ".s",
        "1 s",
        " 1s",
        "1s ",
        "1S",
        "1,5s",
        "1e3s",
        "1h30",
        "\u0661s",
        "--1s",
        "0x1s",
        "1.2.3s",
        "2562048h",
        "9" * 200 + "s",
        "1m\n",
    ],
)
def test_not_durations(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(
    st.lists(
        st.tuples(st.integers(0, 3000), st.sampled_from(["w", "d", "h", "m", "s", "ms", "us", "ns"])),
        min_size=1,
        max_size=5,
    )
)
def test_durations_add_up(parts: list[tuple[int, str]]) -> None:
    units: dict[str, Fraction | int] = {
        "w": 7 * 86400,
        "d": 86400,
        "h": 3600,
        "m": 60,
        "s": 1,
        "ms": Fraction(1, 10**3),
        "us": Fraction(1, 10**6),
        "ns": Fraction(1, 10**9),
    }
    text = "".join(f"{count}{unit}" for count, unit in parts)
    assert parse_duration(text) == float(sum(count * Fraction(units[unit]) for count, unit in parts))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (1, "1s"),
        (90, "1m30s"),
        (3200.0, "53m20s"),
        (86400, "1d"),
        (30 * 86400 + 1, "30d1s"),
        (820800, "9d12h"),
        (1e-9, "1ns"),
        (1.5e-5, "15us"),
    ],
)
def test_what_was_not_written_is_shown_in_days_and_smaller_units(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown
    assert parse_duration(shown) == seconds


@pytest.mark.parametrize("text", ["24h", "30d", "2w", "1w2d12h", "0", "1.5h"])
def test_what_was_written_is_shown_so(text: str) -> None:
    duration = Duration.of(text)
    assert (show_duration(duration), float(duration)) == (text, parse_duration(text))


@given(st.integers(0, 10**16).map(lambda nanoseconds: nanoseconds / 10**9))
def test_what_is_shown_can_be_read(seconds: float) -> None:
    assert parse_duration(show_duration(seconds)) == pytest.approx(seconds, abs=1e-9, rel=1e-15)
