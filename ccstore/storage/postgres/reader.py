"""How queries are answered."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool

from ccstore.interfaces import QueryTimeout
from ccstore.storage.cancelling import cancellable
from ccstore.storage.postgres.asking import Asking
from ccstore.storage.postgres.connections import Cancelled, Connections, Link, unavailable
from ccstore.storage.postgres.driver_errors import translate
from ccstore.storage.reading.dialect import Dialect, Question
from ccstore.storage.reading.statement import Reading, Rows, Statement

_T = TypeVar("_T")

#: Seconds that the server may take to notice that a query took too long.
_GRACE: Final = 2.0
_TOO_LONG: Final = "the query took too long"


@frozen
class _Answer(Generic[_T]):
    """What a question came to."""

    value: _T


def _go_on(reading: Reading[_T], rows: Rows | None) -> Statement | _Answer[_T]:
    """The next statement, or the answer."""
    try:
        return reading.send(rows)  # type: ignore[arg-type]
    except StopIteration as stop:
        return _Answer(stop.value)


class Reader:
    """Answers queries, each list of them from one snapshot, over connections of their own.

    :ivar queries: that were asked.
    """

    def __init__(self, connections: Connections, reactor: Any, dialect: Dialect) -> None:
        self._dialect = dialect
        self._connections = connections
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self.queries = 0

    def read(self, question: Question[_T], timeout: float) -> Deferred[_T]:
        """See :meth:`IBackend.read`; whoever cancels it gives it up."""
        self.queries += question.count
        asking = Asking(self._clock)
        return cancellable(
            Deferred.fromCoroutine(self._read_in_time(question, timeout, asking)), asking.give_up
        )

    async def _read_in_time(self, question: Question[_T], timeout: float, asking: Asking) -> _T:
        deadline = self._clock.seconds() + timeout
        try:
            async with self._connections.connection() as link:
                if self._left(deadline) <= 0:
                    raise QueryTimeout(_TOO_LONG)
                # A server that does not answer at all ends nothing.
                guard = self._clock.callLater(self._left(deadline) + _GRACE, link.close)
                try:
                    with asking.on(link):
                        return await self._answer(link, question, deadline, asking)
                except BaseException:
                    if asking.is_given_up:
                        await asking.end(link)
                        raise CancelledError from None
                    if not guard.active():
                        raise QueryTimeout(_TOO_LONG) from None
                    raise
                finally:
                    if guard.active():
                        guard.cancel()
        except Cancelled as error:
            if self._left(deadline) <= 0.05:
                raise QueryTimeout(_TOO_LONG) from None
            raise unavailable(str(error), self._connections.where) from None
        except Exception as error:
            translated = translate(error, self._connections.where)
            if translated is error:
                raise
            raise translated from error

    def _left(self, deadline: float) -> float:
        return deadline - self._clock.seconds()

    async def _answer(self, link: Link, question: Question[_T], deadline: float, asking: Asking) -> _T:
        try:
            await link.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {self._limit(deadline)}")
            answer = await self._read(link, question, deadline, asking)
            await link.execute("COMMIT")
        except Exception:
            if link.pollable() is not None and not link.closed:
                try:
                    await link.execute("ROLLBACK")
                except Exception:
                    link.close()
            raise
        return answer

    async def _read(self, link: Link, question: Question[_T], deadline: float, asking: Asking) -> _T:
        reading = question.reading(self._dialect)
        rows: Rows | None = None
        is_heavy = question.is_heavy
        while True:
            step: Statement | _Answer[_T]
            if is_heavy:
                step = await deferToThreadPool(
                    self._reactor, self._reactor.getThreadPool(), _go_on, reading, rows
                )
            else:
                step = _go_on(reading, rows)
            if isinstance(step, _Answer):
                return step.value
            asking.check()
            if rows is not None:
                await link.execute(self._limit(deadline))
            named = {f"p{number}": value for number, value in enumerate(step.parameters, 1)}
            rows = await link.execute(step.sql, **named)
            # To unpack what is packed takes longer than the reactor could wait.
            is_heavy = is_heavy or step.has_bytes

    def _limit(self, deadline: float) -> str:
        left = self._left(deadline)
        if left <= 0:
            raise QueryTimeout(_TOO_LONG)
        return f"SET LOCAL statement_timeout = {min(max(1, int(left * 1000)), 2**31 - 1)}"
