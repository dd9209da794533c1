"""Which senders are meant, and in what order they are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from ccstore.query import Selection
from ccstore.senders.register import SenderRegister
from ccstore.senders.sender import Sender
from ccstore.storage.reading.evaluate import value_test

_NUMBERS: Final = re.compile(r"([0-9]+)")
#: How a list may be ordered, and by what; the host decides where that is the same.
_KEYS: Final[Mapping[str, Callable[[Sender, float], Any]]] = {
    "host": lambda sender, now: 0,
    "last": lambda sender, now: -sender.habit.last,
    "silence": lambda sender, now: sender.habit.last,
    "messages": lambda sender, now: -sender.messages,
    "rate": lambda sender, now: -sender.habit.rate(now)[0],
    "skew": lambda sender, now: -abs(sender.skew or 0.0),
}
#: The names of these: by ``silence``, who is silent for longest stands first.
SENDER_ORDERS: Final = tuple(_KEYS)


@frozen
class SenderChoice:
    """Which senders are meant.

    :ivar selection: its clusters, and its conditions on ``cluster`` and ``hostname``.
    :ivar receivers: none means all.
    :ivar is_silent: only those that are, or are not; None for all.
    """

    selection: Selection
    receivers: Sequence[str] = ()
    is_silent: bool | None = None

    def chooser(self, silent: Callable[[Sender], bool]) -> Callable[[Sender], bool]:
        """Whether a sender is meant.

        :param silent: whether it is silent.
        """
        selection = self.selection
        of_host = [value_test(each) for each in selection.matchers if each.label == "hostname"]
        of_cluster = [value_test(each) for each in selection.matchers if each.label == "cluster"]

        def test(sender: Sender) -> bool:
            return (
                (not selection.clusters or sender.cluster in selection.clusters)
                and all(test(sender.host) for test in of_host)
                and all(test(sender.cluster) for test in of_cluster)
                and (not self.receivers or sender.receiver in self.receivers)
                and (self.is_silent is None or silent(sender) is self.is_silent)
            )

        return test


def sender_key(order: str, now: float) -> Callable[[Sender], Any]:
    """By what senders are put in order.

    :param order: one of :data:`SENDER_ORDERS`.
    :param now: seconds.
    """
    first = _KEYS[order]
    return lambda sender: (first(sender, now), sender.cluster, _in_parts(sender.host), sender.receiver or "")


def _in_parts(name: str) -> Sequence[Any]:
    """A name as people sort them: by the numbers in it. Texts and numbers take turns."""
    return [int(part) if place % 2 else part for place, part in enumerate(_NUMBERS.split(name))]


class SenderNames:
    """The names in a register, for whoever looks for the nearest one."""

    def __init__(self, register: SenderRegister) -> None:
        self._register = register

    async def known(self, label: str, *, most: int) -> Sequence[str]:
        """See :class:`ccstore.reading.notices.Names`."""
        values: Iterable[str] = (
            sender.cluster if label == "cluster" else sender.host for sender in self._register
        )
        return [*dict.fromkeys(values)][:most]
