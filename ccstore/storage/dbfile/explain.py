"""What SQLite says, in the terms of whoever has to mend it."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable
from contextlib import ExitStack
from grp import getgrgid
from pathlib import Path
from stat import S_IMODE
from typing import Final

from ccstore.storage.dbfile.sql import beside

#: Its words for a file that is damaged, and stays so.
DAMAGED: Final = ("database disk image is malformed", "file is not a database")
#: Files that SQLite may open at a time for a connection.
_FILES_NEEDED: Final = 8
_TOO_MANY_FILES: Final = "raise the limit of open files (LimitNOFILE= in the unit, or ulimit -n)"


def explain(error: Exception, path: Path) -> str:
    """What SQLite says of the file at a path, with what it means there, and what to do."""
    said = str(error)
    for words, meaning in _MEANINGS:
        if words in said:
            return f"{said}: {meaning(path)}"
    return said


def is_damage(error: Exception) -> bool:
    """Whether it will say the same again, until somebody puts another file there."""
    return str(error).startswith(DAMAGED)


def _damaged(path: Path) -> str:
    return (
        "the file is damaged; stop whatever uses it, and put a backup in its place, without"
        f" {path.name}-wal and {path.name}-shm, or save what can be read:"
        f" sqlite3 {path} .recover | sqlite3 NEW"
    )


def _no_database(path: Path) -> str:
    return (
        "it is no SQLite file, or its beginning is damaged; give the path of another file, or put a backup in"
        " its place"
    )


def _full(path: Path) -> str:
    return f"make room on the file system of {path.parent}, or raise the quota"


def _locked(path: Path) -> str:
    return f"another program has a transaction open in it; end that (`fuser -v {path}` shows who has it open)"


def _io_error(path: Path) -> str:
    return (
        "the system failed to read or write the file; look at the kernel's log (dmesg), the disk, and the"
        " limit of a file's size (ulimit -f)"
    )


def _unable(path: Path) -> str:
    if path.is_dir():
        return "this is a folder; give the path of a file"
    return _obstacle(path) or "see whether the file and its folder are there, and may be read and written"


def _readonly(path: Path) -> str:
    return _obstacle(path) or "it was moved or replaced while it was open; restart whatever uses it"


def _obstacle(path: Path) -> str | None:
    """What is in the way of reading and writing the file, if anything is."""
    folder = path.parent
    try:
        with ExitStack() as opened:
            for _ in range(_FILES_NEEDED):
                opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return f"the file system of {folder} is mounted read-only"
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            # Also where the file itself may be written.
            return f"SQLite makes files beside it, but {may_not(folder, 'write into the folder')}"
        for each in (str(path), *beside(path)):
            if os.path.exists(each) and not os.access(each, os.R_OK | os.W_OK, effective_ids=True):
                return may_not(each, "read and write")
        if not path.exists():
            return "there is no such file"
    except FileNotFoundError:
        return f"there is no folder {folder}"
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return f"too many open files: {_TOO_MANY_FILES}"
        return error.strerror
    return None


def may_not(path: Path | str, what: str) -> str:
    """Who may not do what with a file, whose it is, and what may be done with it."""
    there = os.stat(path)
    return (
        f"the user {_user(os.geteuid())} may not {what} {path}"
        f" (owner {_user(there.st_uid)}:{_group(there.st_gid)}, mode {S_IMODE(there.st_mode):04o})"
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return getgrgid(number).gr_name
    except KeyError:
        return str(number)


_MEANINGS: Final[tuple[tuple[str, Callable[[Path], str]], ...]] = (
    (DAMAGED[0], _damaged),
    (DAMAGED[1], _no_database),
    ("database or disk is full", _full),
    ("database is locked", _locked),
    ("database table is locked", _locked),
    ("disk I/O error", _io_error),
    ("unable to open database file", _unable),
    ("attempt to write a readonly database", _readonly),
    ("Too many open files", lambda path: _TOO_MANY_FILES),
)
