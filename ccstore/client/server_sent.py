"""Server-sent events, as section 9.2 of the HTML Living Standard has them."""

from __future__ import annotations

from attrs import frozen


@frozen
class Event:
    """One event.

    :ivar number: the ``id`` that it has itself, or None.
    :ivar data: empty for one that only says how far it is.
    """

    kind: str
    data: str
    number: str | None


class EventStream:
    """Takes bytes as they come, and gives events."""

    def __init__(self) -> None:
        self._rest = b""
        self._kind = ""
        self._data: list[str] = []
        self._number: str | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that are whole with these bytes."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        found = []
        for line in lines:
            event = self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if event is not None:
                found.append(event)
        return found

    def _line(self, line: str) -> Event | None:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self._kind = value
            elif name == "data":
                self._data.append(value)
            elif name == "id":
                self._number = value
            return None
        event = None
        if self._data or self._number is not None:
            event = Event(self._kind or "message", "\n".join(self._data), self._number)
        self._kind, self._data, self._number = "", [], None
        return event
