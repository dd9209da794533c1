"""A whole body of lines from one request, for whoever takes them over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ccstore.intake import Intake
from ccstore.interfaces import Refusal, StoreUnavailable
from ccstore.lineprotocol import Decoded, Precision, StreamDecoder
from ccstore.message import Batch
from ccstore.web import RETRY_AFTER, WebError

#: Bytes that are decoded in one go: few after a mistake, which takes a hundred times as long as what is
#: right, and more and more as long as there is none.
_PIECES = (1 << 11, 1 << 14, 1 << 18)
#: Bad lines that an answer lists; the others are only counted.
_LISTED = 100


async def write_body(
    intake: Intake, body: bytes, sender: str, cluster: str | None, precision: Precision | None = None
) -> int:
    """Decode and store a body; returns the number of lines that were taken when they are committed.

    The good lines are stored whatever the others are. Raises :class:`WebError`: 400 with the number and the
    reason of each bad line, or 503 if nothing can be stored now.
    """
    decoder = intake.decoder(precision=precision)
    messages = Batch()
    bad: list[tuple[int, int, str]] = []
    rejected = 0
    default_time = intake.now()
    async for decoded in _decoded(intake, decoder, body, default_time):
        messages.extend(decoded.messages)
        intake.reject(decoded.errors, sender)
        rejected += len(decoded.errors)
        bad += [(error.line, error.column, error.reason) for error in decoded.errors[: _LISTED - len(bad)]]
    refusals: Sequence[Refusal] = ()
    if messages:
        try:
            refusals = await intake.accept(messages, intake.origin(sender, cluster), urgent=True)
        except StoreUnavailable as error:
            raise WebError(503, f"cannot store now: {error}", headers={"retry-after": RETRY_AFTER}) from None
    taken = len(messages) - len(refusals)
    if rejected or refusals:
        listed = refusals[:_LISTED]
        if listed:
            lines: list[int] = []
            numbering = intake.decoder(precision=precision, lines=lines)
            async for _ in _decoded(intake, numbering, body, default_time):
                if len(lines) > listed[-1].index:
                    break
            bad += [(lines[refusal.index], 1, refusal.reason) for refusal in listed]
        bad.sort()
        line, _, reason = bad[0]
        rejected += len(refusals)
        raise WebError(
            400,
            f"{rejected} of {rejected + taken} lines are bad, the first is line {line}: {reason}",
            more={
                "stored": taken,
                "rejected": rejected,
                "lines": [
                    {"line": line, "column": column, "reason": reason}
                    for line, column, reason in bad[:_LISTED]
                ],
            },
        )
    return taken


async def _decoded(
    intake: Intake, decoder: StreamDecoder, body: bytes, default_time: int
) -> AsyncIterator[Decoded]:
    """Decode a body piece by piece, and let others have their turn where it takes long."""
    least, piece, largest = _PIECES
    position = 0
    while position < len(body):
        if position or len(body) > least:
            await intake.pace.turn()
        decoded = decoder.feed(body[position : position + piece], default_time)
        position += piece
        piece = least if decoded.errors else min(2 * piece, largest)
        yield decoded
    yield decoder.finish(default_time)
