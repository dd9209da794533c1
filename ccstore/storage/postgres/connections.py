"""Asynchronous connections: a few of them, made when they are needed and again when they are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from twisted.internet.defer import CancelledError, DeferredLock, DeferredSemaphore
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from txpostgres.txpostgres import Connection, Cursor

from ccstore.interfaces import StoreUnavailable
from ccstore.storage.postgres.socket_watch import SocketWatch

CLOSED: Final = "the database is closed"
Rows = Sequence[tuple[Any, ...]]


class Session(Protocol):
    """What can run statements, at once or in time."""

    async def execute(self, statement: str, *parameters: object, **named: object) -> Rows:
        """Run a statement, or several without parameters; the rows of the last one.

        Parameters stand in order or have names.
        """


class Cancelled(Exception):
    """The server ended a statement: it took too long, or somebody wished so."""


def unavailable(text: str, where: object) -> StoreUnavailable:
    """What a database cannot do now. Whoever reads it may know of none, or of many.

    :param where: which one it is; it is shown as text.
    """
    return StoreUnavailable(f"the PostgreSQL database {where}: {text}")


class _LinkCursor(Cursor):  # type: ignore[misc]
    """A statement that runs; whoever waits for it is told when the connection is gone, and not the log."""

    def doRead(self) -> None:
        try:
            super().doRead()
        except Exception:
            # libpq has closed the socket, so that it cannot be asked.
            self._connection.close()

    def doWrite(self) -> None:
        try:
            super().doWrite()
        except Exception:
            self._connection.close()


class Link(Connection):  # type: ignore[misc]
    """A connection that is closed when it turns out to be dead, also while nothing is asked of it."""

    cursorFactory = _LinkCursor

    def __init__(self, reactor: Any) -> None:
        self._watch = SocketWatch(reactor, self._socket)
        super().__init__(self._watch)

    def _socket(self) -> int:
        """The number that libpq's socket has now, or -1."""
        connection = self._connection
        return -1 if connection is None or connection.closed else int(connection.fileno())

    def watch(self) -> None:
        """Learn of it when the server goes, while nobody asks anything."""
        self._watch.addReader(self)

    def close(self) -> None:
        """End it; whoever waits for an answer gets an error."""
        try:
            super().close()
        finally:
            self._watch.end()

    def doRead(self) -> None:
        try:
            super().doRead()
        except Exception:
            # Nobody waits for an answer, so there is nobody to tell.
            self.close()

    def doWrite(self) -> None:
        try:
            super().doWrite()
        except Exception:
            self.close()

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        connection = self._connection
        if not self._cursors and not self._pollingD and connection is not None and not connection.closed:
            self.close()

    async def execute(self, statement: str, *parameters: object, **named: object) -> Rows:
        """See :class:`Session`."""
        # Its cursor watches the socket now.
        self._watch.removeReader(self)
        cursor = self.cursor()
        try:
            await cursor.execute(statement, named or parameters or None)
        except CancelledError:
            raise Cancelled("the server cancelled a statement") from None
        return cursor.fetchall() if cursor.description is not None else ()

    @property
    def process(self) -> int:
        """The number of the process of the server, as ``pg_locks`` has it."""
        return int(self._connection.get_backend_pid())

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and not in the midst of something."""
        connection = self._connection
        return (
            not connection.closed
            and not connection.isexecuting()
            and connection.info.transaction_status == TRANSACTION_STATUS_IDLE
        )


class Connections:
    """Up to so many connections.

    :param dsn: gives what libpq needs to know for the next attempt.
    :ivar where: which database they lead to; it is shown to people as text.
    :param setup: statements for each new connection.
    :param timeout: seconds that an attempt to connect may take.
    :param limit: seconds after which a connection is closed under whoever has it: a server that is stuck does
        not say so.
    """

    def __init__(
        self,
        reactor: Any,
        dsn: Callable[[], str],
        *,
        where: object,
        size: int,
        setup: str,
        timeout: float,
        limit: float,
    ) -> None:
        self._reactor = reactor
        self._dsn = dsn
        self.where = where
        self._size = size
        self._setup = setup
        self._timeout = timeout
        self._limit = limit
        self._idle: list[Link] = []
        self._links: set[Link] = set()
        self._places = DeferredSemaphore(size)
        self._all = DeferredLock()
        self._is_closed = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Link]:
        """``async with`` a connection to oneself; one that is left in a transaction is given up."""
        await self._places.acquire()
        link = guard = None
        try:
            link = await self._get()
            guard = self._reactor.callLater(self._limit, link.close)
            yield link
        finally:
            if guard is not None and guard.active():
                guard.cancel()
            if link is not None:
                self._put_back(link)
            self._places.release()

    @asynccontextmanager
    async def nobody(self) -> AsyncIterator[None]:
        """``async with`` nobody having a connection."""
        await self._all.acquire()
        taken = 0
        try:
            while taken < self._size:
                await self._places.acquire()
                taken += 1
            yield
        finally:
            for _ in range(taken):
                self._places.release()
            self._all.release()

    async def _get(self) -> Link:
        if self._is_closed:
            raise StoreUnavailable(CLOSED)
        while self._idle:
            link = self._idle.pop()
            if link.is_usable:
                return link
            self._give_up(link)
        return await self._connect()

    async def _connect(self) -> Link:
        link = Link(self._reactor)
        # An asynchronous connection heeds no connect_timeout of libpq.
        timer = self._reactor.callLater(self._timeout, self._timed_out, link)
        self._links.add(link)
        try:
            await link.connect(self._dsn())
            await link.execute(self._setup)
            return link
        except BaseException as error:
            self._give_up(link)
            if not timer.active():
                raise unavailable(f"no connection within {self._timeout:g} s", self.where) from error
            raise
        finally:
            if timer.active():
                timer.cancel()

    def _timed_out(self, link: Link) -> None:
        self._links.discard(link)
        link.close()

    def _put_back(self, link: Link) -> None:
        if link.is_usable and not self._is_closed:
            try:
                link.watch()
            except ConnectionLost:
                self._give_up(link)
            else:
                self._idle.append(link)
        else:
            self._give_up(link)

    def _give_up(self, link: Link) -> None:
        self._links.discard(link)
        if link.pollable() is not None:
            link.close()

    def forget_idle(self) -> None:
        """Close what nobody uses, so that the next connection is a new one."""
        while self._idle:
            self._give_up(self._idle.pop())

    async def close(self) -> None:
        """Let nobody have a connection any more, and close them when those who have one are done."""
        self._is_closed = True
        async with self.nobody():
            self.forget_idle()

    def abort(self) -> None:
        """Close all connections now; whoever waits for an answer gets an error."""
        self._is_closed = True
        for link in tuple(self._links):
            self._give_up(link)
