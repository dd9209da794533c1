"""Errors of sqlite3 as errors of the store."""

from __future__ import annotations

import sqlite3
from typing import Final

from twisted.python.failure import Failure

from ccstore.errors import StoreError
from ccstore.storage.dbfile.database_file import DatabaseFile

#: What SQLite says when a message itself is at fault; anything else may pass.
_REFUSED: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    ValueError,
    OverflowError,
)


def translate(failure: Failure, file: DatabaseFile) -> Failure:
    """What went wrong with a file, as an error of the store if it is one."""
    error = failure.value
    if isinstance(error, _REFUSED):
        return Failure(StoreError(f"{error}"))
    if isinstance(error, sqlite3.Error):
        return Failure(file.unavailable(error))
    return failure
