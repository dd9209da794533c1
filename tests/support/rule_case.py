"""Rules as a configuration has them, before a sink that stores everything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from ccstore.accounting.account import Account, Origin
from ccstore.batch import Batch
from ccstore.config.document import Object
from ccstore.config.rule_section import read_rules
from ccstore.config.section import Place, Report, Section, Surroundings
from ccstore.interfaces import Refusal
from ccstore.lineprotocol import decode
from ccstore.message import Message
from ccstore.processing.rules import Rule
from ccstore.processing.sink import RuleSink
from tests.support.sinks import FakeSink

NOW = 1_700_000_000 * 10**9
SOURCE = "HttpReceiver(web)"


def _object(value: Any) -> Any:
    if isinstance(value, list):
        return [_object(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = Object()
    made.update({key: _object(each) for key, each in value.items()})
    return made


def rules_of(process_messages: Any) -> tuple[Rule, ...]:
    """The rules as they are read from a configuration without mistakes."""
    report = Report()
    section = Section(
        Place(report, "f"),
        _object({"process_messages": process_messages}),
        Surroundings(Path("/"), Path("/"), {}),
    )
    rules = read_rules(section)
    report.raise_problems()
    assert report.warnings() == ()
    return rules


def batch_of(*lines: str) -> Batch:
    """The messages of lines without mistakes."""
    decoded = decode("\n".join(lines).encode(), default_time=NOW)
    assert decoded.errors == []
    return decoded.messages


def shown(message: Message) -> object:
    """All that a message is, to be compared."""
    return message.name, dict(message.tags), message.kind, dict(message.fields), message.text, message.time


class Rules:
    """Rules before a sink that stores everything."""

    def __init__(self, process_messages: Any = None, *, rules: tuple[Rule, ...] = (), **more: Any) -> None:
        self.sink = FakeSink()
        self.clock = Clock()
        self.account = Account("web", "http")
        self.origin = Origin(self.account, "10.0.0.1:5")
        self.rules = RuleSink(rules or rules_of(process_messages), SOURCE, self.sink, self.clock, **more)

    def send(self, *lines: str | Message) -> list[Message]:
        """What is left of some lines; the books balance."""
        before = len(self.sink.messages)
        messages = Batch.of(
            message for line in lines for message in ([line] if isinstance(line, Message) else batch_of(line))
        )
        answers: list[Sequence[Refusal]] = []
        self.rules.accept(messages, self.origin, urgent=True).addCallback(answers.append)
        assert len(answers) == 1
        assert self.account.is_balanced
        assert self.account.received == self.account.stored + self.account.dropped.total()
        assert self.origin.dropped.lines == self.account.dropped.total()
        return self.sink.messages[before:]

    def one(self, line: str) -> Message:
        """What is left of a line that is not dropped."""
        (message,) = self.send(line)
        return message
