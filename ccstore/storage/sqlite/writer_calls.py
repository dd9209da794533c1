"""What the process that writes is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from attrs import astuple, frozen

from ccstore.storage.sqlite.sizes import SegmentSizes


class Call(Enum):
    """What may be asked for, by the number that is sent; the arguments are those of the method."""

    #: See :meth:`ccstore.storage.sqlite.writer.Writer.begin`. There is no answer to it.
    ANNOUNCE = 1
    #: See :meth:`ccstore.storage.sqlite.writer.Writer.write`.
    WRITE = 2
    # See the methods of :class:`ccstore.storage.sqlite.housekeeping.Housekeeping`.
    RETAIN = 3
    TEND = 4
    EXPIRE = 5
    DIVIDE = 6
    MERGE = 7
    GIVE_BACK = 8
    CHECKPOINT = 9
    FIGURES = 10
    COUNT = 11
    HOLD = 19
    RELEASE = 20
    MAKE_ROOM = 21
    # See the methods of :class:`ccstore.storage.sqlite.packer.Packer`.
    PACK_BEGIN = 12
    PACK_INSERT = 13
    PACK_INDEX = 14
    PACK_PUBLISH = 15
    PACK_ABANDON = 16
    PACK_TIDY = 17
    #: Of the housekeeping, as above.
    MASK = 18


@frozen
class Opening:
    """The first thing that is sent: what the process has to know before it can do anything.

    :ivar path: of the file.
    :ivar pragmas: for the connection.
    :ivar retention: nanoseconds after which events expire that no rule is about.
    :ivar rules: see :meth:`ccstore.keeping.KeepRule.pack`; None for those that the file has.
    :ivar now: the time in nanoseconds since the epoch.
    """

    path: str
    pragmas: dict[str, str]
    retention: int
    rules: Sequence[Any] | None
    now: int
    sizes: SegmentSizes

    def pack(self) -> tuple[Any, ...]:
        """As it is sent."""
        return (self.path, self.pragmas, self.retention, self.rules, self.now, astuple(self.sizes))

    @classmethod
    def unpack(cls, sent: tuple[Any, ...]) -> Opening:
        """As it was before it was sent."""
        path, pragmas, retention, rules, now, sizes = sent
        return cls(path, pragmas, retention, rules, now, SegmentSizes(*sizes))
