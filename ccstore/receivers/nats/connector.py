"""Keeping up a connection to a NATS server: a server that is away is waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.receivers.nats.client import Connection
from ccstore.receivers.nats.reasons import CLOSED, NatsError, why
from ccstore.receivers.nats.server_log import ServerLog
from ccstore.receivers.nats.subscription import MESSAGES, Subscription
from ccstore.timing import Backoff

#: Seconds after which a connection counts as good, and the next attempt comes as soon as a first.
_GOOD_AFTER: Final = 5.0
#: Seconds that a server has to answer at the stop.
_READ_OUT: Final = 2.0


class Connector:
    """See the module.

    :param connect: makes a new connection, or raises whatever stands in the way.
    :param subject: for people.
    :param opened: called when messages come by a new connection.
    :ivar connection: the one that messages come by, or None.
    """

    log = Logger()

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        subscription: Subscription,
        clock: IReactorTime,
        backoff: Backoff,
        server_log: ServerLog,
        subject: str,
        opened: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._subscription = subscription
        self._clock = clock
        self._backoff = backoff
        self._server_log = server_log
        self._subject = subject
        self._opened = opened
        self._running: Deferred[None] | None = None
        self._is_stopping = False
        self._opens = 0
        self._slowness = _Slowness()
        self.connection: Connection | None = None

    def start(self) -> None:
        """Begin to connect, and never give up."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self._running.addErrback(lambda failure: self.log.failure("the NATS receiver has ended", failure))

    def stop(self) -> None:
        """Take no more than what is on its way, and connect no more."""
        self._is_stopping = True
        if self.connection is not None:
            self.connection.unsubscribe(MESSAGES)
        elif self._running is not None:
            running, self._running = self._running, None
            running.cancel()

    async def hear_out(self) -> None:
        """Wait, but not long, for what the server has sent so far, and until it has done what it was told."""
        if self.connection is not None:
            # What the server answers comes behind all that it has sent before.
            await whatever(self.connection.ping(), _READ_OUT, self._clock)

    async def close(self) -> None:
        """End the connection, if there is one."""
        connection = self.connection
        if connection is not None:
            connection.close()
            gone: Deferred[None] = Deferred()
            connection.closed.chainDeferred(gone)  # type: ignore[arg-type]
            await whatever(gone, _READ_OUT, self._clock)
            connection.fail("closed")

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return Figures(
            connected=gauge(self.connection is not None, "Whether there is a connection to the NATS server."),
            reconnects=counter(max(0, self._opens - 1), "Connections to the NATS server after the first."),
            slow_consumer=counter(
                self._slowness.times, "Times the server closed the connection, since too little was read."
            ),
        )

    async def _run(self) -> None:
        while True:
            began = self._clock.seconds()
            try:
                connection = await self._open()
            except CancelledError:
                raise
            except Exception as error:
                if self._is_stopping:
                    return  # that was the reason, whatever the endpoint makes of it
                self._server_log.away("no connection", why(error))
            else:
                reason = await self._until_lost(connection)
                if self._is_stopping:
                    return
                if self._slowness.is_it(connection, reason):
                    self._was_too_slow()
                self._server_log.away("connection lost", reason)
                if self._clock.seconds() - began >= _GOOD_AFTER:
                    self._backoff.reset()
            await deferLater(self._clock, self._backoff.next())

    async def _open(self) -> Connection:
        """A connection by which messages come; raises whatever stands in the way."""
        connection = await self._connect()
        try:
            await connection.ready
            await self._subscription.attach(connection)
        except BaseException:
            self._subscription.detach()
            connection.fail("given up")
            raise
        return connection

    async def _until_lost(self, connection: Connection) -> str:
        self.connection = connection
        self._opens += 1
        if self._slowness.was_it(connection):
            self._was_too_slow()
        self._opened()
        self._server_log.connected(connection.server.name, self._subject)
        reason = await connection.closed
        self.connection = None
        self._subscription.detach()
        return reason

    def _was_too_slow(self) -> None:
        fate = "will come again" if self._subscription.acknowledges else "may be lost"
        self._server_log.complain(
            "the server has closed the connection because we were too slow for what it had to send; "
            f"messages {fate}"
        )


class _Slowness:
    """Tells whether it was for our slowness that a server closed a connection.

    To whom it cannot send any more, a server has no words either. So if one closes a connection without a
    word, and it is the same one that we find then, it was that; one that was started anew has another name.

    :ivar times: how often it was.
    """

    def __init__(self) -> None:
        self._left_by: str | None = None  # the server that has closed the last connection without a word
        self.times = 0

    def is_it(self, connection: Connection, reason: str) -> bool:
        """Whether a connection ended for that, if it can be told already."""
        self._left_by = connection.server.id if reason == CLOSED else None
        return self._count(is_slow="slow consumer" in reason.lower())

    def was_it(self, connection: Connection) -> bool:
        """Whether the last connection ended for that, by what the next one is."""
        left_by, self._left_by = self._left_by, None
        return self._count(is_slow=left_by is not None and left_by == connection.server.id)

    def _count(self, *, is_slow: bool) -> bool:
        self.times += is_slow
        return is_slow


async def whatever(answered: Deferred[Any], seconds: float, clock: IReactorTime) -> None:
    """Wait, for what comes or does not, but no longer than so many seconds."""
    answered.addTimeout(seconds, clock)
    with suppress(NatsError, TimeoutError, CancelledError):
        await answered
