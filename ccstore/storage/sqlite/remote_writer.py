"""A writer that has a process of its own do the work."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from ccstore.batch import Batch
from ccstore.errors import CommitUnknown, StoreError
from ccstore.storage.dbfile.watch import FileChanged, Watch
from ccstore.storage.sqlite.announcing import Announcer
from ccstore.storage.sqlite.packer import StorePacker
from ccstore.storage.sqlite.sizes import AnnouncingLimits
from ccstore.storage.sqlite.store_writer import StoreHousekeeping, StoreWriter
from ccstore.storage.sqlite.writer import State
from ccstore.storage.sqlite.writer_calls import Call
from ccstore.storage.sqlite.writer_client import ProcessEnded, WriterProcess

_Result = TypeVar("_Result")


class RemotePacker(StorePacker):
    """See :class:`ccstore.storage.sqlite.packer.Packer`.

    :param ask: has the process do something.
    """

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def begin(self, before: int, small_before: int) -> tuple[Any, ...] | None:
        plan: tuple[Any, ...] | None = self._ask(Call.PACK_BEGIN, before, small_before)
        return plan

    def insert(self, target: int, number: int, block: tuple[Any, ...]) -> bool:
        return bool(self._ask(Call.PACK_INSERT, target, number, block))

    def index(self, target: int, part: int, chunks: Sequence[tuple[Any, ...]]) -> bool:
        return bool(self._ask(Call.PACK_INDEX, target, part, chunks))

    def publish(self, target: int, census: tuple[Any, ...]) -> bool:
        return bool(self._ask(Call.PACK_PUBLISH, target, census))

    def abandon(self, target: int, is_for_good: bool) -> None:
        self._ask(Call.PACK_ABANDON, target, is_for_good)

    def tidy(self) -> bool:
        return bool(self._ask(Call.PACK_TIDY))


class RemoteHousekeeping(StoreHousekeeping):
    """See :class:`ccstore.storage.sqlite.store_writer.StoreHousekeeping`.

    :param withdraw: called before anything is asked for, so that nothing counts as announced any more.
    """

    # In one: each method is one call of the process that writes, and most of them are one line.
    def __init__(self, process: WriterProcess, withdraw: Callable[[], None]) -> None:
        self._process = process
        self._withdraw = withdraw
        self._packer = RemotePacker(self._ask)

    @property
    def packer(self) -> RemotePacker:
        return self._packer

    def retain(self, retention: int, rules: Sequence[Any]) -> None:
        self._process.retain(retention, rules)
        self._ask(Call.RETAIN, retention, rules)

    def hold(self, packed: Sequence[Any]) -> int:
        return int(self._ask(Call.HOLD, packed))

    def release(self, number: int) -> bool:
        return bool(self._ask(Call.RELEASE, number))

    def make_room(self) -> int:
        return int(self._ask(Call.MAKE_ROOM))

    def tend(self, now: int) -> None:
        self._ask(Call.TEND, now)

    def expire(self, cutoff: int) -> int:
        return int(self._ask(Call.EXPIRE, cutoff))

    def divide(self) -> bool:
        return bool(self._ask(Call.DIVIDE))

    def merge(self) -> bool:
        return bool(self._ask(Call.MERGE))

    def count(self) -> bool:
        return bool(self._ask(Call.COUNT))

    def mask(self) -> bool:
        return bool(self._ask(Call.MASK))

    def give_back(self) -> bool:
        return bool(self._ask(Call.GIVE_BACK))

    def checkpoint(self) -> None:
        self._ask(Call.CHECKPOINT)

    def figures(self) -> dict[str, int]:
        return dict(self._ask(Call.FIGURES))

    def _ask(self, call: Call, *arguments: object) -> Any:
        self._withdraw()
        return self._process.ask(call, *arguments)


class RemoteWriter(StoreWriter):
    """See :class:`ccstore.storage.sqlite.store_writer.StoreWriter`.

    :param watch: of the file, for this process; the other one has its own.
    """

    def __init__(self, process: WriterProcess, watch: Watch, limits: AnnouncingLimits) -> None:
        self._process = process
        self._watch = watch
        self._announcer = Announcer(process, limits)
        self.housekeeping = RemoteHousekeeping(process, self._announcer.withdraw)
        # A batch that may be committed or not, and the ids that were the last before it.
        self._doubtful: tuple[Batch, Mapping[str, int]] | None = None

    @property
    def state(self) -> State:
        return self._process.state

    def prepare(self, messages: Batch) -> None:
        self._announcer.prepare(messages)

    def announce(self, parts: Sequence[Batch]) -> None:
        self._announcer.announce(parts)

    def guard(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        watch = self._watch
        watch.check_content()
        try:
            # The process looks at the file itself. Started again, it could not know which one it is to be.
            if self._process.is_running:
                return work(*arguments)
            watch.forget_others()
            watch.check()
            result = work(*arguments)
        except FileChanged as error:
            if error.is_content and not watch.is_damaged:
                watch.overwritten(str(error))
            raise
        watch.look(is_used=True)
        return result

    def write(self, messages: Batch) -> None:
        """Commit all of these messages; raises :class:`CommitUnknown` if it is not known whether they are."""
        process = self._process
        process.start()
        if self._doubtful is not None and self._doubtful[0] is messages:
            lasts, self._doubtful = self._doubtful[1], None
            if process.state.lasts != lasts:
                return
        lasts = process.state.lasts
        rest = self._announcer.rest(messages.parts or (messages,))
        try:
            process.ask(Call.WRITE, rest.goes_on, rest.known, rest.new, attached=rest.pieces)
        except ProcessEnded as ended:
            self._doubtful = (messages, lasts)
            raise CommitUnknown(str(ended)) from None
        except BaseException:
            self._announcer.forget()  # who knows how far it got
            raise

    def close(self) -> None:
        # If the log is not brought into the file now, it is at the next start.
        with suppress(sqlite3.Error, StoreError):
            self.guard(self.housekeeping.checkpoint)
        if self._watch.is_damaged:
            # At its close, SQLite would write the log into what somebody has put in the file's place.
            self._process.kill()
        else:
            self._process.close()
