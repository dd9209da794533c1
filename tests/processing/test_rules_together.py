"""Rules applied to whole batches: once for each series, and with the same outcome as one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ccstore.batch import Batch
from ccstore.lineprotocol import SeriesCache, StreamDecoder
from ccstore.message import Message
from ccstore.processing.rules import Rule, RuleFailed
from ccstore.processing.subject import Subject
from tests.support.rule_case import NOW, SOURCE, Rules, batch_of, rules_of, shown

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
