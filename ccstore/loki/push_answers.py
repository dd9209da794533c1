"""Lines that clients of Loki push become logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest

from ccstore.accounting.account import Origin
from ccstore.batch import Batch
from ccstore.interfaces import Refusal, StoreUnavailable
from ccstore.lineprotocol import LineError
from ccstore.loki.push_body import PushedLine, is_json, json_lines, protobuf_lines
from ccstore.loki.snappy import unpack_snappy
from ccstore.message import COLUMN_TAGS, INT64_MAX, INT64_MIN, Message, Series
from ccstore.network.listening import address_of
from ccstore.pipeline.intake import Intake
from ccstore.web import WebError, answer, argument, body_of, header, later

#: Labels that name what writes, and those that name the host; the first that is there does.
_NAMES: Final = ("name", "service_name", "job", "unit")
_HOSTS: Final = ("hostname", "host", "nodename", "instance")
_NAMELESS: Final = "loki"
#: Tags of columns, by the labels that they are called by.
_COLUMNS: Final = {tag.replace("-", "_"): tag for tag in COLUMN_TAGS}
#: Lines that are made into messages in one go.
_AT_A_TIME: Final = 500
_TIME: Final = "expected nanoseconds of 64 bits as the time of a line"


class PushAnswers:
    """Takes what is pushed.

    :param max_body: bytes of a body when it is unpacked.
    """

    def __init__(self, intake: Intake, max_body: int) -> None:
        self.max_body = max_body
        self._intake = intake

    async def push(self, request: IRequest) -> bytes:
        """Store the lines of a body; nothing is said until they are committed."""
        cluster = argument(request, "cluster")
        # If the client goes away, what it has sent is stored all the same.
        written: Deferred[WebError | None] = Deferred()
        Deferred.fromCoroutine(self._take(request, cluster)).chainDeferred(written)
        error = await written
        if error is not None:
            raise error
        return answer(request, 204, b"")

    async def _take(self, request: IRequest, cluster: str | None) -> WebError | None:
        if (header(request, "content-encoding") or "").lower() == "snappy":
            # Some say so of protocol buffers, which are always packed by it.
            request.requestHeaders.removeHeader(b"content-encoding")
        origin = self._intake.origin(address_of(request.getClientAddress()), cluster)
        try:
            with body_of(request, self.max_body) as body:
                await self._store(body, origin)
        except WebError as error:
            # The traceback holds the body, which would stay until a garbage collection.
            return error.with_traceback(None)
        return None

    async def _store(self, body: bytes, origin: Origin) -> None:
        batch = Batch()
        bad = 0
        try:
            lines = await self._lines(body)
            while part := [*islice(lines, _AT_A_TIME)]:
                for line in part:
                    message = _message(line)
                    if message is None:
                        bad += 1
                    else:
                        batch.append(message)
                await self._intake.scheduler.turn()
        except ValueError as error:
            self._intake.reject([LineError(1, 1, str(error)[:200], "")], origin.sender)
            raise WebError(400, f"nothing was stored: {error}") from None
        if bad:
            self._intake.reject([LineError(1, 1, _TIME, "")] * bad, origin.sender)
        refusals: Sequence[Refusal] = ()
        if batch:
            try:
                refusals = await self._intake.accept(batch, origin, urgent=True)
            except StoreUnavailable as error:
                raise later(f"cannot store now: {error}") from None
        if bad or refusals:
            reason = refusals[0].reason if refusals else _TIME
            number = bad + len(refusals)
            raise WebError(400, f"{number} of {bad + len(batch)} lines were not stored: {reason}")

    async def _lines(self, body: bytes) -> Iterator[PushedLine]:
        """The lines of a body; raises :class:`ValueError`."""
        if is_json(body):
            return json_lines(body)
        unpacking = unpack_snappy(body, self.max_body)
        while True:
            try:
                next(unpacking)
            except StopIteration as end:
                return protobuf_lines(end.value)
            await self._intake.scheduler.turn()


def _message(line: PushedLine) -> Message | None:
    """The message of a line; None if its time is wrong."""
    if line.time is None or not INT64_MIN <= line.time <= INT64_MAX:
        return None
    return Message(_series(tuple(sorted(line.labels.items()))), line.text, line.time)


@lru_cache(4096)
def _series(labels: Sequence[tuple[str, str]]) -> Series:
    """The series of lines with these labels."""
    tags = {label: value for label, value in labels if label and value}
    name = _first(tags, _NAMES) or _NAMELESS
    host = _first(tags, _HOSTS)
    found = {_COLUMNS.get(label, label): value for label, value in tags.items()}
    if host:
        found["hostname"] = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return Series(name, found, "log")


def _first(tags: dict[str, str], labels: Sequence[str]) -> str | None:
    """The value of the first of these labels that is there, which is taken out."""
    return next((tags.pop(label) for label in labels if label in tags), None)
