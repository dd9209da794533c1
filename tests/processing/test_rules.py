"""`process_messages`: what rules make of messages, and that the books balance meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent

from ccstore.accounting.account import Origin
from ccstore.message import Message
from tests.support.rule_case import SOURCE, Rules, batch_of, rules_of, shown

EVENT = 'job,hostname=a0101,type=node,type-id=7 event="hello",user="fred",n=3i,f=2.50,yes=true 5'


# --- each stage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [[], {}, None, [{}, {}], {"drop_messages": [], "stage_order": []}])
def test_no_rules(nothing: Any) -> None:
    assert rules_of(nothing) == ()


@pytest.mark.parametrize(
    ("process_messages", "dropped", "kept"),
    [
        ({"drop_messages": ["job", "other"]}, 'job event="a"', 'jobs event="a"'),
        ({"drop_by_message_type": ["log", "metric"]}, 'a log="x"', 'a event="x"'),
        ({"drop_by_message_type": ["log", "metric"]}, "a value=3", 'a event="x"'),
        ({"drop_messages_if": ["name == 'a'", "tag.x == '1'"]}, 'b,x=1 event="a"', 'b,x=2 event="a"'),
        ({"drop_messages_if": ["event contains 'x'"]}, 'a event="axa"', 'a event="aya"'),
        ({"drop_messages_if": ["value > 3"], "drop_messages": ["a"]}, "b value=4", "b value=3"),
        (
            {"drop_messages_if": ["timestamp < 3500000000"]},
            'a event="x" 3000000000',
            'a event="x" 4000000000',
        ),
        (
            {"drop_messages_if": ["meta.source == 'HttpReceiver(web)' and name == 'a'"]},
            'a log="x"',
            'b log="x"',
        ),
        ([{"drop_messages": ["a"]}, {"drop_messages": ["b"]}], 'b event="a"', 'c event="a"'),
        ({"DROP_Messages": ["a"]}, 'a event="x"', 'A event="x"'),
    ],
)
def test_dropping(process_messages: Any, dropped: str, kept: str) -> None:
    rules = Rules(process_messages)
    (left,) = rules.send(dropped, kept, dropped)
    assert shown(left) == shown(batch_of(kept)[0])
    assert dict(rules.account.dropped) == {"rule": 2}


def test_dropping_everything() -> None:
    rules = Rules({"drop_messages_if": [True]})
    assert rules.send('a event="x"', 'b log="x"') == []
    assert rules.sink.origins == []
    assert dict(rules.account.dropped) == {"rule": 2}


def test_tags() -> None:
    message = Rules(
        {
            "add_tags_if": [
                {"if": "true", "key": "cluster", "value": "alex"},
                {"if": "tag.cluster == 'alex'", "key": "seen", "value": "yes"},
                {"if": "name == 'none'", "key": "no", "value": "no"},
            ],
            "delete_tags_if": [
                {"if": "*", "key": "type-id"},
                {"if": True, "key": "absent", "value": ""},
                {"if": False, "key": "hostname"},
            ],
        }
    ).one(EVENT)
    assert message.tags == {"hostname": "a0101", "type": "node", "cluster": "alex", "seen": "yes"}
    assert message.series.is_storable
    assert message.series.othertags == '{"seen": "yes"}'
    assert message == Message(
        message.series, "hello", 5 * 10**9, {"user": "fred", "n": 3, "f": 2.5, "yes": True}
    )


def test_renaming() -> None:
    rules = Rules(
        {
            "rename_messages": {"job": "jobs", "x": "y"},
            "rename_messages_if": {
                "meta.oldname == 'job'": "second",
                "name == 'second' and meta.oldname == 'jobs'": "third",
                "name == 'z'": "never",
            },
            # Whoever renames comes after all others, so this is not seen.
            "drop_messages_if": ["meta.oldname != nil"],
        }
    )
    assert [message.name for message in rules.send(EVENT, 'x event="a"', 'y event="a"')] == [
        "third",
        "y",
        "y",
    ]


def test_moving_between_tags_and_meta() -> None:
    message = Rules(
        {
            "move_tag_to_meta_if": [{"if": "name == 'job'", "key": "hostname", "value": "host"}],
            "move_meta_to_tag_if": [
                {"if": "true", "key": "host", "value": "node"},
                {"if": "true", "key": "source", "value": "receiver"},
                {"if": "true", "key": "absent", "value": "absent"},
                {"if": "tag.receiver == nil", "key": "none", "value": "none"},
            ],
        }
    ).one(EVENT)
    assert message.tags == {"type": "node", "type-id": "7", "node": "a0101", "receiver": SOURCE}


def test_meta_ends_with_the_rules() -> None:
    message = Rules(
        {
            "add_meta_if": [{"if": "true", "key": "unit", "value": "MB"}],
            "delete_meta_if": [{"if": "meta.unit == 'MB'", "key": "source"}],
            "rename_messages_if": {"meta.unit == 'MB' and meta.source == nil": "seen"},
        }
    ).one(EVENT)
    assert (message.name, message.tags) == ("seen", batch_of(EVENT)[0].tags)


def test_fields() -> None:
    message = Rules(
        {
            "add_field_if": [{"if": "field.n == 3", "key": "new", "value": "x"}],
            "delete_field_if": [{"if": "field.new == 'x'", "key": "user"}, {"if": True, "key": "absent"}],
            "move_field_to_tag_if": [
                {"if": True, "key": "f", "value": "f"},
                {"if": True, "key": "yes", "value": "yes"},
            ],
            "move_tag_to_field_if": [{"if": "type == 'node'", "key": "type", "value": "kind"}],
            "move_meta_to_field_if": [{"if": True, "key": "source", "value": "source"}],
            "move_field_to_meta_if": [{"if": True, "key": "n", "value": "number"}],
            "rename_messages_if": {"meta.number == '3'": "counted"},
        }
    ).one(EVENT)
    assert message.name == "counted"
    assert message.tags == {"hostname": "a0101", "type-id": "7", "f": "2.5", "yes": "true"}
    assert message.fields == {"event": "hello", "new": "x", "kind": "node", "source": SOURCE}
    assert message.text == "hello"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("3i", "3"),
        ("3", "3"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1e-7", "1e-07"),
        ("t", "true"),
    ],
)
def test_moved_fields_are_text_as_go_prints_it(value: str, text: str) -> None:
    rules = Rules({"move_field_to_tag_if": [{"if": True, "key": "x", "value": "x"}]})
    assert rules.one(f'a event="e",x={value}').tags == {"x": text}


def test_other_fields_make_another_kind() -> None:
    rules = Rules(
        {
            "add_field_if": [
                {"if": "messagetype == 'metric'", "key": "event", "value": "made up"},
                {"if": "messagetype == 'event' and name == 'm'", "key": "late", "value": "yes"},
            ],
        }
    )
    message = rules.one("m value=3 5")
    assert (message.kind, message.text, message.others) == ("event", "made up", {"value": 3.0, "late": "yes"})


def test_another_text() -> None:
    rules = Rules({"add_field_if": [{"if": True, "key": "event", "value": "the same for all"}]})
    assert rules.one('a event="x"').text == "the same for all"


def test_type_id() -> None:
    rules = Rules({"drop_messages_if": ["type-id == '7' and tag.typeid == '7' and tag_type-id == '7'"]})
    (left,) = rules.send('a,type-id=7 event="x"', 'a,type-id=8 event="x"')
    assert left.tags == {"type-id": "8"}


def test_units_have_no_effect() -> None:
    process_messages = {"change_unit_prefix": {"name == 'a'": "G", "(": "T"}, "normalize_units": True}
    assert rules_of(process_messages) == ()


def test_base_env() -> None:
    rules = Rules(
        {"add_base_env": {"BAD": ["a", "b"], "MIN": 2}, "drop_messages_if": ["name in BAD && value < MIN"]}
    )
    assert len(rules.send("a value=1", "a value=2", "c value=1")) == 2


# --- the order ------------------------------------------------------------------------------------------


def test_the_usual_order() -> None:
    """Each stage sees what those before it have done."""
    order = [
        ("add_tags_if", {"key": "t1", "value": "1"}, "true"),
        ("delete_tags_if", {"key": "t0"}, "tag.t1 == '1'"),
        ("move_tag_to_meta_if", {"key": "t1", "value": "m1"}, "tag.t0 == nil"),
        ("move_tag_to_field_if", {"key": "t2", "value": "f2"}, "meta.m1 == '1'"),
        ("add_meta_if", {"key": "m2", "value": "2"}, "field.f2 == '2'"),
        ("delete_meta_if", {"key": "m1"}, "meta.m2 == '2'"),
        ("move_meta_to_tag_if", {"key": "m2", "value": "t3"}, "meta.m1 == nil"),
        ("move_meta_to_field_if", {"key": "source", "value": "f3"}, "tag.t3 == '2'"),
        ("add_field_if", {"key": "f4", "value": "4"}, "field.f3 != nil"),
        ("delete_field_if", {"key": "f3"}, "field.f4 == '4'"),
        ("move_field_to_tag_if", {"key": "f4", "value": "t5"}, "field.f3 == nil"),
        ("move_field_to_meta_if", {"key": "f2", "value": "m6"}, "tag.t5 == '4'"),
    ]
    process_messages: dict[str, Any] = {
        key: [{"if": condition, **entry}] for key, entry, condition in reversed(order)
    }
    process_messages["rename_messages_if"] = {"meta.m6 == '2' and meta.oldname == 'a'": "done"}
    process_messages["rename_messages"] = {"a": "b"}
    message = Rules(process_messages).one('a,t0=0,t2=2 event="x"')
    assert (message.name, message.tags, message.others) == ("done", {"t3": "2", "t5": "4"}, None)


@pytest.mark.parametrize(
    ("order", "left"),
    [
        (["drop_by_name", "rename"], ["new"]),
        (["drop_messages", "rename_messages"], ["new"]),
        (["rename", "drop_by_name"], []),
        (["drop_by_name", "rename_messages", "Drop_By_Name"], []),
        (["change_unit_prefix", "normalize_unit", "normalize_units", "drop_messages", "rename"], ["new"]),
    ],
)
def test_stage_order(order: list[str], left: list[str]) -> None:
    rules = Rules({"stage_order": order, "drop_messages": ["new"], "rename_messages": {"old": "new"}})
    assert [message.name for message in rules.send('old event="x"')] == left


def test_rules_in_a_list_follow_one_another() -> None:
    first = {"rename_messages": {"a": "b"}}
    assert Rules([first, {"drop_messages": ["b"]}]).send('a event="x"') == []
    assert len(Rules([{"drop_messages": ["b"]}, first]).send('a event="x"')) == 1


# --- failures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition", ["field.ok", "tag.debug", "field.ok && true", "tag.x == 'y' || field.ok", "value", "log"]
)
def test_a_condition_on_what_a_message_lacks_is_false(condition: str) -> None:
    rules = Rules(
        {
            "drop_messages_if": [condition],
            "add_tags_if": [{"if": condition, "key": "hit", "value": "1"}],
            "rename_messages_if": {condition: "other"},
        }
    )
    message = rules.one(EVENT)
    assert (message.name, "hit" in message.tags) == ("job", False)
    assert rules.account.dropped.total() == 0


def test_a_rule_that_fails_drops_the_message_and_says_so() -> None:
    rules = Rules({"drop_messages_if": ["name == 'x'", "name == 'a' && tag.n < 3"]})
    with capturedLogs() as logs:
        left = rules.send('a,n=1 event="x"', 'b event="y"', 'a event="x"', 'x event="x"')
        rules.clock.advance(11)
        rules.send('a,n=1 event="x"')
    assert [message.text for message in left] == ["y"]
    assert dict(rules.account.dropped) == {"rule_failed": 3, "rule": 1}
    said = [formatEvent(event) for event in logs]
    expected = (
        "web: dropped a message from 10.0.0.1:5, since a rule fails on it: "
        "process_messages.drop_messages_if.1: \"name == 'a' && tag.n < 3\", column 22: "
        "a string < a number has no meaning"
    )
    assert said == [expected, f"{expected} (1 more like it)"]


def test_a_rule_that_fails_on_one_message_of_a_series() -> None:
    rules = Rules({"add_tags_if": [{"if": "int(event) > 3", "key": "big", "value": "yes"}]})
    with capturedLogs() as logs:
        left = rules.send('a event="4"', 'a event="four"', 'a event="2"', 'a event="five"')
    assert [message.tags for message in left] == [{"big": "yes"}, {}]
    assert dict(rules.account.dropped) == {"rule_failed": 2}
    assert len(logs) == 1


def test_the_sender_of_each_is_named() -> None:
    rules = Rules({"drop_messages_if": ["event == 'drop' or name == 'a' && tag.n < 3"]})
    origin = Origin(rules.account, "", senders=["one", "two", "three"])
    with capturedLogs() as logs:
        rules.rules.accept(batch_of('b event="drop"', 'a event="x"', 'b event="y"'), origin, urgent=False)
    assert "from two, since" in formatEvent(logs[0])
    (kept,) = rules.sink.origins
    assert kept.sender_of(0) == "three"
