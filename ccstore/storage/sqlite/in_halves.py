"""A question that two processes answer together, see :mod:`ccstore.storage.reading.halves`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

from ccstore.storage.reading.dialect import Division, Question
from ccstore.storage.reading.halves import Attempt, Half, Joining, halves_of
from ccstore.storage.sqlite.asking import Asking

_T = TypeVar("_T")


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


async def read_in_halves(read: Read, question: Question[_T], division: Division[_T], asking: Asking) -> _T:
    """The answer to a question, from two halves of its time if that is much.

    :param division: that of the question.
    """
    parts = _Parts(asking)
    with asking.on(parts):
        cut, answer = await read(Attempt(question, division), parts.another())
        if cut is None:
            whole: _T = answer
            return whole
        first, second = halves_of(division, cut)
        # The second begins at once: whether it is needed is known only when the first is through.
        behind = parts.another()
        coming = read(second, behind)
        try:
            halves = [await read(first, parts.another())]
        except BaseException:
            _give_up(behind, coming)
            raise
        if halves[0].is_enough:
            _give_up(behind, coming)
        else:
            halves.append(await coming)
        return await read(Joining(division, halves), parts.another())


def _give_up(asking: Asking, coming: Deferred[Half]) -> None:
    def forget(outcome: Any) -> None:
        """Nobody is told of it."""

    coming.addErrback(forget)
    asking.give_up()
