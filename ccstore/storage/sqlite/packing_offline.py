"""Packing a file while no daemon has it open."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from shutil import disk_usage
from typing import Any, Final

from ccstore.errors import StoreError
from ccstore.permissions import PRIVATE
from ccstore.storage.dbfile.sql import Say, set_pragmas
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.bulk import BulkWriter
from ccstore.storage.sqlite.dialect import SqliteDialect
from ccstore.storage.sqlite.packing_run import Ask, Do, Packed, Steps, pack_once, tidy
from ccstore.storage.sqlite.pragmas import PRAGMAS
from ccstore.storage.sqlite.reader import Reader, ReadingConnection
from ccstore.storage.sqlite.sizes import SIZES, Sizes

#: Seconds that one question may take: nobody waits for it but us.
_PATIENCE: Final = 86400.0


class OfflinePacking:
    """Packs all that is old enough, step by step; everything blocks, in one thread.

    :param path: absolute; the file has to be there.
    :param pragmas: for each connection, besides what is always set.
    :param retention: seconds after which events expire.
    :param say: tells people what goes wrong.
    :param has_words: what is packed gets an index of words.
    :param mode: of the file and those beside it.
    :param now: the time in nanoseconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        pragmas: Mapping[str, str],
        *,
        retention: float,
        say: Say,
        mode: int = PRIVATE,
        has_words: bool = True,
        sizes: Sizes = SIZES,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path = path
        self._pragmas = {**PRAGMAS, **pragmas}
        self._sizes = sizes
        self._has_words = has_words
        self._bulk = BulkWriter(
            path, pragmas, retention=retention, say=say, mode=mode, sizes=sizes.segments, now=now
        )
        self._reader = Reader(SqliteDialect(), is_alone=True)

    def open(self) -> None:
        """Open the file; raises :class:`StoreError` in one clear line, such as when a daemon has it."""
        if not self._path.exists():
            raise StoreError(f"there is no file {self._path}")
        self._bulk.open()

    def close(self) -> None:
        """Close the file, complete without its write-ahead log. What was begun is begun again next time."""
        self._bulk.close()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._path.stat().st_size

    def begin(self, before: int) -> int:
        """Close what is still open, if all of it came in before a time (ns); the same as :meth:`to_do`."""
        self._bulk.do(self._bulk.housekeeping.seal_before, before)
        return self.to_do(before)

    def to_do(self, before: int) -> int:
        """Messages that came in before a time (ns) and are not packed."""
        return self._bulk.housekeeping.packer.to_do(before)

    def run(self, before: int) -> Iterator[Packed]:
        """Pack what came in before a time (ns); yields how far it is. Raises :class:`StoreError`."""
        housekeeping = self._bulk.housekeeping
        opened = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        with closing(opened), self._bulk.errors():
            set_pragmas(opened, self._pragmas)
            reading = ReadingConnection(opened)
            while self._bulk.do(housekeeping.count):
                pass  # of a file from before there were any censuses
            while True:
                self._check_room()
                steps = pack_once(
                    housekeeping.packer, before, before, self._sizes.tiles, has_words=self._has_words
                )
                is_done = yield from self._take(steps, reading)
                yield from self._take(tidy(housekeeping.packer), reading)
                while self._bulk.do(housekeeping.give_back):
                    pass
                if not is_done:
                    break
            self._bulk.do(housekeeping.checkpoint)

    def _take(self, steps: Steps, reading: ReadingConnection) -> Generator[Packed, None, bool]:
        """Take the steps, yield how far they are, and return what they come to."""
        result: Any = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as stop:
                return bool(stop.value)
            result = None
            if isinstance(step, Do):
                result = self._bulk.do(step.work, *step.arguments)
            elif isinstance(step, Ask):
                result = self._reader.read(reading, step.question, Asking(_PATIENCE))
            else:
                yield step

    def _check_room(self) -> None:
        free, margin = disk_usage(self._path.parent).free, self._sizes.packing_margin
        if free < margin:
            raise StoreError(
                f"{self._path.parent} has {free >> 20} MB free, and packing needs {margin >> 20} MB: "
                "make room, and give the command again"
            )
