"""A message as rules see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import time as now
from typing import Any

from ccstore.message import FieldValue, Kind, classify


class Subject:
    """
    A message on its way through the rules.

    The mappings are never changed but replaced, so that they may be shared.

    :ivar meta: what is known besides the message; it ends with the rules.
    :ivar fields: with the one that is stored; empty while only the series is looked at.
    :ivar time: nanoseconds since the epoch.
    :ivar clock: gives the seconds since the epoch now.
    :ivar places: of the condition that is being asked: its variables, and the items that it looks at.
    :ivar effort: that it may still make.
    """

    __slots__ = (
        "clock",
        "effort",
        "fields",
        "has_new_fields",
        "kind",
        "meta",
        "name",
        "places",
        "tags",
        "time",
    )
    places: list[Any]
    effort: int

    def __init__(
        self,
        name: str,
        tags: Mapping[str, str],
        meta: Mapping[str, str],
        kind: Kind,
        fields: Mapping[str, FieldValue],
        time: int,
        clock: Callable[[], float] = now,
    ) -> None:
        self.name = name
        self.tags = tags
        self.meta = meta
        self.kind = kind
        self.fields = fields
        self.time = time
        self.clock = clock
        self.has_new_fields = False

    def set_fields(self, fields: Mapping[str, FieldValue]) -> None:
        """Other fields, which may make it a message of another kind."""
        self.fields = fields
        self.kind = classify(self.tags, fields)
        self.has_new_fields = True
