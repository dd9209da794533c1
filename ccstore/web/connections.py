"""The connections of an HTTP port, and who of them has to go when there are too many."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

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

    def loseConnection(self) -> None:
        """Close it when what is to be sent is sent."""


def open_files() -> int:
    """How many files the process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft


class Connections:
    """
    The connections of a port, of which there is a limit.

    When it is reached, whoever has waited longest without a request goes, at first of those whose request has
    not arrived yet, then of those between two requests. So whoever opens connections and says nothing keeps
    nobody out.

    :param most: connections; 0 for as many as there are files for.
    :param per_address: connections of one address; 0 for no limit.
    :param files: tells how many files may be open.
    """

    def __init__(self, most: int, per_address: int, files: Callable[[], int] = open_files) -> None:
        self._most = most
        self._per_address = per_address
        self._files = files
        self._all: set[Connection] = set()
        self._by_host: Counter[str] = Counter()
        # In the order in which they began to wait.
        self._arriving: dict[Connection, None] = {}
        self._idle: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def most(self) -> int:
        by_files = max(_FEWEST, self._files() // _PART_OF_FILES)
        return min(self._most, by_files) if self._most else by_files

    def refusal(self, host: str) -> str | None:
        """Why there is no place for one more connection, if there is none and none can be made."""
        if host and self._per_address and self._by_host[host] >= self._per_address:
            return f"there are {self._per_address} of this address already"
        most = self.most
        if len(self._all) >= most:
            for waiting in (self._arriving, self._idle):
                if waiting:
                    next(iter(waiting)).make_room()
                    break
            else:
                return f"there are {most} already, and all of them have requests"
        return None

    def add(self, connection: Connection) -> None:
        self._all.add(connection)
        self._by_host[connection.host] += 1
        self._arriving[connection] = None

    def remove(self, connection: Connection) -> None:
        if connection not in self._all:
            return
        self._all.discard(connection)
        self._by_host[connection.host] -= 1
        if not self._by_host[connection.host]:
            del self._by_host[connection.host]
        self.has_request(connection)

    def is_arriving(self, connection: Connection) -> None:
        """A request has begun to arrive."""
        self._idle.pop(connection, None)
        self._arriving.setdefault(connection)

    def has_request(self, connection: Connection) -> None:
        """A request has arrived, or its body is on the way: this one does not have to make room."""
        self._arriving.pop(connection, None)
        self._idle.pop(connection, None)

    def is_idle(self, connection: Connection) -> None:
        """A request is answered, and there is no other yet."""
        self._arriving.pop(connection, None)
        self._idle[connection] = None

    def all(self) -> list[Connection]:
        return list(self._all)
