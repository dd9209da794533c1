"""Whether anybody but SQLite has written into a database."""

from __future__ import annotations

import os
from enum import Enum
from typing import Final

#: The beginning of a file, with its size and the count of its changes, see https://sqlite.org/fileformat.html.
_HEADER: Final = 100
#: In the index of the write-ahead log: which log it is (two salts), and how many of its pages have come into
#: the file or are on their way there. See https://sqlite.org/walformat.html#the_wal_index_file_format.
_INDEX: Final = 136
_SALTS: Final = slice(32, 40)
_BACKFILLED: Final = slice(96, 100)
_BACKFILL_ATTEMPTED: Final = slice(128, 132)


class Foreign(Enum):
    """What another program has done to a file."""

    NOTHING = 0
    #: It has set its time, or written where nothing can be seen of it.
    TOUCHED = 1
    OVERWRITTEN = 2


class Content:
    """What a database looked like the last time: its size, its time, its beginning, and its checkpoints.

    SQLite itself writes into the file at a checkpoint only, whoever makes that.
    """

    def __init__(self) -> None:
        self._descriptor = -1
        self._index: int | None = None
        self._stamp = (0, 0)  # size and time of the last change
        self._content = (0, b"")  # size and header
        self._checkpoints = b""

    def begin(self, descriptor: int) -> None:
        """It is the content of the file with this descriptor."""
        self._descriptor = descriptor

    def use_index(self, path: str) -> None:
        """From now on, checkpoints are seen in the index of the log at this path."""
        self._index = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def forget_index(self) -> None:
        """There may be another index of the log from now on."""
        if self._index is not None:
            os.close(self._index)
        self._index = None

    @property
    def size(self) -> int:
        """Bytes of the file, the last time."""
        return self._content[0]

    def note(self, there: os.stat_result) -> None:
        """This is what it looks like now."""
        self._stamp = (there.st_size, there.st_mtime_ns)
        self._content = (there.st_size, self._read_header())
        self._checkpoints = self._read_checkpoints()

    def look(self, there: os.stat_result) -> Foreign:
        """What another program has done to it since the last time; it is noted, unless it is overwritten."""
        checkpoints = self._read_checkpoints()
        found = Foreign.NOTHING
        if (there.st_size, there.st_mtime_ns) != self._stamp:
            if checkpoints == self._checkpoints:
                if (there.st_size, self._read_header()) != self._content:
                    return Foreign.OVERWRITTEN
                found = Foreign.TOUCHED
            self.note(there)
        self._checkpoints = checkpoints
        return found

    def _read_header(self) -> bytes:
        return os.pread(self._descriptor, _HEADER, 0)

    def _read_checkpoints(self) -> bytes:
        """Different after each checkpoint that has written something."""
        if self._index is None:
            return b""
        index = os.pread(self._index, _INDEX, 0)
        return index[_SALTS] + index[_BACKFILLED] + index[_BACKFILL_ATTEMPTED]
