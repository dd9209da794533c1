"""The labels of messages as Loki has them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ccstore.loki.label_names import (
    clean_name,
    level_matcher,
    meaning_of,
    metadata_of,
    needed_labels,
    stored_label,
    stream_labels,
)
from ccstore.message import COLUMN_TAGS
from ccstore.query import level_of
from ccstore.storage.reading.evaluate import value_test


def labels_of(**tags: str) -> dict[str, str]:
    return dict(metadata_of(json.dumps({key.replace("__", "-"): value for key, value in tags.items()})))


def test_streams_have_their_labels_and_a_name_of_the_service() -> None:
    stream = ("alex", "log", "syslog", "a01", "hwthread", "7", None, None)
    assert dict(stream_labels(stream)) == {
        **{"cluster": "alex", "kind": "log", "name": "syslog", "service_name": "syslog"},
        **{"hostname": "a01", "type": "hwthread", "type_id": "7"},
    }


def test_other_tags_keep_their_values_apart() -> None:
    found = labels_of(job__id="1", job_id="2", type_id="3", name="4", tag_name="5")
    del found["detected_level"]
    assert found == {"job_id": "2", "job_id_2": "1", "tag_type_id": "3", "tag_name": "4", "tag_tag_name": "5"}


@given(st.dictionaries(st.text(min_size=1, max_size=6), st.text(min_size=1, max_size=3), max_size=6))
def test_no_tag_is_lost(tags: dict[str, str]) -> None:
    tags = {key: value for key, value in tags.items() if key not in (*COLUMN_TAGS, "cluster")}
    found = dict(metadata_of(json.dumps(tags)))
    del found["detected_level"]
    if found.get("level") != tags.get("level"):
        del found["level"]
    assert sorted(found.values()) == sorted(tags.values())
    assert all(clean_name(label) == label for label in found)


@given(st.text("ab_-.1", min_size=1, max_size=4), st.text("ab_-.1", min_size=1, max_size=4))
def test_a_label_that_the_store_decides_is_of_one_tag(one: str, other: str) -> None:
    found = metadata_of(json.dumps({one: "x", other: "y"}))
    for label, value in found:
        stored = stored_label(label)
        if stored is not None and label not in ("level", "detected_level"):
            assert stored == f"tag.{one if value == 'x' else other}"


def test_levels_mean_the_same_whoever_says_so() -> None:
    for tags, level in (
        ({"loglevel": "err"}, "error"),
        ({"level": "WARNING"}, "warn"),
        ({"severity": "crit", "priority": "7"}, "critical"),
        ({"priority": "6"}, "info"),
        ({"loglevel": "strange", "level": "error"}, "unknown"),
        ({}, "unknown"),
    ):
        assert meaning_of(level_of(tags)) == level, tags
        assert labels_of(**tags)["detected_level"] == level
    assert labels_of(loglevel="err")["level"] == "err"
    assert "level" not in labels_of()


def test_the_level_is_that_of_the_store_and_the_tag_of_its_name_is_kept() -> None:
    assert labels_of(loglevel="err", level="Err") == {
        **{"detected_level": "error", "level": "err", "loglevel": "err", "tag_level": "Err"}
    }
    assert labels_of(level="Err") == {"detected_level": "error", "level": "Err"}
    assert stored_label("level") == "level"


@given(st.sampled_from(("error", " Crit\n", "7", "", "strange", "eror", "6x")))
def test_what_the_store_finds_of_a_level_is_all_that_means_it(level: str) -> None:
    assert value_test(level_matcher(meaning_of(level)))(level)
    assert not value_test(level_matcher("warn"))(level)


def test_what_has_to_be_known_for_labels() -> None:
    assert needed_labels(["hostname", "service_name", "jobid", "__error__"]) == [
        "hostname",
        "name",
        "tag.jobid",
    ]
    assert needed_labels(["level", "detected_level"]) == ["level"]
    assert needed_labels(["job_id"]) is None
