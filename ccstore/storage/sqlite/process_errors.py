"""The errors that the processes that write and read answer with."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from ccstore.errors import QueryTimeout, StoreError, StoreUnavailable
from ccstore.storage.dbfile.watch import FileChanged

#: Errors by the number that is sent; each is one to the other process, with its text. Of those that are of
#: several of these classes, the first counts.
_ERRORS: Final[dict[int, type[Exception]]] = {
    1: FileChanged,
    2: StoreUnavailable,
    16: QueryTimeout,
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
    17: MemoryError,
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
