"""The level of a message, as it is found in its tags."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from ccstore.message import Series
from ccstore.query import LEVEL_TAGS, label_reader, level_in, level_of, tags_in

KEYS = st.sampled_from((*LEVEL_TAGS, 'x "level', '"level": "x', "a", "\\")) | st.text(max_size=3)
VALUES = st.sampled_from(("", "err", '"level": "x"', '{"level": "x"}', ' "level": ', 'q"', "b\\")) | st.text(
    max_size=4
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
@example({"a": ' "level": "x"', "severity": "warn"})
@example({'x "level': "err"})
def test_the_level_in_json_is_that_of_the_tags(tags: dict[str, str]) -> None:
    othertags = Series("name", {**tags, "cluster": "alex"}, "log").othertags
    assert level_in(othertags) == level_of(tags_in(othertags))


def test_the_first_tag_that_says_something_counts() -> None:
    tags = {"priority": "3", "severity": "warn", "level": "", "loglevel": ""}
    assert [level_of(tags), level_of({**tags, "loglevel": "err"}), level_of({"a": "b"})] == [
        "warn",
        "err",
        "",
    ]
    assert [label_reader("level")(tags), label_reader("tag.level")(tags)] == ["warn", ""]
