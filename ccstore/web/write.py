"""A whole body of lines from one request, for whoever takes them over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from attrs import frozen

from ccstore.accounting.account import Origin
from ccstore.batch import Batch
from ccstore.interfaces import Refusal, StoreUnavailable
from ccstore.lineprotocol import TEXT_LIMIT, Decoded, Precision, StreamDecoder
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.piecewise import PieceSizes, Piecewise
from ccstore.pipeline.scheduler import TooMuch
from ccstore.web import WebError, later

#: Bytes that are decoded in one go.
_PIECES: Final = PieceSizes(largest=1 << 18)
#: Bad lines that an answer lists; the others are only counted.
_LISTED: Final = 100


@frozen
class BadLine:
    """A line of a body that was not taken.

    :ivar line: its number in the body, from 1; ``column`` is that of the mistake.
    :ivar text: how it begins.
    """

    line: int
    column: int
    reason: str
    text: str


@frozen
class Written:
    """What became of the lines of a body.

    :ivar stored: lines that are committed.
    :ivar dropped: lines that are right, but not kept: by a rule, or of a kind that is not stored.
    :ivar bad: the first of the rejected ones, in their order.
    """

    stored: int
    rejected: int
    dropped: int
    bad: Sequence[BadLine]

    def summary(self) -> str:
        """What is wrong with it, in a line; there must be something."""
        first = self.bad[0]
        lines = self.rejected + self.stored + self.dropped
        return f"{self.rejected} of {lines} lines are bad, the first is line {first.line}: {first.reason}"


async def write_body(
    intake: Intake, body: bytes, sender: str, cluster: str | None, precision: Precision | None = None
) -> int:
    """Decode and store a body; returns the number of lines that were stored when they are committed.

    The good lines are stored whatever the others are. Raises :class:`WebError`: 400 with the number and the
    reason of each bad line, or 503 if nothing can be stored now.
    """
    written = await write_lines(intake, body, intake.origin(sender, cluster), precision)
    if not written.rejected:
        return written.stored
    raise WebError(
        400,
        written.summary(),
        more={
            "stored": written.stored,
            "rejected": written.rejected,
            "dropped": written.dropped,
            "lines": [{"line": bad.line, "column": bad.column, "reason": bad.reason} for bad in written.bad],
        },
    )


async def write_lines(
    intake: Intake,
    body: bytes,
    origin: Origin,
    precision: Precision | None = None,
    *,
    lenient: bool = False,
) -> Written:
    """Decode and store a body; returns what became of its lines when the good ones are committed.

    Raises :class:`WebError` 503 if nothing can be stored now.

    :param origin: of this body alone, since it counts what of it is dropped.
    :param lenient: see :class:`ccstore.lineprotocol.StreamDecoder`.
    """
    decoder = intake.decoder(precision=precision, lenient=lenient)
    parts: list[Batch] = []
    bad: list[BadLine] = []
    rejected = 0
    default_time = intake.now()
    async for decoded, has_more in _decoded(intake, decoder, body, default_time):
        if decoded.messages:
            parts.append(decoded.messages)
        intake.reject(decoded.errors, origin.sender)
        rejected += len(decoded.errors)
        bad += [BadLine(*error) for error in decoded.errors[: _LISTED - len(bad)]]
        if has_more and not rejected:
            intake.announce(parts, origin)
    messages = Batch.together(parts)
    refusals: Sequence[Refusal] = ()
    if messages:
        try:
            refusals = await intake.accept(messages, origin, urgent=True)
        except StoreUnavailable as error:
            raise later(f"cannot store now: {error}") from None
    listed = refusals[:_LISTED]
    if listed:
        lines: list[int] = []
        numbering = intake.decoder(precision=precision, lenient=lenient, lines=lines)
        # What is committed must not be answered with 503, so that it comes again.
        async for _ in _decoded(intake, numbering, body, default_time, may_be_sent_away=False):
            if len(lines) > listed[-1].index:
                break
        numbers = [lines[refusal.index] for refusal in listed]
        texts = _texts(body, numbers)
        bad += [
            BadLine(number, 1, refusal.reason, text)
            for number, refusal, text in zip(numbers, listed, texts, strict=True)
        ]
    bad.sort(key=lambda each: (each.line, each.column))
    dropped = origin.dropped.lines
    stored = len(messages) - len(refusals) - dropped
    return Written(stored, rejected + len(refusals), dropped, bad[:_LISTED])


def _texts(body: bytes, numbers: Sequence[int]) -> list[str]:
    """How the lines with these numbers, in their order, begin."""
    texts = []
    counted, position = 1, 0
    for number in numbers:
        while counted < number:
            position = body.index(b"\n", position) + 1
            counted += 1
        # A character has four bytes at most.
        raw = body[position : position + 4 * TEXT_LIMIT].partition(b"\n")[0]
        texts.append(raw.decode(errors="replace").rstrip("\r")[:TEXT_LIMIT])
    return texts


async def _decoded(
    intake: Intake, decoder: StreamDecoder, body: bytes, default_time: int, *, may_be_sent_away: bool = True
) -> AsyncIterator[tuple[Decoded, bool]]:
    """Decode a body piece by piece, and let others have their turn where it takes long.

    With each piece comes whether there is another one.
    """
    scheduler = intake.scheduler
    pieces = Piecewise(decoder, _PIECES)
    position = 0
    while position < len(body):
        if position or len(body) > _PIECES.least:
            wrong = len(body) - position if pieces.is_wrong and may_be_sent_away else 0
            try:
                await scheduler.turn(wrong)
            except TooMuch:
                raise later("too many bodies with mistakes wait for their turn") from None
        decoded, position = pieces.feed(body, default_time, position)
        yield decoded, position < len(body)
    yield pieces.finish(default_time), False
