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
from typing import Any, TypeVar

from ccstore.storage.dbfile.content import Content, Foreign
from ccstore.storage.dbfile.place import FileChanged as FileChanged
from ccstore.storage.dbfile.place import Place
from ccstore.storage.dbfile.sql import Say

_Result = TypeVar("_Result")


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
        self._place = Place(path, self._name)
        self._content = Content()
        # Open until the end: to close it would take the locks from the connections of this process.
        self._descriptor: int | None = None
        self._overwritten: str | None = None
        self._damage: str | None = None

    def begin(self) -> None:
        """The file at the path is the one that is opened now; raises OSError."""
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self._place.begin(self._descriptor)
        self._content.begin(self._descriptor)

    def end(self) -> None:
        """No connection of this process has it open any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        self._content.forget_index()
        self._place.end()
        self._overwritten = self._damage = None

    def forget_others(self) -> None:
        """The process that writes has ended: whoever closed the file last has removed what is beside it."""
        self._content.forget_index()
        self._place.forget_others()

    @property
    def is_damaged(self) -> bool:
        """What is in the file is not what was written."""
        return bool(self._overwritten or self._damage)

    def check(self) -> os.stat_result:
        """Raises :class:`FileChanged` if the files at the paths are not those that are open."""
        if self._overwritten is not None:
            raise FileChanged(self._overwritten, is_content=True)
        return self._place.check()

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
        if self._place.knows_others:
            found = self._content.look(there)
            if found is not Foreign.NOTHING:
                self._tell_of(found, there.st_size)
        elif is_used:
            self._content.use_index(self._place.find_others())
            self._content.note(there)

    def _tell_of(self, found: Foreign, size: int) -> None:
        if found is Foreign.TOUCHED:
            self._say(
                f"another program has written into {self._name} while it was open, or set its time: whether"
                f" it is damaged, says sqlite3 {self._path} 'PRAGMA quick_check'"
            )
            return
        before = self._content.size
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
