"""Answers that tell of the store itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from attrs import frozen
from twisted.web.iweb import IRequest

from ccstore.accounting.history import History
from ccstore.api.exchange import Exchange
from ccstore.api.store_document import Known, store_document
from ccstore.holdings import Holdings
from ccstore.interfaces import QueryTimeout, StoreError
from ccstore.senders.sender_watch import SenderWatch
from ccstore.timing import SECOND
from ccstore.web import json_pieces, stream

#: Seconds that the database has to say what it holds, and for which that is said again to whoever asks.
_PATIENCE: Final = 2.0
_KEPT: Final = 5.0


@frozen
class Insight:
    """What the daemon knows of itself.

    :ivar stats: gives what ``/api/stats`` has; ``samples`` what ``/api/samples`` has.
    :ivar unready: gives why nothing can be written, or None.
    :ivar problems: gives what is the matter although messages are stored.
    :ivar senders: watches who sends.
    """

    stats: Callable[[], Mapping[str, Any]]
    samples: Callable[[], Mapping[str, Any]]
    unready: Callable[[], str | None]
    problems: Callable[[], Sequence[str]]
    history: History
    senders: SenderWatch


class StoreAnswers:
    """What the daemon knows of itself, and what the database holds."""

    def __init__(self, exchange: Exchange, insight: Insight) -> None:
        self._exchange = exchange
        self._insight = insight
        self._held: tuple[Holdings | None, str | None] = (None, None)
        self._held_at = 0.0

    async def store(self, request: IRequest) -> bytes:
        """The receivers and their books, the queue, the disk, what is deleted next, what the doctor says."""
        holdings, unknown = await self._holdings()
        insight = self._insight
        document = store_document(
            Known(
                self._now(),
                insight.stats(),
                insight.samples(),
                insight.history,
                holdings,
                unknown,
                insight.unready(),
                insight.problems(),
            )
        )
        return await self._answer(request, document)

    async def history(self, request: IRequest) -> bytes:
        """The last hour."""
        return await self._answer(request, self._insight.history.as_json())

    async def _holdings(self) -> tuple[Holdings | None, str | None]:
        """What the database holds; if that is not known, why."""
        if not 0 <= self._now() - self._held_at < _KEPT:
            try:
                self._held = await self._exchange.service.holdings(timeout=_PATIENCE), None
            except QueryTimeout:
                self._held = None, f"the database took longer than {_PATIENCE:g} s to say it"
            except StoreError as error:
                self._held = None, str(error)
            self._held_at = self._now()
        return self._held

    def _now(self) -> float:
        return self._exchange.now() / SECOND

    async def _answer(self, request: IRequest, document: Mapping[str, object]) -> bytes:
        return await stream(request, json_pieces(document), turn=self._exchange.turn)
