"""A question that several processes answer together, see :mod:`ccstore.storage.reading.stretches`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults

from ccstore.storage.reading.dialect import Division, Question
from ccstore.storage.reading.stretches import Beginning, Joining, Stretch, StretchQuestion
from ccstore.storage.sqlite.asking import Asking

_T = TypeVar("_T")

#: Processes that work for one question at a time.
AT_ONCE: Final = 2


class Read(Protocol):
    """Has a question answered by some process."""

    def __call__(self, question: Question[_T], asking: Asking, /) -> Deferred[_T]: ...


class _Parts:
    """What a query is busy with that is asked in parts, see :class:`ccstore.storage.sqlite.asking.Busy`."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._each: list[Asking] = []

    def another(self) -> Asking:
        """To ask a part with."""
        self._asking.check()
        part = self._asking.part()
        self._each.append(part)
        return part

    def interrupt(self) -> None:
        """Nobody waits for any of them any more."""
        for part in self._each:
            part.give_up()

    def set_progress_handler(self, handler: Callable[[], bool] | None, steps: int, /) -> None:
        """Each has its own."""


async def read_in_stretches(read: Read, question: Question[_T], division: Division[_T], asking: Asking) -> _T:
    """The answer to a question, in stretches of its time if it takes much.

    :param division: that of the question.
    """
    parts = _Parts(asking)
    with asking.on(parts):
        begun = await read(Beginning(question, division), parts.another())
        if not begun.left:
            answer: _T = begun.answer
            return answer
        found = await _Together(read, parts, begun.left).answers()
        return await read(Joining(division, [*begun.found, *found]), parts.another())


class _Together:
    """Questions of which some are asked at a time, in their order, until the answers are enough."""

    def __init__(self, read: Read, parts: _Parts, questions: Sequence[StretchQuestion]) -> None:
        self._read = read
        self._parts = parts
        self._questions = questions
        self._next = 0
        #: Those from here on are not needed, since one is enough, or has failed.
        self._end = len(questions)
        self._running: dict[int, Asking] = {}
        self._found: dict[int, Stretch] = {}

    async def answers(self) -> list[Stretch]:
        """Theirs, up to the first one that is enough."""
        working = [Deferred.fromCoroutine(self._work()) for _ in range(AT_ONCE)]
        try:
            await gatherResults(working, consumeErrors=True)
        except FirstError as failed:
            failed.subFailure.raiseException()
        return [self._found[place] for place in range(self._end)]

    async def _work(self) -> None:
        while self._next < self._end:
            place = self._next
            self._next += 1
            asking = self._running[place] = self._parts.another()
            try:
                found = await self._read(self._questions[place], asking)
            except BaseException:
                if place >= self._end:
                    return  # it was given up
                self._end_at(0)
                raise
            finally:
                del self._running[place]
            self._found[place] = found
            if found.is_enough:
                self._end_at(place + 1)

    def _end_at(self, end: int) -> None:
        """Nobody needs what comes from there on."""
        self._end = min(self._end, end)
        for place, asking in self._running.items():
            if place >= end:
                asking.give_up()
