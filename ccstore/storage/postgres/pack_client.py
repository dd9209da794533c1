"""Packing older logs while the daemon runs, by a process of its own, at a rate that others can bear.

In a thread of the daemon it would hold up everything else, which waits for the same interpreter lock.
"""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ccstore.storage import process_channel
from ccstore.storage.pack_settings import Packing
from ccstore.storage.postgres.database import Address
from ccstore.storage.postgres.partitions import drop_packed
from ccstore.storage.postgres.pools import Pools
from ccstore.storage.postgres.sizes import PackingSizes, Sizes
from ccstore.timing import nanoseconds

#: What comes in goes before what is packed, where there is not time enough for both.
_NICENESS: Final = 10


class PackProcess:
    """The process, as the daemon sees it; it is started for the first step, and again when it is gone.

    :param timeout: seconds that an attempt to connect may take.
    :param has_words: what is packed gets an index of words.
    :ivar is_killed: it is not to be there any more.
    """

    def __init__(self, address: Address, timeout: float, sizes: PackingSizes, *, has_words: bool) -> None:
        self._given = (address, timeout, sizes, has_words)
        self._channel: process_channel.Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.is_killed = False

    def step(self, before: int, now: int) -> tuple[int | None, str]:
        """How many messages were packed, None if there was nothing to do, and why it failed; blocks.

        :param before: what is from before this time (ns) is packed.
        """
        try:
            channel = self._channel or self._start()
            channel.send((before, now))
            (rows, why, is_over), _ = channel.receive()
        except OSError as error:
            rows, why, is_over = None, f"the process that packs has ended: {error}", True
        if is_over:
            self.close()
        return rows, why

    def _start(self) -> process_channel.Channel:
        address, timeout, sizes, has_words = self._given
        self._process, ours = process_channel.start("ccstore.storage.postgres.pack_process")
        channel = self._channel = process_channel.Channel(ours)
        if self.is_killed:
            self._process.kill()
        # Pickled, as nothing but this program reads or writes it.
        channel.send((address.next_dsn(), timeout, has_words, _NICENESS), [pickle.dumps(sizes)])
        return channel

    def kill(self) -> None:
        """End it, whatever it is doing, which the server undoes; for any thread."""
        self.is_killed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Let go of it; nobody must be waiting for its answer."""
        if self._process is not None:
            self._process.kill()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.wait()
            self._process = None


class PackingApart:
    """Packs what is old enough: some pages at a time, and after each a rest while messages come in.

    :param written: gives how many messages were written.
    :ivar rows: that were packed.
    """

    log = Logger()

    def __init__(
        self,
        process: PackProcess,
        pools: Pools,
        packing: Packing,
        sizes: Sizes,
        reactor: Any,
        written: Callable[[], int],
    ) -> None:
        self._process = process
        self._pools = pools
        self._after = packing.after
        self._sizes = sizes
        self._reactor = reactor
        self._written = written
        self._running: Deferred[None] | None = None
        self._next_at = self._dropped_at = 0.0
        self._seen = 0  # messages, at the last look
        self._said = ""
        self.rows = 0

    async def tend(self, now: int) -> None:
        """Begin with the next pages if the last ones are done, and rested of, which is not waited for.

        And drop what is empty, once in a while.
        """
        is_idle, self._seen = self._seen == self._written(), self._written()
        if not self._after:
            return
        before = now - nanoseconds(self._after)
        if self._running is None and self._reactor.seconds() >= self._next_at:
            self._running = Deferred.fromCoroutine(self._go_on(before, now, is_idle))
            self._running.addErrback(lambda failure: self.log.failure("cannot pack", failure))
            self._running.addBoth(self._ended)
        if self._reactor.seconds() - self._dropped_at >= self._sizes.packing.drop:
            self._dropped_at = self._reactor.seconds()
            async with self._pools.writing.nobody(), self._pools.keeping.connection() as link:
                await drop_packed(link, before, self._sizes.partitions)

    def _ended(self, result: Any) -> None:
        self._running = None

    async def _go_on(self, before: int, now: int, is_idle: bool) -> None:
        sizes, begun_at = self._sizes.packing, self._reactor.seconds()
        threads = self._reactor.getThreadPool()
        rows, why = await deferToThreadPool(self._reactor, threads, self._process.step, before, now)
        ended_at = self._reactor.seconds()
        if why and why != self._said and not self._process.is_killed:
            self.log.warn("cannot pack older logs, will try again: {why}", why=why)
        self._said = why
        self.rows += rows or 0
        if rows is None:
            self._next_at = ended_at + sizes.retry
        elif not is_idle:
            self._next_at = ended_at + sizes.share * (ended_at - begun_at)

    async def end(self) -> None:
        """End what was begun."""
        self._process.kill()
        while self._running is not None:
            await self._running
        self._process.close()
