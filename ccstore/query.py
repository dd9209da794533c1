"""What can be asked of a store, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from attrs import frozen


@frozen
class Query:
    """Messages of one cluster and kind, where each given value must be equal; None matches anything.

    :ivar begin: first nanosecond that matches.
    :ivar end: last nanosecond that matches.
    """

    cluster: str
    kind: Literal["event", "log"] = "event"
    begin: int = -(2**63)
    end: int = 2**63 - 1
    name: str | None = None
    hostname: str | None = None
    type: str | None = None
    typeid: str | None = None
    stype: str | None = None
    stypeid: str | None = None


class Row(NamedTuple):
    """A message that was found; rows order by time, then by arrival.

    :ivar time: nanoseconds since the epoch.
    :ivar id: rises with the order of arrival among the messages of one kind.
    """

    time: int
    id: int
    text: str


@frozen
class Page:
    """The first rows, in order, that match a query; ``is_cut`` if there are more."""

    rows: Sequence[Row]
    is_cut: bool = False
