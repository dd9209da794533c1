"""`process_messages`: what rules make of messages, and that the books balance meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ccstore.accounting.account import Account, Origin
from ccstore.config.document import Object
from ccstore.config.rules import read_rules
from ccstore.config.section import Place, Report, Section, Surroundings
from ccstore.interfaces import IMessageSink, Refusal
from ccstore.lineprotocol import SeriesCache, StreamDecoder, decode
from ccstore.message import Batch, Message
from ccstore.processing.rules import Rule, RuleFailed
from ccstore.processing.sink import RuleSink
from ccstore.processing.subject import Subject
from ccstore.receivers.http import HttpReceiver
from ccstore.web import Room
from tests.daemon.test_daemon import send_tcp, send_udp
from tests.support.configuration import receiver_config, write_config
from tests.support.connections import Loopback
from tests.support.http_case import head, read_answer
from tests.support.running_daemon import Daemon
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, intake_for

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
    decoded = decode("\n".join(lines).encode(), default_time=NOW)
    assert decoded.errors == []
    return decoded.messages


def shown(message: Message) -> object:
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
        return self.sink.messages[before:]

    def one(self, line: str) -> Message:
        (message,) = self.send(line)
        return message


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


# --- what it costs --------------------------------------------------------------------------------------


class Counting(Rule):
    """Counts how often it is applied."""

    def __init__(self, *, is_of_series: bool = True) -> None:
        super().__init__("counting")
        object.__setattr__(self, "_is_of_series", is_of_series)
        object.__setattr__(self, "applied", [])

    @property
    def is_of_series(self) -> bool:
        return bool(self._is_of_series)  # type: ignore[attr-defined]

    def apply(self, subject: Subject) -> bool:
        self.applied.append(subject.name)  # type: ignore[attr-defined]
        return False


def decoded(decoder: StreamDecoder, count: int) -> Batch:
    return decoder.feed(
        b"".join(b'a,n=%d event="x"\n' % (number % 3) for number in range(count)), NOW
    ).messages


def test_rules_of_the_series_are_applied_once_for_each() -> None:
    first, second = Counting(), Counting(is_of_series=False)
    once = Rules(rules=(first,))
    each = Rules(rules=(first, second, first))
    decoder = StreamDecoder(SeriesCache())
    for _ in range(2):
        batch = decoded(decoder, 300)
        once.rules.accept(batch, once.origin, urgent=True)
        assert len(first.applied) == 3  # type: ignore[attr-defined]
    # Nothing is changed, so nothing new is made.
    assert once.sink.messages[0].series is batch.series[0]
    first.applied.clear()  # type: ignore[attr-defined]
    each.rules.accept(batch, each.origin, urgent=True)
    assert len(second.applied) == 300  # type: ignore[attr-defined]
    assert len(first.applied) == 3 + 300  # type: ignore[attr-defined]


def test_what_rules_make_of_a_series_is_one_series() -> None:
    """Whoever comes after relies on it to do its work once for each."""
    for condition in ("true", "event == 'x'"):
        rules = Rules({"add_tags_if": [{"if": condition, "key": "k", "value": "v"}]})
        batch = decoded(StreamDecoder(SeriesCache()), 300)
        rules.rules.accept(batch, rules.origin, urgent=True)
        assert len({message.series for message in rules.sink.messages}) == 3


def test_what_is_known_is_bounded() -> None:
    rules = Rules(
        {"add_tags_if": [{"if": "event == 'x' and name == 'a'", "key": "k", "value": "v"}]}, known=10
    )
    for number in range(100):
        rules.send(f'a,n={number} event="x"')
    assert len(rules.rules._known) + rules.rules._branches <= 11
    assert len(rules.rules._made) <= 10
    assert len(rules.sink.messages) == 100


# --- the same as one by one -----------------------------------------------------------------------------

CONDITIONS = st.sampled_from(
    [
        "true",
        "name == 'a'",
        "name in ['b', 'c'] || tag.t == '1'",
        "event contains 'x'",
        "value > 2",
        "timestamp % 2 == 0",
        "meta.oldname == 'a'",
        "tag.t < 3",
        "int(event) > 1",
        "messagetype == 'metric'",
        "field.t == '1'",
        "tag.u == meta.m",
    ]
)
NAMES = st.sampled_from(["a", "b", "c"])
KEYS = st.sampled_from(["t", "u", "m", "event"])
ENTRY = st.fixed_dictionaries({"if": CONDITIONS, "key": KEYS, "value": KEYS})
SAFE_ENTRY = st.fixed_dictionaries({"if": CONDITIONS, "key": st.sampled_from(["t", "u"]), "value": KEYS})
PROCESS_MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "drop_messages": st.lists(NAMES, max_size=1),
        "drop_messages_if": st.lists(CONDITIONS, max_size=2),
        "drop_by_message_type": st.lists(st.sampled_from(["log", "metric"]), max_size=1),
        "rename_messages": st.dictionaries(NAMES, NAMES, max_size=2),
        "rename_messages_if": st.dictionaries(CONDITIONS, NAMES, max_size=2),
        **{
            key: st.lists(ENTRY, max_size=2)
            for key in ("add_tags_if", "delete_tags_if", "add_meta_if", "delete_meta_if", "add_field_if")
        },
        **{
            key: st.lists(SAFE_ENTRY, max_size=2)
            for key in (
                "delete_field_if",
                "move_tag_to_meta_if",
                "move_tag_to_field_if",
                "move_meta_to_tag_if",
                "move_meta_to_field_if",
                "move_field_to_tag_if",
                "move_field_to_meta_if",
            )
        },
    },
)
LINES = st.builds(
    "{}{} {} {}".format,
    NAMES,
    st.sampled_from(["", ",t=1", ",t=2,u=x", ",cluster=alex"]),
    st.sampled_from(['event="x"', 'event="2"', 'log="x"', "value=3", 'event="x",t="1",u=2i', 'other="y"']),
    st.sampled_from([4 * 10**18, 5 * 10**18 + 10**9]),
)


def one_by_one(rules: Sequence[Rule], message: Message) -> Message | str:
    """What all rules make of one message, by itself."""
    subject = Subject(
        message.name, message.tags, {"source": SOURCE}, message.kind, message.fields, message.time
    )
    try:
        for rule in rules:
            if rule.apply(subject):
                return "rule"
    except RuleFailed:
        return "rule_failed"
    series = type(message.series)(subject.name, subject.tags, subject.kind)
    return Message.of(series, subject.fields, message.time)


@settings(max_examples=300, deadline=None)
@given(PROCESS_MESSAGES, st.lists(LINES, min_size=1, max_size=20))
def test_the_same_as_one_by_one(process_messages: dict[str, Any], lines: list[str]) -> None:
    rules = Rules(rules=rules_of(process_messages) or rules_of({"drop_messages": ["none"]}))
    all_rules = rules.rules._rules
    # From one decoder, so that series are shared.
    messages = batch_of(*lines, *lines)
    expected = [one_by_one(all_rules, message) for message in messages]
    rules.rules.accept(messages, rules.origin, urgent=True)
    assert list(map(shown, rules.sink.messages)) == [
        shown(each) for each in expected if isinstance(each, Message)
    ]
    assert rules.account.is_balanced
    for reason in ("rule", "rule_failed"):
        assert rules.account.dropped[reason] == expected.count(reason)


# --- between receiver and router ------------------------------------------------------------------------


class SinkTests(SynchronousTestCase):
    def test_interface(self) -> None:
        rules = Rules({"drop_messages": ["a"]})
        self.assertTrue(verifyObject(IMessageSink, rules.rules))
        rules.rules.flush()
        self.assertEqual(rules.sink.flushes, 1)

    def test_refusals_have_the_places_that_were_offered(self) -> None:
        rules = Rules({"drop_messages_if": ["event == 'drop'"], "drop_messages": ["noise"]})
        rules.sink.refuses = lambda message: "bad" if message.text == "refuse" else None
        batch = batch_of(
            'noise event="refuse"',
            'a event="refuse"',
            'a event="drop"',
            'a event="keep"',
            'a event="refuse"',
        )
        refusals = self.successResultOf(rules.rules.accept(batch, rules.origin, urgent=True))
        self.assertEqual(refusals, [Refusal(1, "bad"), Refusal(4, "bad")])
        self.assertTrue(rules.account.is_balanced)

    def test_answers_over_http_name_the_right_lines(self) -> None:
        config = receiver_config(scratch(self), "http")
        clock = Loopback()
        sink = FakeSink()
        sink.refuses = lambda message: "bad" if message.text == "refuse" else None
        rules = rules_of({"drop_messages": ["noise"], "drop_messages_if": ["event == 'drop'"]})
        intake = intake_for(config, "http", RuleSink(rules, SOURCE, sink, clock), clock)  # type: ignore[arg-type]
        HttpReceiver(config, intake, clock, Room()).listen()
        connection, wire = clock.connect()
        body = b"""# a comment
