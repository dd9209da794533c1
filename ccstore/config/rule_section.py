"""`process_messages` of a receiver: from the configuration to rules, with each condition compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from attrs import frozen

from ccstore.message import Kind
from ccstore.processing.expression import Condition, ExpressionError
from ccstore.processing.rules import (
    PROTECTED_FIELDS,
    STAGES,
    Add,
    Delete,
    DropIf,
    DropKinds,
    DropNames,
    Move,
    Part,
    Rename,
    RenameIf,
    Rule,
)
from ccstore.processing.scope import is_reserved

from . import kinds
from .document import Object
from .kinds import Unfit, near
from .section import Place, Section, Surroundings
from .values import NOTHING

_KEY = "process_messages"
_KINDS = ("metric", "event", "log", "control", "query")
# Of metrics, which nothing here keeps.
_NO_EFFECT = ("change_unit_prefix", "normalize_units")
_ALIASES = {**{stage: stage for stage in STAGES}, **{key: stage for stage, key in STAGES.items()}}
_CONDITION = "a condition such as \"name == 'job'\", or true for all messages"
_RULES = "an object with rules, or a list of such objects"
_NAME = "a name that is not empty"


def read_rules(section: Section) -> tuple[Rule, ...]:
    """Read the rules of a receiver, in the order in which they are applied."""
    value = section.value(_KEY)
    if value is None:
        return ()
    place = section.place(_KEY)
    if isinstance(value, Object):
        return _read_object(place, value, section.surroundings, _KEY)
    if not isinstance(value, list):
        place.problem(value, _RULES)
        return ()
    rules: list[Rule] = []
    for index, each in enumerate(value):
        inner = place.inside(str(index), index)
        if isinstance(each, Object):
            rules += _read_object(inner, each, section.surroundings, f"{_KEY}.{index}")
        else:
            inner.problem(each, "an object with rules")
    return tuple(rules)


def _read_object(place: Place, data: Object, surroundings: Surroundings, key: str) -> tuple[Rule, ...]:
    return read_rule_keys(Section(place, data, surroundings), key)


def read_rule_keys(section: Section, key: str) -> tuple[Rule, ...]:
    """Read one object with rules.

    :param key: what leads to it in the receiver.
    """
    reader = _Reader(section, key, _read_constants(section))
    rules = reader.read()
    section.ignore(*_NO_EFFECT)
    order = _read_order(section)
    for stage, found in rules.items():
        if found and stage not in order:
            section.place(STAGES[stage]).warn("these rules have no effect: stage_order does not name them")
    section.finish()
    return tuple(rule for stage in order for rule in rules.get(stage, ()))


def _read_order(section: Section) -> list[str]:
    """The stages in their order, each by its one name."""
    order: list[str] = []
    for place, value in _items(section, "stage_order", "a list of stages"):
        if isinstance(value, str) and value.lower() in _ALIASES:
            order.append(_ALIASES[value.lower()])
        else:
            hint = near(value, _ALIASES) if isinstance(value, str) else ""
            place.problem(value, f"one of {', '.join(STAGES)}{hint}")
    return order or [*STAGES]


def _read_constants(section: Section) -> Mapping[str, Any]:
    """What conditions may name besides what a message has."""
    constants: dict[str, Any] = {}
    data = section.take("add_base_env", _object, Object())
    place = section.place("add_base_env")
    for index, (name, value) in enumerate(data.items()):
        inner = place.inside(name, index)
        if is_reserved(name):
            inner.warn("ignored: this name has a meaning already")
        elif not _is_constant(value):
            inner.problem(value, "a string, a number, a truth value, or lists and objects of these")
        else:
            constants[name] = value
    return constants


def _is_constant(value: object) -> bool:
    waiting = [value]
    for _ in range(10_000):  # an anchor of YAML may lie within itself
        if not waiting:
            return True
        each = waiting.pop()
        if isinstance(each, Object):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
        elif not isinstance(each, (str, float)) and not (isinstance(each, int) and abs(each) < 2**63):
            return False
    return False


def _object(value: object) -> Object:
    if not isinstance(value, Object):
        raise Unfit("an object")
    return value


def _items(section: Section, key: str, expected: str) -> Iterator[tuple[Place, object]]:
    """What a list has, each with its place."""
    value = section.value(key)
    if value is None:
        return
    if not isinstance(value, list):
        section.fail(key, value, Unfit(expected))
        return
    place = section.place(key)
    for index, each in enumerate(value):
        yield place.inside(str(index), index), each


def _filled(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Unfit(_NAME)
    return _text(value)


def _text(value: object) -> str:
    """A string that can be stored: JSON can spell what is no character."""
    text = kinds.text(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unfit(f"Unicode, without the half of a character at column {error.start + 1}") from None
    return text


@frozen
class _Reader:
    """Reads the rules of one object.

    :ivar key: what leads to the object in the receiver.
    """

    section: Section
    key: str
    constants: Mapping[str, Any]

    def read(self) -> dict[str, list[Rule]]:
        """The rules of each stage."""
        return {
            "drop_by_name": self._drop_names(),
            "drop_by_type": self._drop_kinds(),
            "drop_if": self._drop_if(),
            "rename": self._rename(),
            "rename_if": self._rename_if(),
            **{
                f"add_{stage}": self._entries(f"add_{stage}", self._adding(part))
                for stage, part in _PARTS.items()
            },
            **{
                f"delete_{stage}": self._entries(f"delete_{stage}", self._deleting(part))
                for stage, part in _PARTS.items()
            },
            **{
                stage: self._entries(stage, self._moving(part, to_part))
                for stage, (part, to_part) in _MOVES.items()
            },
        }

    def _drop_names(self) -> list[Rule]:
        names = [*self._strings("drop_messages", "a list of names of messages")]
        return [DropNames(f"{self.key}.drop_messages", frozenset(names))] if names else []

    def _drop_kinds(self) -> list[Rule]:
        found = []
        for place, value in _items(self.section, "drop_by_message_type", f"a list of {', '.join(_KINDS)}"):
            if isinstance(value, str) and value in _KINDS:
                found.append(cast(Kind, value))
            else:
                hint = near(value, _KINDS) if isinstance(value, str) else ""
                place.problem(value, f"one of {', '.join(_KINDS)}{hint}")
        return [DropKinds(f"{self.key}.drop_by_message_type", frozenset(found))] if found else []

    def _drop_if(self) -> list[Rule]:
        found: list[Rule] = []
        for index, (place, value) in enumerate(
            _items(self.section, "drop_messages_if", "a list of conditions")
        ):
            condition = self._condition(place, value)
            if condition is not None:
                found.append(DropIf(f"{self.key}.drop_messages_if.{index}", condition))
        return found

    def _strings(self, key: str, expected: str) -> Iterator[str]:
        for place, value in _items(self.section, key, expected):
            if isinstance(value, str):
                yield value
            else:
                place.problem(value, "a string")

    def _rename(self) -> list[Rule]:
        names = {old: new for _, old, new in self._renamed("rename_messages")}
        return [Rename(f"{self.key}.rename_messages", names)] if names else []

    def _rename_if(self) -> list[Rule]:
        found: list[Rule] = []
        for place, source, name in self._renamed("rename_messages_if"):
            condition = self._condition(place, source)
            if condition is not None:
                found.append(RenameIf(f"{self.key}.rename_messages_if", condition, name))
        return found

    def _renamed(self, key: str) -> Iterator[tuple[Place, str, str]]:
        data = self.section.take(key, _object, Object())
        place = self.section.place(key)
        for index, (before, after) in enumerate(data.items()):
            inner = place.inside(before, index)
            try:
                yield inner, before, _filled(after)
            except Unfit as error:
                inner.unfit(after, error)

    def _entries(self, stage: str, make: Callable[[str, Condition, Section], Rule | None]) -> list[Rule]:
        """The rules of a stage whose rules are objects with ``if``, ``key`` and perhaps ``value``."""
        found: list[Rule] = []
        key = STAGES[stage]
        for index, (place, value) in enumerate(_items(self.section, key, "a list of objects")):
            if not isinstance(value, Object):
                place.problem(value, 'an object with "if" and "key"')
                continue
            entry = Section(place, value, self.section.surroundings)
            condition = self._condition(entry.place("if"), entry.value("if"))
            rule = make(f"{self.key}.{key}.{index}", condition or _ANY, entry)
            entry.finish()
            if condition is not None and rule is not None:
                found.append(rule)
        return found

    @staticmethod
    def _adding(part: Part) -> Callable[[str, Condition, Section], Rule | None]:
        # There is no tag without a value in line protocol.
        value_kind = _filled if part == "tags" else _text

        def make(key: str, condition: Condition, entry: Section) -> Rule | None:
            name = entry.require("key", _filled, _NAME)
            value = entry.require("value", value_kind, "a string")
            return None if name is None or value is None else Add(key, condition, part, name, value)

        return make

    @staticmethod
    def _deleting(part: Part) -> Callable[[str, Condition, Section], Rule | None]:
        def make(key: str, condition: Condition, entry: Section) -> Rule | None:
            name = entry.require("key", _removable(part), _NAME)
            entry.ignore("value")
            return None if name is None else Delete(key, condition, part, name)

        return make

    @staticmethod
    def _moving(part: Part, to_part: Part) -> Callable[[str, Condition, Section], Rule | None]:
        def make(key: str, condition: Condition, entry: Section) -> Rule | None:
            name = entry.require("key", _removable(part), _NAME)
            to_name = entry.require("value", _filled, _NAME)
            if name is None or to_name is None:
                return None
            return Move(key, condition, part, name, to_part, to_name)

        return make

    def _condition(self, place: Place, value: object) -> Condition | None:
        if value is None:
            place.problem(NOTHING, _CONDITION)
            return None
        if isinstance(value, bool):  # true without quotes is no string in JSON and YAML
            value = "true" if value else "false"
        if not isinstance(value, str):
            place.problem(value, _CONDITION)
            return None
        try:
            return Condition.of(value, self.constants)
        except ExpressionError as error:
            before = value[: error.position]
            line = before.count("\n") + 1
            where = f"line {line}, " if line > 1 else ""
            column = error.position - (before.rfind("\n") + 1) + 1
            place.problem(value, f"a condition; at {where}column {column}: {error.reason}")
            return None


_PARTS: Mapping[str, Part] = {"tag": "tags", "meta": "meta", "field": "fields"}
_MOVES: Mapping[str, tuple[Part, Part]] = {
    "move_tag_to_meta": ("tags", "meta"),
    "move_tag_to_fields": ("tags", "fields"),
    "move_meta_to_tags": ("meta", "tags"),
    "move_meta_to_fields": ("meta", "fields"),
    "move_field_to_tags": ("fields", "tags"),
    "move_field_to_meta": ("fields", "meta"),
}
_ANY = Condition.of("true")


def _removable(part: Part) -> Callable[[object], str]:
    """The name of an entry that may be taken away."""

    def check(value: object) -> str:
        name = _filled(value)
        if part == "fields" and name in PROTECTED_FIELDS:
            raise Unfit(f"another field than {', '.join(PROTECTED_FIELDS)}, which make a message what it is")
        return name

    return check
