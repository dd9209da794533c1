"""The texts of a block searched as a whole, and each by itself: the same is found."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from ccstore.query import TextCondition
from ccstore.storage.blocks.block_format import Block, pack_block
from ccstore.storage.blocks.text_search import TextSearch
from ccstore.storage.reading.evaluate import encoded_test, texts_test

#: Short ones, so that what is looked for often begins in one and ends in the next.
TEXTS = st.lists(st.text("abAB1 é\n", max_size=5), min_size=1, max_size=8)
PARTS = st.text("abAB1 é", max_size=4)
EXPRESSIONS = st.sampled_from(
    (
        "a+b",
        "ab",
        "^a",
        "b$",
        "a.*b",
        "(?s)a.*b",
        "[^a]1",
        r"\bab",
        "(?i)AB1?",
        "",
        "a|b",
        r"\s",
        "é",
        "(?m)^b",
    )
)
PLAIN_OPS: Any = st.sampled_from(("contains", "lacks"))
REGEX_OPS: Any = st.sampled_from(("matches", "fails"))
CONDITIONS = st.one_of(
    st.builds(TextCondition, PLAIN_OPS, PARTS, st.booleans()),
    st.builds(TextCondition, REGEX_OPS, EXPRESSIONS, st.booleans()),
)


@given(TEXTS, st.lists(CONDITIONS, max_size=3))
@example(["1a", "b1"], [TextCondition("contains", "ab")])
@example(["", "1a", "", "bab1"], [TextCondition("lacks", "AB", ignores_case=True)])
@example(["AaA"], [TextCondition("contains", "aA")])
@example(["1a", "a", "ab", "", "b1"], [TextCondition("matches", "[a]+[b]")])
def test_finds_the_rows_that_meet_all_conditions(texts: list[str], conditions: list[TextCondition]) -> None:
    block = Block.of(pack_block([(1, place, place, text, None) for place, text in enumerate(texts)]))
    found = TextSearch(conditions, [*map(encoded_test, conditions)]).rows(block)
    test = texts_test(conditions)
    expected = [row for row, text in enumerate(texts) if test(text)]
    assert expected == [*(range(len(texts)) if found is None else found)]


@given(TEXTS, st.lists(CONDITIONS, max_size=2), st.integers(1, 300), st.data())
def test_it_finds_the_same_where_there_are_many(
    texts: list[str], conditions: list[TextCondition], times: int, data: st.DataObject
) -> None:
    """And of some rows those that are among them."""
    texts = (texts * times)[:400]
    block = Block.of(pack_block([(1, place, place, text, None) for place, text in enumerate(texts)]))
    search = TextSearch(conditions, [*map(encoded_test, conditions)])
    test = texts_test(conditions)
    expected = [row for row, text in enumerate(texts) if test(text)]
    found = search.rows(block)
    assert expected == [*(range(len(texts)) if found is None else found)]
    step = data.draw(st.integers(1, 5))
    among = range(0, len(texts), step)
    found = search.rows(block, among)
    assert [row for row in expected if row in among] == [*(among if found is None else found)]


PHRASE = "node is down, again; retry 19"
#: It, what it is like, its ends, and what makes one of its ends more frequent than the other.
LIKE = st.sampled_from(
    (PHRASE, PHRASE.upper(), PHRASE[:12], PHRASE[12:], "again; retry 19", "Node Is down", "")
)


@given(st.lists(LIKE, min_size=1, max_size=6), st.integers(1, 60), st.booleans())
def test_a_phrase_is_found_by_any_of_its_parts(likes: list[str], times: int, ignores_case: bool) -> None:
    texts = [*(likes * times), PHRASE]
    block = Block.of(pack_block([(1, place, place, text, None) for place, text in enumerate(texts)]))
    condition = TextCondition("contains", PHRASE, ignores_case)
    search = TextSearch([condition], [encoded_test(condition)])
    test = texts_test([condition])
    expected = [row for row, text in enumerate(texts) if test(text)]
    # The second time, it is known by which of its parts.
    for _ in range(2):
        assert [*(search.rows(block) or ())] == expected


def test_case_is_that_of_ascii() -> None:
    """The Kelvin sign and the long s are no letters of it; with a regular expression, they are."""
    texts = ["\u212a\u017f", "ks", "KS"]
    block = Block.of(pack_block([(1, place, place, text, None) for place, text in enumerate(texts)]))
    for condition, expected in (
        (TextCondition("contains", "ks", ignores_case=True), [1, 2]),
        (TextCondition("contains", "ks"), [1]),
        (TextCondition("contains", "\u212a\u017f"), [0]),
        (TextCondition("matches", "(?i)ks"), [0, 1, 2]),
        (TextCondition("matches", "(?i)k.?s"), [0, 1, 2]),
    ):
        found = TextSearch([condition], [encoded_test(condition)]).rows(block)
        assert [*(found or ())] == expected, condition


@given(TEXTS, CONDITIONS)
def test_what_is_needed_is_in_what_is_found(texts: list[str], condition: TextCondition) -> None:
    search = TextSearch([condition], [encoded_test(condition)])
    test = texts_test([condition])
    for text in texts:
        if test(text):
            assert all(part in text.encode().lower() for part in search.needed)
