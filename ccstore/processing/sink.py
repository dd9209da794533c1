"""Where messages go through the rules: a sink before the router."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.accounting import Origin
from ccstore.interfaces import IMessageSink, Refusal
from ccstore.logs import RateLimit
from ccstore.message import Batch, Message, Series
from ccstore.processing.rules import Rule, RuleFailed
from ccstore.processing.subject import Subject
from ccstore.sifting import pass_on

_WARN_EVERY: Final = 10.0
#: Series of which it is known what the rules make of them.
_KNOWN: Final = 1 << 17


class _Drop:
    """All messages of a series are dropped."""


@frozen
class _Fail:
    """A rule fails on all messages of a series.

    :ivar place: of :class:`RuleFailed`.
    """

    place: str
    text: str


class _Rest:
    """What the rules have made of a series so far; the others want to see each message.

    :ivar series: the series, if those make nothing else of it.
    """

    __slots__ = ("series", "subject")

    def __init__(self, series: Series, subject: Subject) -> None:
        self.series = series
        self.subject = subject


_DROP: Final = _Drop()
_Outcome = Series | _Drop | _Fail | _Rest
#: Outcomes that need no look at the message.
_PLAIN: Final = frozenset((Series, _Drop))


@implementer(IMessageSink)
class RuleSink:
    """Does to messages what the rules of a receiver say, and passes on those that are left.

    The rules up to the first that looks at more than the series are applied once for each series, not for
    each of its messages.

    :param source: who the receiver is, which rules find in ``meta.source``.
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
        first = next((place for place, rule in enumerate(rules) if not rule.is_of_series), len(rules))
        self._of_series, self._of_message = rules[:first], rules[first:]
        self._meta = {"source": source}
        self._sink = sink
        self._warnings = RateLimit(clock, _WARN_EVERY)
        self._size = known
        self._known: dict[Series, _Outcome] = {}
        self._made: dict[object, Series] = {}

    def accept(self, messages: Batch, origin: Origin, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """See :meth:`IMessageSink.accept`."""
        outcomes: list[_Outcome]
        try:
            outcomes = [*map(self._known.__getitem__, messages.series)]
        except KeyError:
            outcomes = [*map(self._outcome, messages.series)]
        kinds = set(map(type, outcomes))
        if kinds == {Series}:
            kept = Batch(outcomes, messages.texts, messages.times, messages.others)  # type: ignore[arg-type]
            return self._sink.accept(kept, origin, urgent=urgent)
        kept, places = self._sift(messages, outcomes, origin, is_plain=kinds <= _PLAIN)
        return pass_on(self._sink, kept, places, origin, urgent=urgent)

    def flush(self) -> None:
        """See :meth:`IMessageSink.flush`."""
        self._sink.flush()

    def _sift(
        self, messages: Batch, outcomes: list[_Outcome], origin: Origin, *, is_plain: bool
    ) -> tuple[Batch, list[int]]:
        """Drop what is to be dropped: the messages that are left, and their places."""
        if is_plain and not messages.others:
            stays = [outcome is not _DROP for outcome in outcomes]
            places = [*compress(range(len(outcomes)), stays)]
            series: list[Series] = [*compress(outcomes, stays)]  # type: ignore[list-item]
            texts, times = compress(messages.texts, stays), compress(messages.times, stays)
            if len(places) < len(outcomes):
                origin.account.drop("rule", len(outcomes) - len(places))
            return Batch(series, [*texts], [*times]), places
        kept = Batch()
        places = []
        for place, outcome in enumerate(outcomes):
            message = messages[place]
            result: Message | _Drop | _Fail
            if isinstance(outcome, Series):
                result = message._replace(series=outcome)
            elif isinstance(outcome, _Rest):
                result = self._finish(message, outcome)
            else:
                result = outcome
            if isinstance(result, Message):
                kept.append(result)
                places.append(place)
            elif isinstance(result, _Fail):
                origin.account.drop("rule_failed")
                self._warn(result, origin, place)
            else:
                origin.account.drop("rule")
        return kept, places

    def _outcome(self, series: Series) -> _Outcome:
        found = self._known.get(series)
        if found is None:
            if len(self._known) >= self._size:
                self._known.clear()
            found = self._known[series] = self._begin(series)
        return found

    def _begin(self, series: Series) -> _Outcome:
        """Apply the rules that look at nothing but the series."""
        subject = Subject(series.name, series.tags, self._meta, series.kind, {}, 0)
        try:
            for rule in self._of_series:
                if rule.apply(subject):
                    return _DROP
        except RuleFailed as error:
            return _Fail(error.place, str(error))
        made = self._series(series, subject)
        subject.tags = made.tags
        return _Rest(made, subject) if self._of_message else made

    def _finish(self, message: Message, rest: _Rest) -> Message | _Drop | _Fail:
        """Apply the other rules to a message."""
        before = rest.subject
        subject = Subject(before.name, before.tags, before.meta, before.kind, message.fields, message.time)
        try:
            for rule in self._of_message:
                if rule.apply(subject):
                    return _DROP
        except RuleFailed as error:
            return _Fail(error.place, str(error))
        series = self._series(rest.series, subject)
        if subject.has_new_fields:
            return Message.of(series, subject.fields, message.time)
        return message._replace(series=series)

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
