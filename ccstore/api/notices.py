"""What is said of an answer that is empty: most often a name is not quite right."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from ccstore.query import Selection
from ccstore.reading.query_service import QueryService

#: Names that are looked at for the one that was meant.
_MOST: Final = 100_000
#: Labels in whose values people make mistakes, and what these are called.
_NAMED: Final = (("cluster", "cluster"), ("hostname", "host"), ("name", "name"))


async def notice_of(selection: Selection, service: QueryService) -> str | None:
    """Why a selection has no messages, if it is because there is no such cluster, host or name."""
    for label, called in _NAMED:
        wanted = _wanted(selection, label)
        if not wanted:
            continue
        known = await service.known(label, most=_MOST)
        missing = [value for value in wanted if value not in known]
        if missing and len(missing) == len(wanted):
            near = difflib.get_close_matches(missing[0], known, 1, 0.5)
            meant = f", the nearest is {near[0]!r}" if near else ""
            if not known:
                meant = ": the store is empty"
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            return f"there is no {called} {missing[0][:60]!r}{more}{meant}"
    return None


def _wanted(selection: Selection, label: str) -> Sequence[str]:
    if label == "cluster" and selection.clusters:
        return selection.clusters
    for matcher in selection.matchers:
        if matcher.label == label and matcher.op == "=":
            return [value for value in matcher.values if value]
    return ()
