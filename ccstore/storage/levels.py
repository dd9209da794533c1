"""The levels of many messages, for a census."""

from __future__ import annotations

from collections.abc import Sequence

from ccstore.query import level_in


class Levels:
    """The levels that messages have, by their other tags, as JSON; many have the same ones.

    :param most: tags that are kept in mind.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str | None, str] = {}

    def of(self, othertags: Sequence[str | None]) -> list[str]:
        """The level of each; an empty text if they say none."""
        known = self._known
        try:
            return [*map(known.__getitem__, othertags)]
        except KeyError:
            unknown = {*othertags}.difference(known)
        if len(known) + len(unknown) > self._most:
            known.clear()
            unknown = {*othertags}
        for tags in unknown:
            known[tags] = level_in(tags)
        return [*map(known.__getitem__, othertags)]
