"""Rules: what is done to a message, in stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from attrs import frozen

from ccstore.message import Kind
from ccstore.processing.expression import Condition, ConditionFailed
from ccstore.processing.operations import text_of
from ccstore.processing.subject import Subject

#: Parts of a message that have entries.
Part = Literal["tags", "meta", "fields"]

#: What makes a message what it is: these fields cannot be deleted or moved.
PROTECTED_FIELDS: Final = ("value", "event", "log", "control")

#: The stages in their usual order, and the key of the configuration that has the rules of each.
STAGES: Final[Mapping[str, str]] = {
    "drop_by_name": "drop_messages",
    "drop_by_type": "drop_by_message_type",
    "drop_if": "drop_messages_if",
    "add_tag": "add_tags_if",
    "delete_tag": "delete_tags_if",
    "move_tag_to_meta": "move_tag_to_meta_if",
    "move_tag_to_fields": "move_tag_to_field_if",
    "add_meta": "add_meta_if",
    "delete_meta": "delete_meta_if",
    "move_meta_to_tags": "move_meta_to_tag_if",
    "move_meta_to_fields": "move_meta_to_field_if",
    "add_field": "add_field_if",
    "delete_field": "delete_field_if",
    "move_field_to_tags": "move_field_to_tag_if",
    "move_field_to_meta": "move_field_to_meta_if",
    "rename": "rename_messages",
    "rename_if": "rename_messages_if",
    "change_unit_prefix": "change_unit_prefix",
    "normalize_unit": "normalize_units",
}


class RuleFailed(Exception):
    """A rule has no answer for a message; the text says which rule and why, in a line.

    :ivar place: the rule and the position in its condition, the same for all messages.
    """

    def __init__(self, condition: Condition, key: str, failed: ConditionFailed) -> None:
        self.place = f"{key}: {condition.source[:100]!r}, column {failed.position + 1}"
        super().__init__(f"{self.place}: {failed.reason}")


@frozen
class Rule:
    """
    One rule.

    :ivar key: where it stands in the configuration of the receiver.
    """

    key: str

    @property
    def is_of_series(self) -> bool:
        """What it does depends on name, tags, meta and kind of a message alone, and changes nothing else."""
        raise NotImplementedError

    def apply(self, subject: Subject) -> bool:
        """Do it; True drops the message. Raises :class:`RuleFailed`."""
        raise NotImplementedError


@frozen
class DropNames(Rule):
    """Drop messages with one of these names."""

    names: frozenset[str]

    @property
    def is_of_series(self) -> bool:
        return True

    def apply(self, subject: Subject) -> bool:
        return subject.name in self.names


@frozen
class DropKinds(Rule):
    """Drop messages of one of these kinds."""

    kinds: frozenset[Kind]

    @property
    def is_of_series(self) -> bool:
        return True

    def apply(self, subject: Subject) -> bool:
        return subject.kind in self.kinds


@frozen
class Rename(Rule):
    """Give another name to messages with one of these names."""

    names: Mapping[str, str]

    @property
    def is_of_series(self) -> bool:
        return True

    def apply(self, subject: Subject) -> bool:
        name = self.names.get(subject.name)
        if name is not None:
            _rename(subject, name)
        return False


def _rename(subject: Subject, name: str) -> None:
    subject.meta = {**subject.meta, "oldname": subject.name}
    subject.name = name


@frozen
class ConditionalRule(Rule):
    """A rule for messages for which a condition holds."""

    condition: Condition

    @property
    def is_of_series(self) -> bool:
        return self.condition.is_of_series and self.changes_series_only

    @property
    def changes_series_only(self) -> bool:
        """What it does, if the condition holds, has to do with name, tags and meta alone."""
        return True

    def apply(self, subject: Subject) -> bool:
        return self.holds(subject) and self.take_effect(subject)

    def holds(self, subject: Subject) -> bool:
        """Whether the condition does; raises :class:`RuleFailed`."""
        try:
            return self.condition.holds(subject)
        except ConditionFailed as failed:
            raise RuleFailed(self.condition, self.key, failed) from None

    def take_effect(self, subject: Subject) -> bool:
        """What to do when the condition holds; True drops the message."""
        raise NotImplementedError


@frozen
class DropIf(ConditionalRule):
    """Drop a message."""

    def take_effect(self, subject: Subject) -> bool:
        return True


@frozen
class RenameIf(ConditionalRule):
    """Give it another name."""

    name: str

    def take_effect(self, subject: Subject) -> bool:
        _rename(subject, self.name)
        return False


@frozen
class Add(ConditionalRule):
    """Set an entry."""

    part: Part
    entry: str
    value: str

    @property
    def changes_series_only(self) -> bool:
        return self.part != "fields"

    def take_effect(self, subject: Subject) -> bool:
        _set(subject, self.part, {**getattr(subject, self.part), self.entry: self.value})
        return False


@frozen
class Delete(ConditionalRule):
    """Remove an entry, if it is there."""

    part: Part
    entry: str

    @property
    def changes_series_only(self) -> bool:
        return self.part != "fields"

    def take_effect(self, subject: Subject) -> bool:
        _take(subject, self.part, self.entry)
        return False


@frozen
class Move(ConditionalRule):
    """Move an entry, if it is there, to another part under another name; as text, as Go prints it."""

    part: Part
    entry: str
    to_part: Part
    to_entry: str

    @property
    def changes_series_only(self) -> bool:
        return "fields" not in (self.part, self.to_part)

    def take_effect(self, subject: Subject) -> bool:
        value = _take(subject, self.part, self.entry)
        if value is not None:
            target = {**getattr(subject, self.to_part), self.to_entry: text_of(value)}
            _set(subject, self.to_part, target)
        return False


def _set(subject: Subject, part: Part, entries: Mapping[str, str]) -> None:
    if part == "fields":
        subject.set_fields(entries)
    else:
        setattr(subject, part, entries)


def _take(subject: Subject, part: Part, entry: str) -> object:
    entries: Mapping[str, str] = getattr(subject, part)
    value = entries.get(entry)
    if value is not None:
        _set(subject, part, {key: each for key, each in entries.items() if key != entry})
    return value
