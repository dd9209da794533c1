"""What is said of an answer that is empty: most often a name is not quite right."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Callable, Collection, Sequence
from itertools import takewhile
from operator import eq
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from ccstore.query import Selection
from ccstore.spellings import other_hosts, other_names

#: Names that are looked at for the one that was meant.
_MOST: Final = 100_000
#: Those of them that are looked at in one go, that are compared closely, and characters of these.
_AT_A_TIME: Final = 1000
_COMPARED: Final = 30
_LONGEST: Final = 100
#: Losses that are told one by one.
_LOSSES: Final = 3
#: Labels in whose values people make mistakes, and what these are called.
_NAMED: Final = (("cluster", "cluster"), ("hostname", "host"), ("name", "name"))


class Names(Protocol):
    """Whoever knows the values of a label."""

    async def known(self, label: str, *, most: int) -> Sequence[str]:
        """Values of a label of streams, of which there may be more."""


async def notice_of(
    selection: Selection,
    service: Names,
    turn: Callable[[], Deferred[None]],
    *,
    nothing: str = "the store is empty",
) -> str | None:
    """Why a selection has no messages, if it is because there is no such cluster, host or name.

    :param turn: fires when there is time to go on, see :meth:`Scheduler.turn`.
    :param nothing: what to say if no values are known.
    """
    for label, called in _NAMED:
        wanted = _wanted(selection, label)
        if not wanted:
            continue
        known = await service.known(label, most=_MOST)
        if not {*wanted}.intersection(known):
            missing = wanted
            near = _otherwise(label, missing[0][:_LONGEST], known)
            near = near or await _nearest(missing[0], known, turn)
            meant = f", the nearest is {near[0]!r}" if near else ""
            if not known:
                meant = f": {nothing}"
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            return f"there is no {called} {missing[0][:60]!r}{more}{meant}"
    return None


def notice_of_losses(losses: Sequence[str]) -> str | None:
    """What is said of messages that cannot be read."""
    more = f"; and {len(losses) - _LOSSES} more" if len(losses) > _LOSSES else ""
    return "; ".join(losses[:_LOSSES]) + more if losses else None


def _otherwise(label: str, name: str, known: Collection[str]) -> Sequence[str]:
    """The same name as it is known, if it is only written in another way."""
    ways = other_hosts(name) if label == "hostname" else other_names(name)
    written = {*ways}.intersection(known)
    return [way for way in ways if way in written]


async def _nearest(name: str, known: Sequence[str], turn: Callable[[], Deferred[None]]) -> Sequence[str]:
    """The one of the names that is most like this one, if any is."""
    name = name[:_LONGEST]
    some: list[str] = []
    for start in range(0, len(known), _AT_A_TIME):
        await turn()
        # To compare two names well takes long: only those are compared that begin and end alike.
        part = (*some, *known[start : start + _AT_A_TIME])
        some = heapq.nlargest(_COMPARED, part, key=lambda each: _alike(name, each))
    return difflib.get_close_matches(name, [each for each in some if len(each) <= _LONGEST], 1, 0.5)


def _alike(one: str, other: str) -> int:
    """How many characters two names have in common at their ends, less what one is longer."""
    return _common(one, other) + _common(one[::-1], other[::-1]) - abs(len(one) - len(other))


def _common(one: str, other: str) -> int:
    return sum(takewhile(bool, map(eq, one, other)))


def _wanted(selection: Selection, label: str) -> Sequence[str]:
    if label == "cluster" and selection.clusters:
        return selection.clusters
    for matcher in selection.matchers:
        if matcher.label == label and matcher.op == "=":
            return [value for value in matcher.values if value]
    return ()
