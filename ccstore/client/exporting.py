"""All that answers a question, line by line, also over breaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.task import deferLater

from ccstore.client.server import NOT_NOW, Question, Refused, Server, Unreachable, Vanished
from ccstore.client.session import ClientError

MESSAGES: Final = "/api/v1/messages"


class NotAll(ClientError):
    """Some of it has come, and the rest does not come."""


class Exporting:
    """Gets messages as lines of JSON; where it breaks off, it goes on behind the last one.

    :param question: without a limit; ``limit`` is how many are wanted, if not all.
    :param show: is given the lines as they come; at least once, if there is an answer.
    :param say: is given what people should know.
    :param tries: that may bring nothing, one after the other, before it is given up.
    :param pause: seconds before another try; each pause is twice as long as the one before.
    :ivar count: messages that have come.
    """

    def __init__(
        self,
        server: Server,
        clock: Any,
        question: Question,
        show: Callable[[Sequence[bytes]], None],
        say: Callable[[str], None],
        *,
        limit: int | None = None,
        tries: int = 5,
        pause: float = 0.5,
    ) -> None:
        self._server = server
        self._clock = clock
        self._question = [*question, ("format", "ndjson"), ("end", "true")]
        self._show = show
        self._say = say
        self._limit = limit
        self._tries = tries
        self._pause = pause
        self._rest = b""
        self._last = b""  # line that was shown
        self._end: Mapping[str, Any] | None = None  # what the last answer said at its end
        self.count = 0

    async def run(self) -> None:
        """Get all of them; what cannot be read in the store is said at the end, as :class:`NotAll`.

        Raises :class:`ClientError` if nothing comes at all, :class:`NotAll` if it is given up later.
        """
        left, pause = self._tries, self._pause
        while True:
            count = self.count
            reason = await self._once()
            if reason is None or self.count == self._limit:
                if self._end is not None and self._end.get("notice"):
                    raise NotAll(f"not all: {self._end['notice']}")
                return
            if self.count > count:
                left, pause = self._tries, self._pause
            if not (left and self.count):
                raise self._not_all(reason)
            left -= 1
            await deferLater(self._clock, pause, lambda: None)
            # Not before: at Ctrl-C, everything breaks off.
            self._say(f"{reason} after {self.count:,} messages; going on behind them")
            pause *= 2

    async def _once(self) -> str | None:
        """Ask once; why it is not all, if it is not."""
        self._rest = b""
        question = self._question
        if self._limit is not None:
            question = [*question, ("limit", f"{self._limit - self.count}")]
        if self._last:
            question = [*question, ("cursor", json.loads(self._last)["id"])]
        try:
            await self._server.stream(MESSAGES, question, self._take)
        except Refused as error:
            if not self.count:
                raise
            if error.status not in NOT_NOW:
                raise self._not_all(str(error)) from None
            return str(error)
        except (Unreachable, Vanished) as error:
            if not self.count:
                raise
            return str(error)
        return "the answer has no end" if self._end is None else None

    def _not_all(self, reason: str) -> NotAll:
        return NotAll(f"not all: {reason} after {self.count:,} messages")

    def _take(self, data: bytes) -> None:
        """Take in bytes: lines, the last of which says that it is the last."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if lines and lines[-1].startswith(b'{"end"'):
            self._end = json.loads(lines.pop())["end"]
        if lines:
            self._last = lines[-1]
            self.count += len(lines)
        self._show(lines)
