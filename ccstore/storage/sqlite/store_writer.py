"""What writes a store, as the backend calls it: the backend's thread by itself, or a process that it asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ccstore.batch import Batch
from ccstore.storage.sqlite.packer import StorePacker
from ccstore.storage.sqlite.writer import State

_Result = TypeVar("_Result")


class StoreHousekeeping(Protocol):
    """See :class:`ccstore.storage.sqlite.housekeeping.Housekeeping`; called in the writer's thread."""

    @property
    def packer(self) -> StorePacker:
        """What packing takes of a writer."""

    def retain(self, retention: int, rules: Sequence[Any]) -> None: ...

    def hold(self, packed: Sequence[Any]) -> int: ...

    def release(self, number: int) -> bool: ...

    def make_room(self) -> int: ...

    def tend(self, now: int) -> None: ...

    def expire(self, cutoff: int) -> int: ...

    def divide(self) -> bool: ...

    def merge(self) -> bool: ...

    def count(self) -> bool: ...

    def mask(self) -> bool: ...

    def give_back(self) -> bool: ...

    def checkpoint(self) -> None: ...

    def figures(self) -> dict[str, int]: ...


class StoreWriter(Protocol):
    """Called in the writer's thread, where nothing else is said. It has the file open.

    :ivar housekeeping: what is done besides writing messages.
    """

    housekeeping: StoreHousekeeping

    @property
    def state(self) -> State:
        """How it is after the last thing that was done; for any thread."""

    def prepare(self, messages: Batch) -> None:
        """See :meth:`ccstore.interfaces.IBackend.prepare`; called in the reactor's thread."""

    def announce(self, parts: Sequence[Batch]) -> None:
        """See :meth:`ccstore.interfaces.IBackend.announce`; called in the reactor's thread.

        Nothing must be done in the writer's thread meanwhile.
        """

    def guard(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Do something with the file while it is the one at the path, before and after it.

        Raises :class:`ccstore.storage.dbfile.watch.FileChanged`.
        """

    def write(self, messages: Batch) -> None:
        """Commit all of these messages, or raise what is wrong."""

    def close(self) -> None:
        """Close the file, complete without its write-ahead log."""
