"""Whether the files that are open are still those at their paths.

Whatever is done to a path, SQLite goes on with the file that it has opened, and what it commits there is gone
with the process. So it is looked at before and after each thing that is done.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE
from typing import Any, Final, TypeVar

from ccstore.errors import StoreUnavailable
from ccstore.storage.sqlite.explain import may_not
from ccstore.storage.sqlite.file import Say, beside

#: The beginning of a file, with its size and the count of its changes, see https://sqlite.org/fileformat.html.
_HEADER: Final = 100
#: In the index of the write-ahead log: which log it is (two salts), and how many of its pages have come into
#: the file or are on their way there. See https://sqlite.org/walformat.html#the_wal_index_file_format.
_INDEX: Final = 136
_SALTS: Final = slice(32, 40)
_BACKFILLED: Final = slice(96, 100)
_BACKFILL_ATTEMPTED: Final = slice(128, 132)
_Result = TypeVar("_Result")


class FileChanged(StoreUnavailable):
    """A file that is open was removed, replaced, overwritten, or may not be used any more.

    :ivar is_content: what is in it was changed, and not just its path.
    :ivar is_done: what was to be done was done, to the file that is open.
    """

    def __init__(self, reason: str, is_content: bool = False, is_done: bool = False) -> None:
        super().__init__(reason)
        self.is_content = is_content
        self.is_done = is_done


class Watch:
    """Watches the file at a path, and those that SQLite keeps beside it.

    Costs a few calls of stat(2). They are made where the file is written, which is mostly a process of its
    own: in a thread, each would wait for the interpreter lock. What looks is for one thread, what only checks
    for any.

    :param what: the file is, for people.
    """

    def __init__(self, path: Path, what: str, say: Say) -> None:
        self._path = path
        self._say = say
        self._name = f"the {what} {path}"
        # Open until the end: to close it would take the locks from the connections of this process.
        self._descriptor: int | None = None
        self._index: int | None = None
        self._inode = (0, 0)
        self._access: dict[str, tuple[int, int, int]] = {}
        self._beside: dict[str, tuple[int, int]] = {}
        self._stamp = (0, 0)  # size and time of the last change
        self._content = (0, b"")  # size and header
        self._checkpoints = b""
        self._overwritten: str | None = None
        self._damage: str | None = None

    def begin(self) -> None:
        """The file at the path is the one that is opened now; raises OSError."""
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        there = os.fstat(self._descriptor)
        self._inode = (there.st_dev, there.st_ino)
        self._check_access(str(self._path), there)

    def end(self) -> None:
        """No connection of this process has it open any more."""
        for descriptor in (self._descriptor, self._index):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._index = None
        self._beside = {}
        self._access = {}
        self._overwritten = self._damage = None

    def forget_others(self) -> None:
        """The process that writes has ended: whoever closed the file last has removed what is beside it."""
        if self._index is not None:
            os.close(self._index)
        self._index = None
        self._access = {path: access for path, access in self._access.items() if path not in self._beside}
        self._beside = {}

    @property
    def is_damaged(self) -> bool:
        """What is in the file is not what was written."""
        return bool(self._overwritten or self._damage)

    def check(self) -> os.stat_result:
        """Raises :class:`FileChanged` if the files at the paths are not those that are open."""
        if self._overwritten is not None:
            raise FileChanged(self._overwritten, is_content=True)
        try:
            there = os.stat(self._path)
        except OSError as error:
            raise FileChanged(self._gone(error)) from None
        if (there.st_dev, there.st_ino) != self._inode:
            raise FileChanged(
                f"{self._name} was replaced by another file while it was open: put the right one back, or"
                " restart ccstore to go on with the one that is there"
            )
        self._check_access(str(self._path), there)
        for path, inode in self._beside.items():
            try:
                found = os.stat(path)
                is_same = (found.st_dev, found.st_ino) == inode
            except OSError:
                is_same = False
            if not is_same:
                raise FileChanged(
                    f"{path}, which belongs to {self._name}, was removed or replaced while it was open:"
                    " restart ccstore"
                )
            self._check_access(path, found)
        return there

    def _check_access(self, path: str, there: os.stat_result) -> None:
        access = (there.st_mode, there.st_uid, there.st_gid)
        known = self._access.setdefault(path, access)
        if access != known:
            if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
                raise FileChanged(
                    f"{self._name} may not be used any more: {may_not(path, 'read and write')}; give it back"
                    f" its owner and its mode {S_IMODE(known[0]):04o}"
                )
            self._access[path] = access

    def check_content(self) -> None:
        """Raises :class:`FileChanged` if it is known that what is in the file is not what was written."""
        reason = self._overwritten or self._damage
        if reason is not None:
            raise FileChanged(reason, is_content=True)

    def guard(self, complete: Callable[[], object], work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Do something while the file is the one that is open, before and after it.

        :param complete: brings what is in the write-ahead log into the file that is open, wherever that is
            now. Left in the log, it would be lost, and spoil the file that is at the path by then.
        """
        try:
            self.look()
        except FileChanged as error:
            if not error.is_content:
                with suppress(sqlite3.Error):
                    complete()
            raise
        try:
            result = work(*arguments)
        except BaseException:
            self.look(is_used=True)  # what it says, if anything, explains any other failure
            raise
        try:
            self.look(is_used=True)
        except FileChanged as error:
            error.is_done = True
            raise
        return result

    def look(self, *, is_used: bool = False) -> None:
        """As :meth:`check`, and whether another program has written into the file since the last time.

        :param is_used: something was done with the file, so that SQLite has made what it keeps beside it.
        """
        self.check_content()
        there = self.check()
        if not self._beside:
            if is_used:
                self._find_others()
                self._note(there)
            return
        checkpoints = self._read_checkpoints()
        if (there.st_size, there.st_mtime_ns) != self._stamp:
            # SQLite itself writes into it at a checkpoint only, whoever makes that.
            if checkpoints == self._checkpoints:
                self._check_content_is(there.st_size, self._read_header())
            self._note(there)
        self._checkpoints = checkpoints

    def _check_content_is(self, size: int, header: bytes) -> None:
        before, _ = self._content
        if (size, header) == self._content:
            self._say(
                f"another program has written into {self._name} while it was open, or set its time: whether"
                f" it is damaged, says sqlite3 {self._path} 'PRAGMA quick_check'"
            )
            return
        sizes = f"; it had {before} bytes, and has {size} now" if size != before else ""
        self.overwritten(
            f"{self._name} was overwritten by another program while it was open{sizes}: stop ccstore, put the"
            f" right file there (if it is a backup, remove {self._path.name}-wal and {self._path.name}-shm),"
            " and start ccstore"
        )
        self.check_content()

    def condemn(self, reason: str) -> None:
        """SQLite has found the file damaged: nothing is written to it any more, until it is opened anew."""
        self._damage = self._damage or reason

    def overwritten(self, reason: str) -> None:
        """Another program has overwritten the file; whoever writes to it has noticed."""
        self._overwritten = self._overwritten or reason

    def _find_others(self) -> None:
        for path in beside(self._path):
            there = os.stat(path)
            self._beside[path] = (there.st_dev, there.st_ino)
            self._check_access(path, there)
        self._index = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def _gone(self, error: OSError) -> str:
        if not isinstance(error, FileNotFoundError):
            return f"{self._name} cannot be reached any more: {error.strerror}"
        assert self._descriptor is not None
        how = "moved away" if os.fstat(self._descriptor).st_nlink else "removed"
        return (
            f"{self._name} was {how} while it was open: put it back, or restart ccstore to begin with what is"
            " there then"
        )

    def _note(self, there: os.stat_result) -> None:
        self._stamp = (there.st_size, there.st_mtime_ns)
        self._content = (there.st_size, self._read_header())
        self._checkpoints = self._read_checkpoints()

    def _read_header(self) -> bytes:
        assert self._descriptor is not None
        return os.pread(self._descriptor, _HEADER, 0)

    def _read_checkpoints(self) -> bytes:
        """Different after each checkpoint that has written something."""
        if self._index is None:
            return b""
        index = os.pread(self._index, _INDEX, 0)
        return index[_SALTS] + index[_BACKFILLED] + index[_BACKFILL_ATTEMPTED]
