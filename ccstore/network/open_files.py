"""The limit of open files: connections leave some to the database and to whoever asks what is the matter."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol, ServerFactory
from twisted.logger import LogEvent, Logger

from ccstore.logs import RateLimit, more_like_it

#: Files that connections to receivers leave free: for the database, the spool, the log, and for those who ask
#: what is the matter, who in turn leave half of them.
_RESERVE: Final = 64
#: Files without which the database and a few connections cannot do.
_LEAST: Final = 48
_HOW: Final = "LimitNOFILE= in the systemd unit, or `ulimit -n`"
#: Seconds for which a shortage is told of after the last connection was refused, and between two warnings.
_IS_RECENT: Final = 60.0
_WARN_EVERY: Final = 10.0


class OpenFiles:
    """The open files of this process.

    :param limit: gives how many there may be; it may be changed from outside while the process runs.
    :param lowest: gives the lowest number that no open file has; None if all are taken.
    """

    def __init__(
        self,
        clock: IReactorTime,
        limit: Callable[[], int] | None = None,
        lowest: Callable[[], int | None] | None = None,
    ) -> None:
        self.clock = clock
        self._limit = limit or file_limit
        self._lowest = lowest or _lowest
        self._short_at: float | None = None

    @property
    def limit(self) -> int:
        """How many files may be open now."""
        return self._limit()

    @property
    def reserve(self) -> int:
        """Files that connections to receivers leave free."""
        return min(_RESERVE, self.limit // 4)

    def has_room(self, *, for_questions: bool) -> bool:
        """Whether one more connection may be let in.

        :param for_questions: it comes to the REST interface.
        """
        # A new file gets the lowest number that is free. So those above stay free for whoever else opens one.
        lowest = self._lowest()
        kept = self.reserve // 2 if for_questions else self.reserve
        if lowest is not None and lowest < self.limit - kept:
            return True
        self._short_at = self.clock.seconds()
        return False

    def problems(self) -> Sequence[str]:
        """What is the matter at present, for people."""
        if self._short_at is None or not 0 <= self.clock.seconds() - self._short_at < _IS_RECENT:
            return []
        return [f"connections are refused, since too many files are open: the limit is {self.limit:,}"]

    def too_few(self) -> str | None:
        """What is wrong with the limit if nothing works with it, for people."""
        if self.limit >= _LEAST:
            return None
        return f"{self.limit} open files are allowed, and at least {_LEAST} are needed: allow more ({_HOW})"

    def too_few_for(self, connections: int) -> str | None:
        """What is wrong with the limit if there may be so many connections, for people; None if it will do.

        :param connections: those that receivers are configured for.
        """
        limit, lowest = self.limit, self._lowest()
        taken = limit if lowest is None else lowest
        left = max(0, limit - self.reserve - taken)
        if connections <= left:
            return None
        return (
            f"{limit:,} open files are allowed, which is enough for {left:,} connections, but the"
            f" max_connections of all receivers are {connections:,}: those beyond will be refused. Allow"
            f" {connections + taken + _RESERVE:,} files ({_HOW}), or lower max_connections"
        )


def file_limit() -> int:
    """How many files the process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 30


def _lowest() -> int | None:
    try:
        probe = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
    os.close(probe)
    return probe


class AdmittingFactory(ServerFactory[Protocol]):
    """Lets connections in to another factory, as long as there are files to spare.

    :param what: who listens, for the log.
    :ivar refused: connections for which there were none.
    """

    noisy = False
    log = Logger()

    def __init__(self, factory: Factory[Any], files: OpenFiles, what: str, *, for_questions: bool) -> None:
        self.wrappedFactory = factory
        self.refused = 0
        self._files = files
        self._what = what
        self._for_questions = for_questions
        self._warnings = RateLimit(files.clock, _WARN_EVERY)

    def doStart(self) -> None:
        self.wrappedFactory.doStart()

    def doStop(self) -> None:
        self.wrappedFactory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """With None, the port closes the connection at once, which frees its file."""
        if not self._files.has_room(for_questions=self._for_questions):
            self._refuse()
            return None
        return self.wrappedFactory.buildProtocol(addr)

    def watch(self, port: Any) -> None:
        """Learn of connections that the port could not even take: it tells only the log."""
        port._logger = Logger(namespace="twisted.internet.tcp.Port", observer=cast(Any, self._port_says))

    def _port_says(self, event: LogEvent) -> None:
        if "address" in event:
            self._refuse()
        elif "acceptError" in event:
            self._warn(f"connections cannot be taken: {event['acceptError']}")

    def _refuse(self) -> None:
        self.refused += 1
        limit = self._files.limit
        self._warn(f"a connection was refused, since too many files are open: the limit is {limit:,}")

    def _warn(self, text: str) -> None:
        suppressed = self._warnings.check(text)
        if suppressed is not None:
            more = more_like_it(suppressed)
            self.log.warn("{what}: {text}{more}", what=self._what, text=text, more=more)
