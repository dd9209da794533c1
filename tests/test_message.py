"""What a message is, and what its series knows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from ccstore.batch import Batch, by_kind
from ccstore.message import Kind, Message, Series, classify
from tests.support import strategies
from tests.support.strategies import message_of

GET = {"method": "GET"}


@pytest.mark.parametrize(
    ("tags", "fields", "kind"),
    [
        ({}, {"event": "x"}, "event"),
        ({}, {"event": ""}, "event"),
        ({}, {"log": "x"}, "log"),
        (GET, {"control": "x"}, "control"),
        ({"method": "PUT"}, {"control": "x"}, "control"),
        ({}, {"query": "x"}, "query"),
        ({}, {"value": 1.5}, "metric"),
        ({}, {"value": 0}, "metric"),
        ({}, {"value": False}, "metric"),
        ({}, {"load": 1.5}, "other"),
        ({}, {}, "other"),
        # A field of the wrong type does not count.
        ({}, {"event": 1}, "other"),
        ({}, {"event": True}, "other"),
        ({}, {"log": 1.5}, "other"),
        ({}, {"query": 1}, "other"),
        ({}, {"value": "x"}, "other"),
        (GET, {"control": 1}, "other"),
        ({}, {"event": 1, "log": "x"}, "log"),
        ({}, {"event": 1, "value": 2}, "metric"),
        # Control needs its method.
        ({}, {"control": "x"}, "other"),
        ({"method": "POST"}, {"control": "x"}, "other"),
        ({"method": "get"}, {"control": "x"}, "other"),
        ({}, {"control": "x", "value": 1}, "metric"),
        # Names are exact.
        ({}, {"Event": "x"}, "other"),
        # Several in one line: an event before a log before the rest.
        (GET, {"value": 1, "query": "q", "control": "c", "log": "l", "event": "e"}, "event"),
        (GET, {"value": 1, "query": "q", "control": "c", "log": "l"}, "log"),
        (GET, {"value": 1, "query": "q", "control": "c"}, "control"),
        (GET, {"value": 1, "query": "q"}, "query"),
        (GET, {"value": 1, "load": 2}, "metric"),
    ],
)
def test_classify(tags: dict[str, str], fields: dict[str, Any], kind: Kind) -> None:
    assert classify(tags, fields) == kind
    assert message_of("m", tags, fields, 0).kind == kind


def test_the_text_of_an_event_stands_apart_from_the_other_fields() -> None:
    message = message_of("m", {}, {"a": 1, "event": "x", "log": "y"}, 7)
    assert (message.kind, message.text, message.time) == ("event", "x", 7)
    assert message.others == {"a": 1, "log": "y"}


def test_a_message_with_nothing_but_its_text_has_no_others() -> None:
    assert message_of("m", {}, {"event": "x"}, 0).others is None
    assert message_of("m", {}, {"log": "x"}, 0).others is None


def test_a_message_that_is_not_stored_has_no_text() -> None:
    message = message_of("m", {}, {"query": "x"}, 0)
    assert message.text == ""
    assert message.others == {"query": "x"}


@given(strategies.tags, strategies.fields)
def test_the_fields_are_those_it_was_made_of(tags: dict[str, str], fields: dict[str, Any]) -> None:
    message = message_of("m", tags, fields, 0)
    assert message.fields == fields
    assert {key: type(value) for key, value in message.fields.items()} == {
        key: type(value) for key, value in fields.items()
    }


def test_a_message_without_fields_shows_none() -> None:
    assert Message(Series("m", {}, "other"), "", 0).fields == {}


def test_name_and_tags_are_those_of_the_series() -> None:
    message = message_of("m", {"t": "v"}, {"event": "x"}, 0)
    assert (message.name, message.tags) == ("m", {"t": "v"})


# Series


def test_tags_with_a_column_of_their_own() -> None:
    tags = {
        "stype-id": "e",
        "stype": "d",
        "type-id": "c",
        "type": "b",
        "hostname": "a",
        "cluster": "x",
    }
    series = Series("m", tags)
    assert series.stream == ("x", "event", "m", "a", "b", "c", "d", "e")
    assert series.cluster == "x"
    assert series.othertags is None


def test_columns_of_tags_that_are_absent_are_none() -> None:
    series = Series("m", {"type": "node"})
    assert series.stream == (None, "event", "m", None, "node", None, None, None)
    assert series.cluster is None


def test_tags_without_a_column_are_json_with_sorted_keys() -> None:
    series = Series("m", {"z": "1", "hostname": "h", "a": 'say "hi"\\', "cluster": "c", "é": "日本"})
    assert series.othertags == r'{"a": "say \"hi\"\\", "z": "1", "é": "日本"}'


@given(strategies.tags)
def test_no_tag_gets_lost(tags: dict[str, str]) -> None:
    series = Series("m", tags)
    found = json.loads(series.othertags) if series.othertags else {}
    assert not {"cluster", "hostname", "type", "type-id", "stype", "stype-id"} & set(found)
    names = ("hostname", "type", "type-id", "stype", "stype-id")
    found |= {key: value for key, value in zip(names, series.stream[3:], strict=True) if value is not None}
    if series.cluster is not None:
        found["cluster"] = series.cluster
    assert found == tags


def test_in_cluster_sets_the_tag_on_a_copy() -> None:
    series = Series("m", {"hostname": "h", "a": "b"})
    moved = series.in_cluster("日本")
    assert (moved.name, moved.cluster) == ("m", "日本")
    assert moved.tags == {"hostname": "h", "a": "b", "cluster": "日本"}
    assert (moved.stream[1:], moved.othertags) == (series.stream[1:], series.othertags)
    assert series.cluster is None
    assert "cluster" not in series.tags


def test_in_cluster_replaces_the_tag() -> None:
    assert Series("m", {"cluster": "a"}).in_cluster("b").tags == {"cluster": "b"}


def test_series_compare_by_identity() -> None:
    series = Series("m")
    assert series == series
    assert series != Series("m")
    assert len({series, Series("m")}) == 2


def batch(texts: str) -> Batch:
    """A message for each letter; those in upper case have another field."""
    return Batch.of(
        message_of("m", {}, {"event": text, **({"f": text} if text.isupper() else {})}, place)
        for place, text in enumerate(texts)
    )


def described(messages: Sequence[Message]) -> str:
    """The texts of messages, whose other field must agree with them."""
    for message in messages:
        assert message.others == ({"f": message.text} if message.text.isupper() else None)
    return "".join(message.text for message in messages)


def test_a_batch_is_a_sequence_of_messages() -> None:
    messages = batch("aBcDe")
    assert described(messages) == "aBcDe"
    assert described([messages[place] for place in (-1, 1, -2, 0)]) == "eBDa"
    assert [message.time for message in messages] == [0, 1, 2, 3, 4]
    assert messages == list(messages)
    assert messages != list(messages[1:])
    assert not Batch()
    with pytest.raises(IndexError):
        messages[5]
    with pytest.raises(IndexError):
        Batch()[0]


@pytest.mark.parametrize(
    "place", [slice(1, 3), slice(2, None), slice(None, None, 2), slice(-2, None), slice(9, 9)]
)
def test_a_slice_of_a_batch_is_a_batch(place: slice) -> None:
    part = batch("aBcDe")[place]
    assert isinstance(part, Batch)
    assert described(part) == "aBcDe"[place]


def test_a_batch_grows() -> None:
    messages = batch("aB")
    for texts in ("cD", "", "E"):
        messages.extend(batch(texts))
    assert described(messages) == "aBcDE"


def test_batches_together_are_like_one() -> None:
    parts = [
        Batch.of([message_of("m", {}, {"event": text, **more}, time) for text, more, time in given])
        for given in ([("a", {}, 1), ("b", {"x": 1}, 2)], [], [("c", {"y": 2}, 3)])
    ]
    one = Batch.of([each for part in parts for each in part])
    together = Batch.together(parts)
    assert (len(together), together, together[1:]) == (3, one, one[1:])
    assert (together.times, together.others, [*by_kind(together)]) == (
        one.times,
        one.others,
        [("event", one)],
    )
    assert list(map(len, together.parts)) == [2, 0, 1]
    assert Batch.together(parts[:1]) is parts[0]
    assert len(Batch.together([])) == 0
