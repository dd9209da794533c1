"""Answering questions, from a view that has all that was accepted before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ccstore.interfaces import IBackend, QueryTimeout, StoreError
from ccstore.query import Page, Selection
from ccstore.storage.committer import Committer
from ccstore.storage.group_commit import GroupCommit
from ccstore.storage.queue import Queue
from ccstore.storage.reading.pages import Limits, Pages
from ccstore.storage.retention import Retention


@frozen
class Patience:
    """How long a query waits for messages that were accepted before it and are not committed yet.

    :ivar seconds: that it waits at most; a database may take no writes just now.
    :ivar flood: messages behind the batch that is being written, above which it waits only
        ``flood_seconds``, and not at all if they are more than another batch.
    """

    seconds: float = 2.0
    flood: int = 1000
    flood_seconds: float = 0.01


#: That of a daemon.
PATIENCE: Final = Patience()


class Answering:
    """Has a backend answer questions.

    :param flush: lets what was accepted be written at once.
    :ivar queries: that were asked.
    :ivar waits: of them, how often one had to wait for a commit.
    """

    log = Logger()

    def __init__(
        self,
        backend: IBackend,
        clock: IReactorTime,
        queue: Queue,
        group_commit: GroupCommit,
        committer: Committer,
        retention: Retention,
        flush: Callable[[], None],
        patience: Patience,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._queue = queue
        self._group_commit = group_commit
        self._committer = committer
        self._retention = retention
        self._flush = flush
        self._patience = patience
        self.queries = 0
        self.waits = 0

    async def pages(
        self, selections: Sequence[Selection], limits: Limits, timeout: float, with_tags: bool
    ) -> Sequence[Page]:
        """See :meth:`ccstore.interfaces.IMessageStore.pages`."""
        self.queries += len(selections)
        await self._catch_up()
        question = Pages(selections, self._retention.cutoff(), limits, with_tags)
        committer = self._committer
        try:
            pages: Sequence[Page] = await self._backend.read(question, timeout=timeout)
        except QueryTimeout:
            raise
        except StoreError as error:
            committer.count_error("query_exec_failed")
            # What keeps messages from being written has been said.
            is_news = str(error) != committer.failure
            if is_news and committer.warnings.check(("query", str(error))) is not None:
                self.log.error("a query failed: {reason}", reason=error)
            raise
        return pages

    async def _catch_up(self) -> None:
        """Wait until what is accepted now is committed.

        What is acknowledged is committed anyway. So nobody waits for a database that takes no writes, nor
        for long in a flood.
        """
        newest = self._queue.newest  # offers are committed in order, so it stands for all
        if newest is None or not newest.is_open or self._committer.failure is not None:
            return
        waiting, patience = self._queue.waiting, self._patience
        behind = waiting.behind if self._group_commit.is_writing else 0
        if behind > waiting.bounds.together:
            return
        self.waits += 1
        caught_up: Deferred[None] = Deferred()

        def done(result: object) -> object:
            if not caught_up.called:
                caught_up.callback(None)
            return result

        newest.committed.addBoth(done)
        seconds = patience.flood_seconds if behind > patience.flood else patience.seconds
        timer = self._clock.callLater(seconds, done, None)
        self._flush()
        await caught_up
        if timer.active():
            timer.cancel()
