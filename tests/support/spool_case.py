"""A service with a spool, whose database may be away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from ccstore.batch import Batch
from ccstore.interfaces import CommitUnknown, Refusal, StoreError, StoreUnavailable
from ccstore.storage.spool import Spool, SpoolFile
from ccstore.storage.spool.file import SIZES, Sizes
from tests.support.scratch import scratch
from tests.support.stores import NOW, SECOND, MemoryBackend, messages, storage_service

RETENTION = 3600.0
AWAY = "the server is away"


class Remote(MemoryBackend):
    """A database that may be away, and may lose the news of a commit.

    :ivar is_away: it takes nothing.
    :ivar forgets: it commits, and then says that it is away.
    :ivar held: writes wait for it, if there is one.
    :ivar offered: the texts and the id of each write.
    :ivar committed: called with the texts of each write that has succeeded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_away = self.forgets = False
        self.held: Deferred[None] | None = None
        self.refused = ""
        self._numbers: dict[int, int] = {}  # of batches of which it lost the news
        self._lasts: dict[int, Mapping[str, int]] = {}  # of those, by their numbers
        self.offered: list[tuple[list[str], int | None]] = []
        self.committed: Callable[[list[str]], None] = lambda texts: None

    def write(self, messages: Batch, batch_id: int | None = None) -> Deferred[Mapping[str, int]]:
        texts = [message.text for message in messages]
        if batch_id is None:
            batch_id = self._numbers.get(id(messages))
        if texts:
            self.offered.append((texts, batch_id))
        if self.is_away:
            return fail(StoreUnavailable(AWAY))
        if batch_id not in self._batches and self.refused and self.refused in texts:
            return fail(StoreError("no NUL, please"))
        if self.held is not None and texts:
            answer: Deferred[Mapping[str, int]] = Deferred()
            self.held.addCallback(
                lambda _: super(Remote, self).write(messages, batch_id).chainDeferred(answer)
            )
            return answer
        is_there = batch_id in self._batches
        written = super().write(messages, batch_id)
        if is_there:
            return succeed(self._lasts.get(batch_id or 0, {}))
        self.committed(texts)
        if self.forgets and texts:
            # As a database does that draws the ids of batches itself.
            self._numbers[id(messages)] = number = batch_id or len(self._numbers) + 1
            self._batches.add(number)
            written.addCallback(partial(self._lasts.__setitem__, number))
            return fail(CommitUnknown(AWAY, number))
        return written

    def forgets_its_own(self) -> None:
        """Be what another process finds: it knows which batches there are, and no more of them."""
        self._lasts.clear()
        self._numbers.clear()


class SpoolCase(TestCase):
    """A service with a spool, on a clock of the test and a database that may be away."""

    timeout = 60

    def setUp(self) -> None:
        self.path = scratch(self) / "spool.db"
        self.backend = Remote()
        self.clock = Clock()
        self.clock.advance(NOW // SECOND)
        self.service: Any = None
        self.addCleanup(self.stop)

    def start(
        self, max_size: int = 10**9, *, file: SpoolFile | None = None, sizes: Sizes = SIZES, **changes: Any
    ) -> None:
        """A new service; an earlier one must have been stopped."""
        self.spool = Spool(self.path, file or SpoolFile(max_size, sizes), reactor)
        self.service = storage_service(
            self.backend, self.clock, retention=RETENTION, spool=self.spool, **changes
        )
        self.service.startService()
        self.loaded = self.spool.messages
        self.unreadable = self.figures["unreadable"]

    async def stop(self) -> None:
        if self.service is not None:
            self.service, ending = None, self.service
            ended = ending.stopService()
            while not ended.called:
                self.clock.advance(0)  # for what was to happen later, and is to happen now
                await deferLater(reactor, 0.001)
            await ended

    def on_disk(self) -> dict[str, bytes]:
        """The file and its log, as a process that is killed now would leave them."""
        files = {suffix: self.path.with_name(f"spool.db{suffix}") for suffix in ("", "-wal")}
        return {suffix: file.read_bytes() for suffix, file in files.items() if file.exists()}

    async def crash(self, left: dict[str, bytes] | None = None) -> None:
        """What a killed process leaves behind: nothing of it but the file as it was when it was killed.

        :param left: the same, from an earlier time.
        """
        left = left or self.on_disk()
        await self.stop()
        for suffix, content in left.items():
            self.path.with_name(f"spool.db{suffix}").write_bytes(content)

    def accept(
        self, texts: Sequence[str], *, urgent: bool = False, **more: Any
    ) -> Deferred[Sequence[Refusal]]:
        accepted: Deferred[Sequence[Refusal]] = self.service.accept(messages(texts, **more), urgent=urgent)
        self.service.flush()
        return accepted

    async def until(self, condition: Any) -> None:
        """Let time pass until something is so; the test's timeout ends it if it never is."""
        while not condition():
            self.clock.advance(1.0)
            await deferLater(reactor, 0.001)

    def is_sent(self) -> bool:
        """All that was in the spool or came into it is accounted for."""
        figures = self.figures
        gone = figures["sent"] + figures["expired"] + figures["refused"]
        gone += figures["unreadable"] - self.unreadable
        return self.spool.is_empty and bool(gone == self.loaded + figures["added"])

    async def until_sent(self) -> None:
        await self.until(lambda: self.is_sent() and self.service.unreadiness() is None)

    def stored(self, kind: Any = "event") -> list[str]:
        return [message.text for message in self.backend.stored(kind)]

    @property
    def figures(self) -> Any:
        status = self.service.stats()["manager"]["status"]
        return {key.removeprefix("spool_"): value for key, value in status.items() if "spool_" in key}
