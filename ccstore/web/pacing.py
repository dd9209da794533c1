"""Writing no faster than a client takes it."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


@implementer(IPushProducer)
class Pacing:
    """Lets whoever writes to a client wait while that takes nothing; registered as the producer of a request.

    :ivar is_gone: the client has gone, of which :meth:`leave` tells.
    """

    def __init__(self) -> None:
        self.is_gone = False
        self._resumed: Deferred[None] | None = None  # while the client takes nothing

    async def taken(self) -> None:
        """Wait until the client has taken enough; raises :class:`CancelledError` if it has gone."""
        if self._resumed is not None:
            await self._resumed
        self.check()

    def check(self) -> None:
        """Raises :class:`CancelledError` if the client has gone."""
        if self.is_gone:
            raise CancelledError

    def leave(self, reason: object) -> None:
        """The client has gone."""
        self.is_gone = True
        self.resumeProducing()

    # -- IPushProducer

    def pauseProducing(self) -> None:
        """The client has not taken enough of what was written."""
        if self._resumed is None:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """The client has taken it."""
        if self._resumed is not None:
            resumed, self._resumed = self._resumed, None
            resumed.callback(None)

    def stopProducing(self) -> None:
        """The client has gone, of which the request tells as well, and others."""
