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
@example(["1a", "a", "ab", "", "b1"], [TextCondition("matches", "[a]+[b]")])
def test_finds_the_rows_that_meet_all_conditions(texts: list[str], conditions: list[TextCondition]) -> None:
    block = Block.of(pack_block([(1, place, place, text, None) for place, text in enumerate(texts)]))
    found = TextSearch(conditions, [*map(encoded_test, conditions)]).rows(block)
    test = texts_test(conditions)
    expected = [row for row, text in enumerate(texts) if test(text)]
    assert expected == [*(range(len(texts)) if found is None else found)]


@given(TEXTS, CONDITIONS)
def test_what_is_needed_is_in_what_is_found(texts: list[str], condition: TextCondition) -> None:
    search = TextSearch([condition], [encoded_test(condition)])
    test = texts_test([condition])
    for text in texts:
        if test(text):
            assert all(part in text.encode().lower() for part in search.needed)
