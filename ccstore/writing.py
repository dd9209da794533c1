"""A whole body of lines from one request, for whoever takes them over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import deferLater

from ccstore.intake import Intake
from ccstore.interfaces import Refusal, StoreUnavailable
from ccstore.lineprotocol import LineError, Precision
from ccstore.message import Batch
from ccstore.web import WebError

#: Decoded in one go, in bytes: others get their turn between two.
_PIECE = 1 << 18
#: Bad lines that an answer lists; the others are only counted.
_LISTED = 100
_RETRY_AFTER = "5"


async def write_body(
    intake: Intake, body: bytes, sender: str, cluster: str | None, precision: Precision | None = None
) -> int:
    """Decode and store a body; returns the number of lines that were taken when they are committed.

    The good lines are stored whatever the others are. Raises :class:`WebError`: 400 with the number and the
    reason of each bad line, or 503 if nothing can be stored now.
    """
    decoder = intake.decoder(precision=precision)
    messages = Batch()
    errors: list[LineError] = []
    default_time = intake.now()
    for start in range(0, len(body), _PIECE):
        if start:
            await deferLater(intake.clock, 0)
        decoded = decoder.feed(body[start : start + _PIECE], default_time)
        messages.extend(decoded.messages)
        errors += decoded.errors
    decoded = decoder.finish(default_time)
    messages.extend(decoded.messages)
    errors += decoded.errors
    intake.reject(errors, sender)
    refusals: Sequence[Refusal] = ()
    if messages:
        try:
            refusals = await intake.accept(messages, intake.origin(sender, cluster), urgent=True)
        except StoreUnavailable as error:
            raise WebError(503, f"cannot store now: {error}", headers={"retry-after": _RETRY_AFTER}) from None
    taken = len(messages) - len(refusals)
    if errors or refusals:
        bad = [(error.line, error.column, error.reason) for error in errors]
        if refusals:
            lines: list[int] = []
            slow = intake.decoder(precision=precision, lines=lines)
            slow.feed(body, default_time)
            slow.finish(default_time)
            bad += [(lines[refusal.index], 1, refusal.reason) for refusal in refusals]
        bad.sort()
        line, _, reason = bad[0]
        raise WebError(
            400,
            f"{len(bad)} of {len(messages) + len(errors)} lines are bad, the first is line {line}: {reason}",
            more={
                "stored": taken,
                "rejected": len(bad),
                "lines": [
                    {"line": line, "column": column, "reason": reason}
                    for line, column, reason in bad[:_LISTED]
                ],
            },
        )
    return taken
