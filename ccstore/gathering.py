"""What many senders sent at about the same time, decoded together where that is possible.

Thousands of nodes send a line each: one by one, each line would cost more than a hundred that come together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ccstore.lineprotocol import StreamDecoder
from ccstore.message import Batch


class Sender(Protocol):
    """Whoever sent something.

    :ivar host: its address, for people.
    """

    @property
    def host(self) -> str: ...

    def pass_over(self, lines: bytes) -> None:
        """These lines have been decoded, but not by :func:`decode_together`'s ``alone``."""


_Sender = TypeVar("_Sender", bound=Sender)


def decode_together(
    decoder: StreamDecoder,
    parts: Sequence[tuple[bytes, _Sender]],
    now: int,
    alone: Callable[[bytes, _Sender], Batch],
) -> tuple[Batch, list[str]]:
    """Decode parts of whole lines, which do not go on in one another.

    :param decoder: with the settings of all of them.
    :param now: the time of lines that carry none, in nanoseconds since the epoch.
    :param alone: decodes a part by itself. So is each as soon as one has anything out of the ordinary, so
        that a mistake never reaches the next.
    :return: the messages, and the host of each.
    """
    together = plain_together(decoder, parts, now)
    if together is not None:
        return together
    messages = Batch()
    hosts: list[str] = []
    for data, sender in parts:
        taken = alone(data, sender)
        messages.extend(taken)
        hosts += [sender.host] * len(taken)
    return messages, hosts


def plain_together(
    decoder: StreamDecoder, parts: Sequence[tuple[bytes, _Sender]], now: int
) -> tuple[Batch, list[str]] | None:
    """As :func:`decode_together`, if nothing in any of the parts is out of the ordinary; else None."""
    lines = b"".join([data if data.endswith(b"\n") else data + b"\n" for data, _ in parts])
    messages = decoder.plain(lines, now)
    if messages is None:
        return None
    hosts: list[str] = []
    for data, sender in parts:
        sender.pass_over(data)
        hosts += [sender.host] * (data.count(b"\n") + (not data.endswith(b"\n")))
    return messages, hosts
