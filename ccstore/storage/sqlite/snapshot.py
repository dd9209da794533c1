"""Reading a file that another program made and may still have open, as its last commit left it."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ccstore.interfaces import StoreError

#: Where SQLite locks a file, as first byte and number of them: in all, and for reading. See its ``os.h``.
_LOCKS: Final = 0x40000000, 512
_SHARED: Final = 0x40000002, 510
_FLOCK: Final = "hhqqi"  # struct flock of Linux
_BLOCK: Final = 1 << 20
#: What the check says of pages; anything else is about values, which may be odd.
_DAMAGE: Final = ("*** in database", "Tree ", "Page ", "Freelist")


@contextmanager
def snapshot(path: Path, scratch: Path, *, wait: float = 10.0) -> Iterator[sqlite3.Connection]:
    """A connection that sees all that is committed, in one transaction, and changes nothing.

    Where that takes a change, since a writer was killed and its journal has to be rolled back, or since
    nothing can be made beside the file, it is made to a copy. Raises :class:`StoreError`, which has to be
    put behind the name of the file: it is locked, damaged, or cannot be read.

    :param scratch: a folder with room for that copy.
    :param wait: seconds for which others may have the file locked.
    """
    try:
        connection = _connect(path, wait)
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise _in_use(path) from None
        if not isinstance(error, sqlite3.OperationalError):
            raise StoreError(f"cannot be read: {error}") from None
        with _copied(path, scratch) as copy:
            connection = _connect_to_copy(copy)
            try:
                yield connection
            finally:
                connection.close()
        return
    try:
        yield connection
    finally:
        connection.close()


def _connect(path: Path, wait: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        timeout=wait,
        check_same_thread=False,
    )
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_copy(path: Path) -> sqlite3.Connection:
    """Let SQLite roll back what is in the journal, or bring in what is in the write-ahead log."""
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        finally:
            connection.close()
        return _connect(path, 0.0)
    except sqlite3.Error as error:
        raise StoreError(f"cannot be read: {error}") from None


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Look for what a writer without a journal leaves behind when it is killed; it takes reading the file."""
    # Not by opening the file: closing it would drop the locks that SQLite has on it in this process.
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == "wal":  # the log has what is not committed
        return
    try:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if "malformed" not in str(error):
            raise
        said = f"{_DAMAGE[0]}\n{error}"
    if said.startswith(_DAMAGE):
        raise StoreError(
            f"is damaged ({said.splitlines()[-1]}): nothing is taken from it; take a backup, or what "
            f"`sqlite3 {path.name} .recover | sqlite3 recovered.db` can save"
        )


@contextmanager
def _copied(path: Path, scratch: Path) -> Iterator[Path]:
    """A copy of the file, and of what lies beside it, while nobody writes to it."""
    try:
        folder = TemporaryDirectory(prefix=f"{path.name}-copy-", dir=scratch)
    except OSError as error:
        raise StoreError(f"a copy has to be made, and cannot: {scratch}: {error.strerror}") from None
    with folder as name:
        copy = Path(name) / path.name
        try:
            # It is read by the descriptor that has the lock: closing any other would drop it.
            with path.open("rb") as file, copy.open("wb") as out:
                # What a reader has: whoever would write waits.
                start, length = _SHARED
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, length, start)
                _refuse_if_held(file.fileno())
                for suffix in ("-journal", "-wal"):
                    beside = path.with_name(path.name + suffix)
                    if beside.exists():
                        shutil.copyfile(beside, copy.with_name(copy.name + suffix))
                shutil.copyfileobj(file, out, _BLOCK)
                _refuse_if_held(file.fileno())
        except BlockingIOError:
            raise _in_use(path) from None
        except OSError as error:
            where = error.filename or scratch
            raise StoreError(f"a copy has to be made, and cannot: {where}: {error.strerror}") from None
        yield copy


def _holder(descriptor: int) -> int:
    """The process that has a lock on the file, if only as a reader; 0 if none has."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, *_LOCKS, 0)
    kind, *_, process = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return 0 if kind == fcntl.F_UNLCK else int(process)


def _refuse_if_held(descriptor: int) -> None:
    # With a write-ahead log, writers have the lock of a reader.
    holder = _holder(descriptor)
    if holder:
        raise _locked(holder)


def _in_use(path: Path) -> StoreError:
    try:
        with path.open("rb") as file:
            return _locked(_holder(file.fileno()))
    except OSError:
        return _locked(0)


def _locked(holder: int) -> StoreError:
    who = f"process {holder}" if holder > 0 else "another program"
    return StoreError(f"is locked by {who}: stop it, and give the command again; nothing is taken from it")
