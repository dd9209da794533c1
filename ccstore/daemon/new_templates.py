"""Tells of templates that were never seen before, by events of the daemon's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ccstore.batch import Batch
from ccstore.errors import StoreError
from ccstore.insight.first_study import Sighting, SightingsInquiry
from ccstore.logs import RateLimit
from ccstore.message import INT64_MAX, Message, Series
from ccstore.query import STREAM_LABELS, Selection
from ccstore.timing import SECOND, nanoseconds

#: What the events are called.
NAME: Final = "template_new"
_HOUR: Final = 3600.0
#: Seconds between two words in the log on the same thing.
_WARN_EVERY: Final = 600.0


@frozen
class AnnouncingBounds:
    """How much is told.

    :ivar every: seconds between two looks.
    :ivar overlap: seconds that a look goes back behind the one before: messages may come late by so much.
    :ivar most: events in an hour.
    :ivar known: templates that are kept in mind; when there are more, nothing is told any more.
    """

    every: float = 30.0
    overlap: float = 120.0
    most: int = 60
    known: int = 200_000


class NewTemplates:
    """Looks every now and then at what came in.

    What was there before is learnt from the store at the start. The looks are questions like any other, so
    that nothing is done for each message as it comes in.

    :param ask: answers a question.
    :param accept: stores messages.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        ask: Callable[[SightingsInquiry], Deferred[Mapping[str, Sighting]]],
        accept: Callable[[Batch], Deferred[Any]],
        bounds: AnnouncingBounds | None = None,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._accept = accept
        self._bounds = bounds or AnnouncingBounds()
        self._known: set[str] | None = None
        self._looked_at = 0
        self._hour, self._told = 0, 0
        self._warnings = RateLimit(clock, _WARN_EVERY)
        self._call = LoopingCall(lambda: Deferred.fromCoroutine(self._surely()))
        self._call.clock = clock

    def start(self) -> None:
        """The store is open."""
        self._call.start(self._bounds.every)

    def stop(self) -> None:
        """Look no more."""
        if self._call.running:
            self._call.stop()

    async def _surely(self) -> None:
        """A LoopingCall would end for ever."""
        try:
            await self._look()
        except StoreError as error:
            self._warn("store", f"the store cannot be asked for new templates: {error}")
        except Exception:
            self.log.failure("new templates cannot be looked for")

    async def _look(self) -> None:
        now = nanoseconds(self._clock.seconds())
        if self._known is None:
            self._known = {*(await self._ask(SightingsInquiry(Selection(), NAME)))}
            self._looked_at = now
            return
        begin = self._looked_at - nanoseconds(self._bounds.overlap)
        found = await self._ask(SightingsInquiry(Selection(begin=begin, end=INT64_MAX + 1), NAME))
        new = {template: seen for template, seen in found.items() if template not in self._known}
        if len(self._known) + len(new) > self._bounds.known:
            self._warn(
                "known", f"there are more than {self._bounds.known} templates: new ones are not told of"
            )
            return
        told = [*new.items()][: self._left(now)]
        if len(told) < len(new):
            left = len(new) - len(told)
            self._warn("most", f"{left} more templates are new: {self._bounds.most} an hour are told of")
        if told:
            await self._accept(Batch.of([_event(template, seen, now) for template, seen in told]))
        # Only now: what could not be stored is told next time.
        self._told += len(told)
        self._known |= new.keys()
        self._looked_at = now

    def _left(self, now: int) -> int:
        """How many may still be told in this hour."""
        hour = int(now // (_HOUR * SECOND))
        if hour != self._hour:
            self._hour, self._told = hour, 0
        return max(0, self._bounds.most - self._told)

    def _warn(self, what: str, text: str) -> None:
        if self._warnings.check(what) is not None:
            self.log.warn("{text}", text=text)


def _event(template: str, seen: Sighting, now: int) -> Message:
    labels = dict(zip(STREAM_LABELS, seen.stream, strict=True))
    tags = {tag: value for tag in ("cluster", "hostname") if (value := labels[tag])}
    text = json.dumps(
        {"template": template, "name": labels["name"], "example": seen.example, "count": seen.messages},
        ensure_ascii=False,
    )
    return Message(Series(NAME, tags, "event"), text, now)
