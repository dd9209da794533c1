"""Decoding piece by piece, so that whoever sends what takes long to decode keeps nobody waiting for long.

A piece is to take about the same time, whatever it is. A mistake takes many times as long to decode as what
is right, so a piece is small after a mistake, and twice as large as the last one as long as there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from attrs import frozen

from ccstore.batch import Batch
from ccstore.lineprotocol import Decoded, StreamDecoder
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.joint import Sender, plain_together
from ccstore.pipeline.scheduler import LEAST_PIECE


@frozen
class PieceSizes:
    """Bytes that are decoded in one go: after a mistake, at the begin, and at most."""

    least: int = LEAST_PIECE
    first: int = 1 << 12
    largest: int = 1 << 16


class Piecewise:
    """Decodes one stream piece by piece.

    :ivar size: bytes of the next piece.
    :ivar is_wrong: there was a mistake in the last one.
    :ivar mistakes: in all of them.
    """

    # There are as many as connections.
    __slots__ = ("_sizes", "decoder", "is_wrong", "mistakes", "size")

    def __init__(self, decoder: StreamDecoder, sizes: PieceSizes) -> None:
        self.decoder = decoder
        self._sizes = sizes
        self.size = sizes.first
        self.is_wrong = False
        self.mistakes = 0

    def feed(self, data: bytes, now: int, start: int = 0) -> tuple[Decoded, int]:
        """Decode the next piece of what has been read, and say where the one after it begins.

        :param now: the time of lines that carry none, in nanoseconds since the epoch.
        :param start: where it begins in ``data``.
        """
        piece = data[start : start + self.size]
        decoded = self.decoder.feed(piece, now)
        self.is_wrong = bool(decoded.errors)
        if decoded.errors:
            self._was_wrong(len(decoded.errors))
        elif len(piece) == self.size:
            self.size = min(2 * self.size, self._sizes.largest)
        return decoded, start + len(piece)

    def finish(self, now: int) -> Decoded:
        """Decode what is left at the end of the stream; another one may follow."""
        decoded = self.decoder.finish(now)
        if decoded.errors:
            self._was_wrong(len(decoded.errors))
        return decoded

    def _was_wrong(self, mistakes: int) -> None:
        self.is_wrong = True
        self.mistakes += mistakes
        self.size = self._sizes.least


_Sender = TypeVar("_Sender", bound=Sender)


@frozen
class Part(Generic[_Sender]):
    """What came out of a piece of a message.

    :ivar size: bytes of it.
    :ivar is_last: the message is done with.
    """

    decoded: Decoded
    sender: _Sender
    size: int
    is_last: bool


class MessageQueue(Generic[_Sender]):
    """Datagrams, or messages of a broker: lines do not go on in the next one, and they are decoded in order.

    :ivar unread: what is not decoded, or not to its end, and who sent it.
    """

    def __init__(self, intake: Intake, sizes: PieceSizes) -> None:
        self._intake = intake
        self._pieces = Piecewise(intake.decoder(), sizes)
        self.unread: list[tuple[bytes, _Sender]] = []
        self._offset = 0  # into the first of them, up to which it is decoded

    def reconfigure(self) -> None:
        """Decode with the settings of now."""
        self._intake.set_decoder(self._pieces.decoder)

    def together(self) -> tuple[Batch, list[str]] | None:
        """Decode all at once if there is nothing out of the ordinary; see :func:`plain_together`."""
        if self._offset:  # the rest of a message goes before what came after it
            return None
        found = plain_together(self._pieces.decoder, self.unread, self._intake.now())
        if found is not None:
            self.unread = []
        return found

    def in_pieces(self, seconds: float) -> Iterator[Part[_Sender]]:
        """Decode as far as there is time; what is wrong is left to the caller to reject."""
        clock, pieces = self._intake.clock, self._pieces
        end = clock.seconds() + seconds
        done = 0
        while done < len(self.unread) and clock.seconds() <= end:
            data, sender = self.unread[done]
            begin, now = self._offset, self._intake.now()
            decoded, self._offset = pieces.feed(data, now, begin)
            size = self._offset - begin
            is_last = self._offset == len(data)
            if is_last:
                rest = pieces.finish(now)
                decoded.errors.extend(rest.errors)
                decoded.messages.extend(rest.messages)
                self._offset = 0
                done += 1
            yield Part(decoded, sender, size, is_last)
        self.unread = self.unread[done:]
