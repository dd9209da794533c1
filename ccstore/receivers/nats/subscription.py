"""How messages of a subject come: as long as we are connected, or acknowledged one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from ccstore.accounting.figures import Figures
from ccstore.receivers.nats.client import Connection
from ccstore.receivers.nats.framing import Delivery

#: The name of the subscription to messages, on each connection.
MESSAGES: Final = "1"


class Subscription(Protocol):
    """What a receiver takes its messages from; it goes from one connection to the next.

    :ivar acknowledges: the server wants to hear of each message what became of it.
    """

    acknowledges: bool

    @property
    def is_urgent(self) -> bool:
        """The server will soon send no more, before something is acknowledged."""

    async def attach(self, connection: Connection) -> None:
        """Take messages from a new connection; raises :class:`NatsError`."""

    def detach(self) -> None:
        """The connection is lost, or no more messages are wanted from it."""

    def sort(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Those that are messages, and are not here already."""

    def settle(self, replies: Sequence[bytes], *, are_stored: bool) -> None:
        """These are stored, or refused for themselves; or they could not be stored, and are to come again.

        :param replies: the subjects by which they are acknowledged.
        """

    def set_paused(self, is_paused: bool) -> None:
        """Ask for no more for the time being, or go on."""

    def figures(self) -> Figures:
        """Figures for the statistics."""


class CoreSubscription:
    """A subject of NATS itself, whose messages are gone once they were sent."""

    acknowledges = False
    is_urgent = False

    def __init__(self, subject: str, queue_group: str | None) -> None:
        self._subject = subject
        self._queue_group = queue_group

    async def attach(self, connection: Connection) -> None:
        """See :class:`Subscription`."""
        connection.subscribe(self._subject, MESSAGES, self._queue_group)
        await connection.ping()

    def detach(self) -> None:
        """See :class:`Subscription`; the server forgets the subscription with the connection."""

    def sort(self, deliveries: list[Delivery]) -> list[Delivery]:
        """See :class:`Subscription`: nothing else comes."""
        return deliveries

    def settle(self, replies: Sequence[bytes], *, are_stored: bool) -> None:
        """See :class:`Subscription`; the server does not want to know."""

    def set_paused(self, is_paused: bool) -> None:
        """See :class:`Subscription`; a connection that is not read is enough."""

    def figures(self) -> Figures:
        """See :class:`Subscription`."""
        return Figures()
