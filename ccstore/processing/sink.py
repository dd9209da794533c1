"""Where messages go through the rules: a sink before the router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.accounting.account import Origin
from ccstore.batch import Batch
from ccstore.interfaces import IMessageSink, Refusal
from ccstore.logs import RateLimit
from ccstore.message import FieldValue, Message, Series
from ccstore.pipeline.subset import pass_on
from ccstore.processing.rules import ConditionalRule, Rule, RuleFailed
from ccstore.processing.subject import Subject
from ccstore.timing import nanoseconds

_WARN_EVERY: Final = 10.0
#: The most series and branches of which the outcome of the rules is remembered.
_KNOWN: Final = 1 << 16


class _Drop:
    """All messages of a series are dropped."""


@frozen
class _Fail:
    """A rule fails on all messages of a series.

    :ivar place: of :class:`RuleFailed`.
    """

    place: str
    text: str


class _Step:
    """What the rules have made of a series so far; the next one wants to see each message.

    :ivar series: what it is by now.
    :ivar subject: the same, with its meta information.
    :ivar place: of the next rule.
    """

    __slots__ = ("place", "series", "subject")

    def __init__(self, series: Series, subject: Subject, place: int) -> None:
        self.series = series
        self.subject = subject
        self.place = place


class _Ask(_Step):
    """The next rule has a condition to be asked, and what it does then does not depend on the message.

    :ivar branches: what follows if the condition does not hold, and if it does, as far as that is known.
    """

    __slots__ = ("branches", "rule")

    def __init__(self, series: Series, subject: Subject, place: int, rule: ConditionalRule) -> None:
        super().__init__(series, subject, place)
        self.rule = rule
        self.branches: list[_Outcome | None] = [None, None]


class _Rest(_Step):
    """The next rule may do something else to each message, and so may those after it."""

    __slots__ = ()


_DROP: Final = _Drop()
_Outcome = Series | _Drop | _Fail | _Ask | _Rest


@implementer(IMessageSink)
class RuleSink:
    """Does to messages what the rules of a receiver say, and passes on those that are left.

    What depends on the series alone is done once for each series, not for each of its messages: the rules are
    a tree, in which only conditions that look at the message itself are asked again.

    :param source: who the receiver is, which rules find in ``meta.source``.
    :param known: series, and branches of them, that are kept in mind.
    """

    log = Logger()

    def __init__(
        self,
        rules: Sequence[Rule],
        source: str,
        sink: IMessageSink,
        clock: IReactorTime,
        *,
        known: int = _KNOWN,
    ) -> None:
        self._rules = rules
        self._meta = {"source": source}
        self._sink = sink
        self._clock = clock
        self._now = clock.seconds
        self._warnings = RateLimit(clock, _WARN_EVERY)
        self._size = known
        self._known: dict[Series, _Outcome] = {}
        self._branches = 0
        self._made: dict[object, Series] = {}

    def accept(self, messages: Batch, origin: Origin, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """See :meth:`IMessageSink.accept`."""
        outcomes: list[_Outcome]
        try:
            outcomes = [*map(self._known.__getitem__, messages.series)]
        except KeyError:
            outcomes = [*map(self._outcome, messages.series)]
        if set(map(type, outcomes)) == {Series}:
            kept = Batch(outcomes, messages.texts, messages.times, messages.others)  # type: ignore[arg-type]
            return self._sink.accept(kept, origin, urgent=urgent)
        kept, places = self._sift(messages, outcomes, origin)
        origin.dropped.lines += len(messages) - len(kept)
        return pass_on(self._sink, kept, places, origin, urgent=urgent)

    def announce(self, parts: Sequence[Batch], origin: Origin) -> None:
        """See :meth:`IMessageSink.announce`; the rules may make others of them."""

    def flush(self) -> None:
        """See :meth:`IMessageSink.flush`."""
        self._sink.flush()

    def _sift(self, messages: Batch, outcomes: list[_Outcome], origin: Origin) -> tuple[Batch, list[int]]:
        """Drop what is to be dropped: the messages that are left, and their places."""
        kept = Batch()
        places: list[int] = []
        dropped = 0
        texts, times, others = messages.texts, messages.times, messages.others
        for place, outcome in enumerate(outcomes):
            result: _Outcome | Message = outcome
            if isinstance(outcome, (_Ask, _Rest)):
                result = self._walk(outcome, messages[place])
            if isinstance(result, Series):
                if place in others:
                    kept.others[len(places)] = others[place]
                kept.series.append(result)
                kept.texts.append(texts[place])
                kept.times.append(times[place])
                places.append(place)
            elif isinstance(result, Message):
                kept.append(result)
                places.append(place)
            elif isinstance(result, _Fail):
                origin.account.drop("rule_failed")
                now = nanoseconds(self._clock.seconds())
                origin.sample("dropped", "rule_failed", messages[place], place, now, result.text)
                self._warn(result, origin, place)
            else:
                dropped += 1
        if dropped:
            origin.account.drop("rule", dropped)
        return kept, places

    # -- once for each series

    def _outcome(self, series: Series) -> _Outcome:
        found = self._known.get(series)
        if found is None:
            self._make_room()
            subject = Subject(series.name, series.tags, self._meta, series.kind, {}, 0)
            found = self._known[series] = self._go_on(series, subject, 0)
        return found

    def _make_room(self) -> None:
        if len(self._known) + self._branches >= self._size:
            self._known.clear()
            self._branches = 0

    def _go_on(self, series: Series, subject: Subject, place: int) -> _Outcome:
        """Apply the rules from a place on, up to one that wants to see each message."""
        for number, rule in enumerate(self._rules[place:], place):
            if not rule.is_of_series:
                made = self._series(series, subject)
                subject.tags = made.tags
                if isinstance(rule, ConditionalRule) and rule.changes_series_only:
                    return _Ask(made, subject, number, rule)
                return _Rest(made, subject, number)
            try:
                if rule.apply(subject):
                    return _DROP
            except RuleFailed as error:
                return _Fail(error.place, str(error))
        return self._series(series, subject)

    def _branch(self, ask: _Ask, holds: bool) -> _Outcome:
        """What follows when a condition holds, or does not."""
        before = ask.subject
        subject = Subject(before.name, before.tags, before.meta, before.kind, {}, 0)
        found: _Outcome
        if holds and ask.rule.take_effect(subject):
            found = _DROP
        else:
            found = self._go_on(ask.series, subject, ask.place + 1)
        self._make_room()
        self._branches += 1
        ask.branches[holds] = found
        return found

    def _series(self, series: Series, subject: Subject) -> Series:
        """The series of a message that has gone through rules; always the same for the same result."""
        if series.name == subject.name and series.tags is subject.tags and series.kind == subject.kind:
            return series
        key = (subject.name, subject.kind, frozenset(subject.tags.items()))
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= self._size:
                self._made.clear()
            made = self._made[key] = Series(subject.name, subject.tags, subject.kind)
        return made

    # -- for each message

    def _walk(self, outcome: _Ask | _Rest, message: Message) -> Series | _Drop | _Fail | Message:
        """Ask the conditions that look at the message; what comes of it."""
        fields = message.fields
        try:
            while isinstance(outcome, _Ask):
                at = outcome.subject
                subject = Subject(at.name, at.tags, at.meta, at.kind, fields, message.time, self._now)
                holds = outcome.rule.holds(subject)
                found = outcome.branches[holds] or self._branch(outcome, holds)
                if not isinstance(found, (_Ask, _Rest)):
                    return found
                outcome = found
            return self._finish(outcome, message, fields)
        except RuleFailed as error:
            return _Fail(error.place, str(error))

    def _finish(
        self, rest: _Rest, message: Message, fields: Mapping[str, FieldValue]
    ) -> Series | _Drop | Message:
        """Apply the rules that are left to a message itself; raises :class:`RuleFailed`."""
        at = rest.subject
        subject = Subject(at.name, at.tags, at.meta, at.kind, fields, message.time, self._now)
        for rule in self._rules[rest.place :]:
            if rule.apply(subject):
                return _DROP
        series = self._series(rest.series, subject)
        return Message.of(series, subject.fields, message.time) if subject.has_new_fields else series

    def _warn(self, failed: _Fail, origin: Origin, place: int) -> None:
        suppressed = self._warnings.check(failed.place)
        if suppressed is not None:
            self.log.warn(
                "{receiver}: dropped a message from {sender}, since a rule fails on it: {error}{more}",
                receiver=origin.account.name,
                sender=origin.sender_of(place),
                error=failed.text,
                more=f" ({suppressed} more like it)" if suppressed else "",
            )
