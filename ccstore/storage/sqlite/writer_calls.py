"""What the process that writes is asked for, and the errors that it answers with."""

from __future__ import annotations

import sqlite3
from enum import Enum
from typing import Any, Final

from attrs import astuple, frozen

from ccstore.errors import StoreError, StoreUnavailable
from ccstore.storage.dbfile.watch import FileChanged
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


@frozen
class Opening:
    """The first thing that is sent: what the process has to know before it can do anything.

    :ivar path: of the file.
    :ivar pragmas: for the connection.
    :ivar retention: nanoseconds after which events expire.
    :ivar now: the time in nanoseconds since the epoch.
    """

    path: str
    pragmas: dict[str, str]
    retention: int
    now: int
    sizes: SegmentSizes

    def pack(self) -> tuple[Any, ...]:
        """As it is sent."""
        return (self.path, self.pragmas, self.retention, self.now, astuple(self.sizes))

    @classmethod
    def unpack(cls, sent: tuple[Any, ...]) -> Opening:
        """As it was before it was sent."""
        path, pragmas, retention, now, sizes = sent
        return cls(path, pragmas, retention, now, SegmentSizes(*sizes))


#: Errors by the number that is sent; each is one to the other process, with its text. Of those that are of
#: several of these classes, the first counts.
_ERRORS: Final[dict[int, type[Exception]]] = {
    1: FileChanged,
    2: StoreUnavailable,
    3: StoreError,
    4: sqlite3.DataError,
    5: sqlite3.IntegrityError,
    6: sqlite3.InternalError,
    7: sqlite3.NotSupportedError,
    8: sqlite3.OperationalError,
    9: sqlite3.ProgrammingError,
    10: sqlite3.DatabaseError,
    11: sqlite3.InterfaceError,
    12: sqlite3.Error,
    13: OverflowError,
    14: ValueError,
    15: OSError,
}
#: An error of our own making, such as a wrong index.
_OTHER: Final = 0


def pack_error(error: Exception) -> tuple[Any, ...]:
    """An error as it is sent."""
    if isinstance(error, FileChanged):
        return (1, str(error), error.is_content, error.is_done)
    for code, kind in _ERRORS.items():
        if isinstance(error, kind):
            return (code, str(error))
    return (_OTHER, f"{type(error).__name__}: {error}")


def unpack_error(code: int, text: str, *flags: bool) -> Exception:
    """An error as it was raised, or a RuntimeError for what is not expected."""
    if flags:
        return FileChanged(text, *flags)
    return _ERRORS.get(code, RuntimeError)(text)
