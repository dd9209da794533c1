"""Regular expressions from outside."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccstore.regex import compile_regex, required_text

PARTS = (
    *(
        "a",
        "b",
        "s",
        "k",
        "\u017f",
        "K",
        "\u212a",
        "é",
        "É",
        ".",
        "*",
        "+",
        "?",
        "|",
        "(",
        ")",
        "(?:",
        "(?i:",
        "(?i)",
    ),
    *(
        "[",
        "]",
        "^",
        "$",
        "\\.",
        "\\d",
        "\\b",
        "{2}",
        "{0,1}",
        "{,2}",
        "{",
        "}",
        "-",
        "[a-b]",
        "[^a]",
        "[]a]",
    ),
    *("[[:alpha:]]", "\\Q", "\\E", "\\x61", "\\pL", "\\n", "\n", ":", "(?P<x>", "\\", "\\C", "\\A", "\\z"),
    *("(?U)", "(?s-i)", "(?im)", ",", "2", "\\-", "\\é", "\\_"),
)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(slow|late) reply .* after 9\d ms", (" after 9", False)),
        (r"foo\.bar[^a]baz+qux", ("foo.bar", False)),
        ("abc?d", ("ab", False)),
        ("ab{2}", ("a", False)),
        ("(?i)Node down", ("Node down", True)),
        ("(?i)disk", ("di", True)),
        ("a|b", ("", False)),
        ("(a)|bcd", ("", False)),
        ("(bcd)+", ("", False)),
        (r"\Qa*\Eb", ("", False)),
        ("xyz(?i)abc", ("", False)),
    ],
)
def test_what_an_expression_needs_to_have(pattern: str, expected: tuple[str, bool]) -> None:
    assert required_text(pattern) == expected


@settings(max_examples=1000)
@given(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=7).map("".join),
    st.lists(st.sampled_from("aabbAskSK\u017f\u212aéÉ.2-{},\n|_"), max_size=6).map("".join),
    st.booleans(),
)
def test_what_it_matches_has_it(pattern: str, text: str, ignores_case: bool) -> None:
    try:
        search = compile_regex(pattern, ignores_case=ignores_case).search
    except ValueError:
        return
    needed, in_any_case = required_text(pattern, ignores_case=ignores_case)
    if search(text.encode()) is None:
        return
    if in_any_case:
        assert needed.encode().lower() in text.encode().lower()
    else:
        assert needed in text
