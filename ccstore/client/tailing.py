"""``ccstore query --follow``: messages as they come, also over breaks and restarts of the daemon."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from twisted.internet.task import deferLater

from ccstore.client.choosing import without
from ccstore.client.server import NOT_NOW, Question, Refused, Server, Unreachable, Vanished
from ccstore.client.server_sent import Event, EventStream
from ccstore.client.session import ClientError

_PATH: Final = "/api/v1/tail"


class Tailing:
    """Follows a question: nothing is missed and nothing shown twice, whatever breaks.

    :param show: is given lines of JSON, each a message.
    :param say: is given what people should know.
    :param patience: seconds of silence after which a connection is given up; the daemon says something
        every 15.
    :param first_pause: seconds before another try, which grow up to ``longest_pause``.
    """

    def __init__(
        self,
        server: Server,
        clock: Any,
        question: Question,
        show: Callable[[Sequence[bytes]], None],
        say: Callable[[str], None],
        *,
        patience: float = 50.0,
        first_pause: float = 0.5,
        longest_pause: float = 10.0,
    ) -> None:
        self._server = server
        self._clock = clock
        self._question = question
        self._show = show
        self._say = say
        self._patience = patience
        self._pauses = first_pause, longest_pause
        self._last: str | None = None
        #: Messages that were shown since, by their ids: they come once more.
        self._shown: dict[str, int] = {}
        self._is_broken = self._was_there = False
        self._heard = 0

    async def run(self) -> NoReturn:
        """Go on until somebody stops it. Raises :class:`ClientError` if it cannot begin."""
        first, longest = self._pauses
        pause = first
        while True:
            heard = self._heard
            try:
                await self._once()
                reason = "the daemon stops, or lets go of us"
            except Refused as error:
                if not self._was_there or error.status not in NOT_NOW:
                    raise
                reason = str(error)
            except (Unreachable, Vanished) as error:
                if not self._was_there:
                    raise
                reason = str(error)
            if self._heard > heard:
                pause = first
            await deferLater(self._clock, pause, lambda: None)
            # Not before: at Ctrl-C, everything breaks off.
            if not self._is_broken:
                self._is_broken = True
                self._say(f"{reason}; trying again until it is back")
            pause = min(2 * pause, longest)

    async def _once(self) -> None:
        stream = EventStream()

        def take(data: bytes) -> None:
            self._was_there = True
            self._heard += 1
            if self._is_broken:
                self._is_broken = False
                self._say("connected again: going on where it was, nothing is left out")
            self._take(stream.feed(data))

        question, headers = self._question, {"accept": "text/event-stream"}
        if self._last is not None:
            headers["last-event-id"] = self._last
        elif self._shown:
            # It broke off before it was known how far it is: once more from the oldest that was shown.
            question = [*without(question, "limit", "from"), ("from", f"{min(self._shown.values())}")]
        await self._server.stream(_PATH, question, take, headers=headers, patience=self._patience)

    def _take(self, events: Sequence[Event]) -> None:
        lines: list[bytes] = []
        for event in events:
            if event.kind == "message" and event.data:
                found = _object(event.data)
                if found["id"] not in self._shown:
                    lines.append(event.data.encode())
                    self._shown[found["id"]] = int(found["time_ns"])
            elif event.kind == "gap":
                self._show(lines)
                lines = []
                gap = _object(event.data)
                self._say(
                    f"{gap.get('messages')} messages are left out, {gap.get('reason')}; to see them:"
                    f" --from {gap.get('from')} --to {gap.get('to')} without --follow, which shows again"
                    " those of these times that were shown already"
                )
            if event.number is not None:
                self._last = event.number
                self._shown.clear()
        if lines:
            self._show(lines)


def _object(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClientError("what comes is no message of ccstore's")
    return found
