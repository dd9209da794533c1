"""The connections of an HTTP port, and who of them has to go when there are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from ccstore.network.open_files import file_limit

#: Of the open files of the process, one part in so many is for the connections of one HTTP port.
_PART_OF_FILES: Final = 4
_FEWEST: Final = 8


class Connection(Protocol):
    """A connection, as far as it counts.

    :ivar host: whose it is.
    """

    host: str

    def make_room(self) -> None:
        """Close it at once, since another one needs its place."""

    def break_off(self) -> None:
        """End now; an answer that is not complete must not look so."""

    def loseConnection(self) -> None:
        """Close it when what is to be sent is sent."""


class Waiting(Enum):
    """What a connection waits for, and for how many seconds it must have before it has to make room.

    In the order in which they have to.
    """

    HEAD = 0.0
    REQUEST = 0.01  # after another one
    BODY = 0.1
    ANSWER = 5.0  # to be taken by the client


class Connections:
    """
    The connections of a port, of which there is a limit.

    When it is reached, one that waits for its client makes room for the next one, see :class:`Waiting`. So
    whoever opens connections and says nothing keeps nobody out.

    :param most: connections; 0 for as many as there are files for.
    :param per_address: connections of one address; 0 for no limit.
    :param files: tells how many files may be open.
    """

    def __init__(
        self, clock: IReactorTime, most: int, per_address: int, files: Callable[[], int] = file_limit
    ) -> None:
        self._clock = clock
        self._most = most
        self._per_address = per_address
        self._files = files
        self._all: dict[Connection, Waiting | None] = {}
        self._by_host: Counter[str] = Counter()
        # Since when, in the order in which they began to wait.
        self._waiting: dict[Waiting, dict[Connection, float]] = {kind: {} for kind in Waiting}

    def set_limits(self, most: int, per_address: int) -> None:
        """Go on with other limits; whoever is connected stays so."""
        self._most = most
        self._per_address = per_address

    def __len__(self) -> int:
        return len(self._all)

    @property
    def most(self) -> int:
        """How many there may be now."""
        by_files = max(_FEWEST, self._files() // _PART_OF_FILES)
        return min(self._most, by_files) if self._most else by_files

    def refusal(self, host: str) -> str | None:
        """Why there is no place for one more connection, if there is none and none can be made."""
        if host and self._per_address and self._by_host[host] >= self._per_address:
            return f"there are {self._per_address} of this address already"
        most = self.most
        if len(self._all) < most or self._make_room():
            return None
        return f"there are {most} already, and all of them are busy"

    def _make_room(self) -> bool:
        now = self._clock.seconds()
        for kind, waiting in self._waiting.items():
            for connection, since in waiting.items():
                if now - since < kind.value:
                    break
                self.remove(connection)
                connection.make_room()
                return True
        return False

    def add(self, connection: Connection) -> None:
        """A new connection, which waits for the head of its first request."""
        self._all[connection] = None
        self._by_host[connection.host] += 1
        self.waits(connection, Waiting.HEAD)

    def remove(self, connection: Connection) -> None:
        """A connection is over, or about to be."""
        if connection in self._all:
            self.waits(connection, None)
            del self._all[connection]
            self._by_host[connection.host] -= 1
            if not self._by_host[connection.host]:
                del self._by_host[connection.host]

    def waits(self, connection: Connection, kind: Waiting | None) -> None:
        """A connection begins to wait for its client, or with None no longer does."""
        if connection not in self._all:
            return  # it has made room already
        before = self._all[connection]
        if before is not None:
            del self._waiting[before][connection]
        if kind is not None:
            self._waiting[kind][connection] = self._clock.seconds()
        self._all[connection] = kind

    def all(self) -> list[Connection]:
        """All that are open."""
        return list(self._all)
