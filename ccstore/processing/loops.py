"""Functions that try a predicate on each item of a list: ``any(values(tags), # startsWith 'a')``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import frozen

from ccstore.processing.nodes import BOOLEAN, UNKNOWN, ConditionFailed, Node, asking, spend
from ccstore.processing.operations import LISTS, Failed, add, kind_of
from ccstore.processing.subject import Subject

#: Items with their indexes, and what the predicate says of the one at hand.
_Walk = Iterable[tuple[int, Any]]
_Try = Callable[[], Any]


@frozen
class Loop:
    """What one of these functions does.

    :ivar kind: of what comes out.
    :ivar asks: the predicate is a condition.
    :ivar is_optional: without a predicate, the items themselves are meant.
    :ivar is_backwards: it begins with the last item.
    """

    function: Callable[[_Walk, _Try], Any]
    kind: str
    asks: bool = True
    is_optional: bool = False
    is_backwards: bool = False

    def run(self, items: Node, predicate: Node, place: int, name: str) -> Callable[[Subject], Any]:
        """
        Run it.

        :param place: among those of the subject, of the item; that of its index is the next.
        """
        function, get, position = self.function, items.run, items.position
        trying = asking(predicate) if self.asks else predicate.run

        def loop(subject: Subject) -> Any:
            given = get(subject)
            if not isinstance(given, LISTS):
                raise ConditionFailed(position, f"{name} expects a list, got {kind_of(given)}")

            def attempt() -> Any:
                found = trying(subject)
                spend(subject, found, position)
                return found

            try:
                return function(self._walk(subject, given, place), attempt)
            except Failed as failed:
                raise ConditionFailed(position, str(failed)) from None

        return loop

    def _walk(self, subject: Subject, items: Any, place: int) -> Iterator[tuple[int, Any]]:
        places = subject.places
        indexes = range(len(items))
        for index in reversed(indexes) if self.is_backwards else indexes:
            places[place] = items[index]
            places[place + 1] = index
            yield index, items[index]


def _one(walk: _Walk, attempt: _Try) -> bool:
    return _count(walk, attempt) == 1


def _count(walk: _Walk, attempt: _Try) -> int:
    return sum(1 for _ in walk if attempt())


def _find(walk: _Walk, attempt: _Try) -> Any:
    return next((item for _, item in walk if attempt()), None)


def _find_index(walk: _Walk, attempt: _Try) -> int | None:
    return next((index for index, _ in walk if attempt()), None)


def _sum(walk: _Walk, attempt: _Try) -> Any:
    total: Any = 0
    for _ in walk:
        total = add(attempt(), total)
    return total


LOOPS: Final[Mapping[str, Loop]] = {
    "all": Loop(lambda walk, attempt: all(attempt() for _ in walk), BOOLEAN),
    "any": Loop(lambda walk, attempt: any(attempt() for _ in walk), BOOLEAN),
    "none": Loop(lambda walk, attempt: not any(attempt() for _ in walk), BOOLEAN),
    "one": Loop(_one, BOOLEAN),
    "count": Loop(_count, "a number", is_optional=True),
    "filter": Loop(lambda walk, attempt: [item for _, item in walk if attempt()], "a list"),
    "map": Loop(lambda walk, attempt: [attempt() for _ in walk], "a list", asks=False),
    "find": Loop(_find, UNKNOWN),
    "findIndex": Loop(_find_index, UNKNOWN),
    "findLast": Loop(_find, UNKNOWN, is_backwards=True),
    "findLastIndex": Loop(_find_index, UNKNOWN, is_backwards=True),
    "sum": Loop(_sum, UNKNOWN, asks=False, is_optional=True),
}
