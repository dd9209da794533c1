"""Where and when messages of one template came."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from attrs import evolve, frozen

from ccstore.insight.said import HOST
from ccstore.insight.study import Study, each_row
from ccstore.masking import template_of
from ccstore.message import StreamKey
from ccstore.query import Row, Selection, TextCondition

_PLACEHOLDER: Final = re.compile(r"<[a-z0-9_]+>")
#: Parts of a template that are looked for, and characters that they have at least.
_MOST_PARTS: Final = 3
_SHORTEST: Final = 3


class Occurrence(NamedTuple):
    """One message; ``time`` is in nanoseconds."""

    time: int
    host: str
    cluster: str
    row: Row


@frozen
class Target:
    """Messages that are asked about: those of a selection, and of a template if one is given."""

    selection: Selection
    template: str | None = None

    def found(self, most: int) -> Study[tuple[list[Occurrence], bool]]:
        """The newest of them, in the order of time, and whether there are more."""
        found: list[Occurrence] = []

        def take(row: Row, stream: StreamKey) -> None:
            host = stream[HOST] or ""
            if self.template is None or template_of(row.text, host) == self.template:
                found.append(Occurrence(row.time, host, stream[0] or "", row))

        texts = (*self.selection.texts, *_parts(self.template or ""))
        selection = evolve(self.selection, texts=texts, is_newest_first=True, limit=None, after=None)
        is_cut = yield from each_row(selection, most, take)
        return found[::-1], is_cut


def _parts(template: str) -> Sequence[TextCondition]:
    """What texts of a template have in any case."""
    stripped = {part.strip() for part in _PLACEHOLDER.split(template)}
    parts = sorted(stripped, key=lambda part: (-len(part), part))
    return [
        # LIKE, which makes no difference between small and capital letters, is soon done.
        TextCondition("contains", part, ignores_case=part.isascii())
        for part in parts[:_MOST_PARTS]
        if len(part) >= _SHORTEST
    ]
