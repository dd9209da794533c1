"""What the configuration says of rules."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.config_case import (
    Load,
    problem,
    problems,
    receiver,
    warning,
)


def rules(**process_messages: Any) -> dict[str, Any]:
    return receiver(type="tcp", process_messages=process_messages)


@pytest.mark.parametrize("kind", ["tcp", "udp", "http", "eecpt", "nats"])
def test_every_receiver_has_rules(load: Load, kind: str) -> None:
    more = {"subject": "a"} if kind == "nats" else {}
    for value in ([], {}, None):
        content = receiver(type=kind, **more, process_messages=value)
        assert load(content).receivers[0].rules == ()
        assert load(content).warnings == ()
    (config,) = load(receiver(type=kind, **more, process_messages={"drop_messages": ["a"]})).receivers
    assert [rule.key for rule in config.rules] == ["process_messages.drop_messages"]


def test_rules_in_yaml(load: Load) -> None:
    (config,) = load(
        """
receivers:
  r:
    type: tcp
    process_messages:
      - drop_messages_if: [ "!(name in [`load_one`])", true ]
        add_tags_if: [ {if: true, key: cluster, value: alex} ]
      - rename_messages_if: { "name == 'x'": y }
storage: {backend: {type: sqlite, database_path: x.db}}
""",
        "central.yaml",
    ).receivers
    assert [rule.key for rule in config.rules] == [
        "process_messages.0.drop_messages_if.0",
        "process_messages.0.drop_messages_if.1",
        "process_messages.0.add_tags_if.0",
        "process_messages.1.rename_messages_if",
    ]


@pytest.mark.parametrize("value", ["x", 1, False])
def test_rules_are_an_object_or_a_list(load: Load, value: object) -> None:
    assert "expected an object with rules, or a list of such objects" in problem(
        load, receiver(type="tcp", process_messages=value)
    )
    expected = "process_messages.0: got"
    assert expected in problem(load, receiver(type="tcp", process_messages=[value]))


@pytest.mark.parametrize(
    ("process_messages", "expected"),
    [
        (
            {"drop_messages_if": ["true", "name == "]},
            "drop_messages_if.1: got 'name == ', expected a condition; at column 9: expected a value, found "
            "the end",
        ),
        (
            {"drop_messages_if": ["name == 'x' //\n && tag.a <> 3"]},
            "drop_messages_if.0: got \"name == 'x' //\\n && tag.a <> 3\", expected a condition; at line 2, "
            "column 12: expected a value, found '>'",
        ),
        (
            {"drop_messages_if": [5]},
            "drop_messages_if.0: got 5, expected a condition such as \"name == 'job'\", or true for all",
        ),
        (
            {"rename_messages_if": {"name = 'x'": "y"}},
            "rename_messages_if.name = 'x': got \"name = 'x'\", expected a condition; at column 6: '=' is "
            "not known here (== compares)",
        ),
        (
            {"add_tags_if": [{"if": "nme == 'x'", "key": "a", "value": "b"}]},
            "add_tags_if.0.if: got \"nme == 'x'\", expected a condition; at column 1: the name 'nme' is not",
        ),
        (
            {"add_tags_if": [{"key": "a", "value": "b"}]},
            "add_tags_if.0.if: got nothing, expected a condition such as",
        ),
        ({"add_tags_if": [{"if": "true", "value": "b"}]}, "add_tags_if.0.key: got nothing, expected a name"),
        (
            {"add_tags_if": [{"if": "true", "key": "b"}]},
            "add_tags_if.0.value: got nothing, expected a string",
        ),
        (
            {"add_tags_if": [{"if": "true", "key": "b", "value": ""}]},
            "add_tags_if.0.value: got '', expected a name that is not empty",
        ),
        (
            {"add_meta_if": [{"if": "true", "key": "b", "value": 5}]},
            "add_meta_if.0.value: got 5, expected a string (in quotes)",
        ),
        ({"add_tags_if": ["true"]}, 'add_tags_if.0: got \'true\', expected an object with "if" and "key"'),
        ({"add_tags_if": {"if": "true"}}, "add_tags_if: got an object, expected a list of objects"),
        ({"drop_messages": "a"}, "drop_messages: got 'a', expected a list of names of messages"),
        ({"drop_messages": [5]}, "drop_messages.0: got 5, expected a string"),
        (
            {"drop_by_message_type": ["metrics"]},
            "drop_by_message_type.0: got 'metrics', expected one of metric, event, log, control, query (did",
        ),
        ({"rename_messages": ["a"]}, "rename_messages: got a list, expected an object"),
        ({"rename_messages": {"a": ""}}, "rename_messages.a: got '', expected a name that is not empty"),
        ({"stage_order": ["drop_iff"]}, "stage_order.0: got 'drop_iff', expected one of drop_by_name, "),
        ({"stage_order": "drop_if"}, "stage_order: got 'drop_if', expected a list of stages"),
        ({"add_base_env": {"x": None}}, "add_base_env.x: got null, expected a string, a number, "),
        (
            {"drop_mesages": []},
            "drop_mesages: got an unknown key, expected a known one (did you mean 'drop_m",
        ),
        (
            {"add_tags_if": [{"if": "true", "key": "a", "value": "b", "vlaue": "c"}]},
            "add_tags_if.0.vlaue: got an unknown key, expected a known one (did you mean 'value'?)",
        ),
        (
            {"drop_messages_if": ["name matches '(a'"]},
            "drop_messages_if.0: got \"name matches '(a'\", expected a condition; at column 14: the regular "
            "expression '(a' is wrong: missing ')'",
        ),
    ],
)
def test_wrong_rules(load: Load, process_messages: dict[str, Any], expected: str) -> None:
    found = problem(load, rules(**process_messages))
    assert found.startswith(f"receivers.r.process_messages.{expected}"), found


@pytest.mark.parametrize("name", ["value", "event", "log", "control"])
@pytest.mark.parametrize("key", ["delete_field_if", "move_field_to_tag_if", "move_field_to_meta_if"])
def test_protected_fields(load: Load, name: str, key: str) -> None:
    found = problem(load, rules(**{key: [{"if": "true", "key": name, "value": "x"}]}))
    assert found.startswith(
        f"receivers.r.process_messages.{key}.0.key: got '{name}', expected another field than"
    )
    assert load(rules(move_tag_to_meta_if=[{"if": "true", "key": name, "value": "x"}])).receivers


def test_all_that_is_wrong_with_rules_is_told_at_once(load: Load) -> None:
    found = problems(
        load,
        rules(drop_messages_if=["(", "true", ")"], add_tags_if=[{"if": "[", "key": 1}], stage_order=["x"]),
    )
    assert [each.key.partition("process_messages.")[2] for each in found] == [
        "drop_messages_if.0",
        "drop_messages_if.2",
        "add_tags_if.0.value",
        "add_tags_if.0.if",
        "add_tags_if.0.key",
        "stage_order.0",
    ]


@pytest.mark.parametrize(
    ("process_messages", "expected"),
    [
        ({"zzz": ["a"]}, "zzz: unknown key, ignored"),
        (
            {"add_tags_if": [{"if": "true", "key": "a", "value": "b", "zzz": "c"}]},
            "add_tags_if.0.zzz: unknown key, ignored",
        ),
        (
            {"drop_messages": ["a"], "stage_order": ["drop_if"]},
            "drop_messages: these rules have no effect: stage_order does not name them",
        ),
        ({"add_base_env": {"name": "x"}}, "add_base_env.name: ignored: this name has a meaning already"),
    ],
)
def test_doubtful_rules(load: Load, process_messages: dict[str, Any], expected: str) -> None:
    assert warning(load, rules(**process_messages)) == f"receivers.r.process_messages.{expected}"


def test_units_are_accepted(load: Load) -> None:
    config = load(rules(change_unit_prefix={"true": "G"}, normalize_units=True))
    assert (config.receivers[0].rules, config.warnings) == ((), ())
