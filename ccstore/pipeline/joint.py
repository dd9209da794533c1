"""What many senders sent at about the same time, decoded together where that is possible.

Thousands of nodes send a line each: one by one, each line would cost more than a hundred that come together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from attrs import Factory, define

from ccstore.batch import Batch
from ccstore.lineprotocol import StreamDecoder


class Sender(Protocol):
    """Whoever sent something.

    :ivar host: its address, for people.
    """

    @property
    def host(self) -> str: ...

    def pass_over(self, lines: bytes) -> None:
        """These lines of its stream have been decoded together with those of others."""


@define(eq=False)
class Joint:
    """Messages of many senders that are handed over together.

    :ivar hosts: where each of them comes from, for people.
    :ivar size: bytes that they came in.
    """

    messages: Batch = Factory(Batch)
    hosts: list[str] = Factory(list)
    size: int = 0

    def add(self, messages: Batch, hosts: list[str], size: int) -> None:
        """Take in messages behind those that there are."""
        self.messages.extend(messages)
        self.hosts += hosts
        self.size += size


_Sender = TypeVar("_Sender", bound=Sender)


def plain_together(
    decoder: StreamDecoder, parts: Sequence[tuple[bytes, _Sender]], now: int
) -> tuple[Batch, list[str]] | None:
    """Decode parts of whole lines, which do not go on in one another.

    :param decoder: with the settings of all of them.
    :param now: the time of lines that carry none, in nanoseconds since the epoch.
    :return: the messages, and the host of each; None if any part has anything out of the ordinary. Then each
        has to be decoded by itself, so that a mistake never reaches the next.
    """
    lines = b"".join([data if data.endswith(b"\n") else data + b"\n" for data, _ in parts])
    messages = decoder.plain(lines, now)
    if messages is None:
        return None
    hosts: list[str] = []
    for data, sender in parts:
        sender.pass_over(data)
        hosts += [sender.host] * (data.count(b"\n") + (not data.endswith(b"\n")))
    return messages, hosts