noise event="refuse"
a event="drop"

name_only
a event="refuse"
a event="kept
in two lines"
noise log="x"
a event="refuse"
"""
        connection.dataReceived(head(length=len(body)) + body)
        answer = json.loads(read_answer(wire.value())[0].body)
        self.assertEqual(
            [(each["line"], each["reason"]) for each in answer["lines"]],
            [(5, "no field"), (6, "bad"), (10, "bad")],
        )
        account = intake.account
        self.assertEqual((account.received, account.stored), (7, 1))
        self.assertEqual(dict(account.dropped), {"rule": 3})
        self.assertTrue(account.is_balanced)


def test_with_the_real_daemon(tmp_path: Path) -> None:
    """Rules work for all receivers, each with its own, and not for the REST interface."""
    process_messages = {
        "drop_messages": ["noise"],
        "drop_messages_if": ["event matches '^(a+)+$'"],
        "add_tags_if": [{"if": "tag.cluster == nil", "key": "cluster", "value": "alex"}],
        "move_meta_to_tag_if": [{"if": True, "key": "source", "value": "stype"}],
    }
    here = {"address": "127.0.0.1", "port": 0, "process_messages": process_messages}
    receivers: dict[str, Any] = {kind: {"type": kind, **here} for kind in ("tcp", "udp", "http")}
    receivers["http"] = {**receivers["http"], "process_messages": [process_messages]}
    path = write_config(tmp_path, receivers=receivers)
    lines = b'noise event="x"\na event="' + b"a" * 5000 + b'"\na event="' + b"a" * 5000 + b'b"\n'
    with Daemon(tmp_path, "--config", path) as daemon:
        assert daemon.ask("POST", "/", lines, line="HTTP") == (200, b"")
        send_tcp(daemon, lines)
        send_udp(daemon, lines)
        for name in ("tcp", "udp"):
            daemon.arrived(name, 3)
        assert daemon.ask("POST", "/api/write?cluster=alex", b'noise event="by the API"')[0] == 200
        for source, expected in (("HttpReceiver(http)", 1), ("TcpReceiver(tcp)", 1), ("UdpReceiver(udp)", 1)):
            (found,) = daemon.query({"event": "a", "subtype": source})
            assert len(found[0]["data"]) == expected
        (found,) = daemon.query({"event": "noise"})
        assert [row["Event"] for row in found[0]["data"]] == ["by the API"]
        for name, account in daemon.stats()["receivers"].items():
            assert account["dropped"] == ({} if name == "api" else {"rule": 2})
        daemon.stop()
