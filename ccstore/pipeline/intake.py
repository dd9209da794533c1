"""The way of bytes from a sender to the sink, the same for all receivers."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ccstore.accounting.account import Account, Origin
from ccstore.batch import Batch
from ccstore.interfaces import IMessageSink, Refusal
from ccstore.lineprotocol import LineError, Precision, SeriesCache, StreamDecoder
from ccstore.logs import RateLimit, more_like_it
from ccstore.pipeline.scheduler import Scheduler
from ccstore.timing import SECOND

_WARN_EVERY = 10.0


class Intake:
    """Decodes for one receiver, keeps its books, and hands its messages to the sink.

    :param name: of the receiver, in the configuration, the log and the statistics.
    :param cluster: of lines that do not name one.
    :param cache: shared with other receivers, as is ``scheduler``.
    :param account: the books to go on with, instead of new ones.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        kind: str,
        sink: IMessageSink,
        clock: IReactorTime,
        *,
        cluster: str | None = None,
        precision: Precision = "auto",
        max_line_length: int | None = None,
        cache: SeriesCache | None = None,
        scheduler: Scheduler | None = None,
        account: Account | None = None,
    ) -> None:
        self.account = Account(name, kind, precision=precision) if account is None else account
        self._kind = kind
        self.clock = clock
        self.scheduler = Scheduler(clock) if scheduler is None else scheduler
        self._sink = sink
        self._cluster = cluster
        self._precision = precision
        self._max_line_length = max_line_length
        self._cache = SeriesCache() if cache is None else cache
        self._warnings = RateLimit(clock, _WARN_EVERY)

    def take_up_books(self) -> None:
        """From now on, books that were given are those of this kind of receiver."""
        self.account.kind = self._kind
        self.account.precision = self._precision

    def reconfigure(
        self,
        sink: IMessageSink,
        *,
        cluster: str | None,
        precision: Precision,
        max_line_length: int | None,
    ) -> None:
        """Go on with other settings; decoders that there are need :meth:`set_decoder`."""
        self._sink = sink
        self._cluster = cluster
        self._precision = self.account.precision = precision
        self._max_line_length = max_line_length

    def set_decoder(self, decoder: StreamDecoder) -> None:
        """Let a decoder of a stream that goes on have the settings of now."""
        decoder.set(precision=self._precision, max_line_length=self._max_line_length)

    def now(self) -> int:
        """The time of receipt, in nanoseconds since the epoch."""
        # For each read of a connection: without a call.
        return int(self.clock.seconds() * SECOND)

    def decoder(
        self, *, precision: Precision | None = None, lenient: bool = False, lines: list[int] | None = None
    ) -> StreamDecoder:
        """A decoder for one stream; see :class:`StreamDecoder` for ``lines``, which make it slow."""
        return StreamDecoder(
            self._cache,
            precision=precision or self._precision,
            lenient=lenient,
            max_line_length=self._max_line_length,
            fast=lines is None,
            lines=lines,
        )

    def origin(self, sender: str, cluster: str | None = None, senders: Sequence[str] = ()) -> Origin:
        """Where lines come from; the receiver's cluster goes before the one given here."""
        return Origin(self.account, sender, self._cluster if self._cluster is not None else cluster, senders)

    def accept(self, messages: Batch, origin: Origin, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """See :meth:`IMessageSink.accept`."""
        return self._sink.accept(messages, origin, urgent=urgent)

    def announce(self, parts: Sequence[Batch], origin: Origin) -> None:
        """See :meth:`IMessageSink.announce`."""
        self._sink.announce(parts, origin)

    def flush(self) -> None:
        """See :meth:`IMessageSink.flush`."""
        self._sink.flush()

    def reject(self, errors: Sequence[LineError], sender: str) -> None:
        """Count lines that are wrong, and say so now and then."""
        if not errors:
            return
        self.account.reject("malformed", len(errors))
        host = sender.rsplit(":", 1)[0]
        samples, now = self.account.samples, self.now()
        for error in errors:
            if not samples.wants("malformed", now):
                break
            samples.add("rejected", "malformed", host, now, detail=error.reason, text=error.text)
        suppressed = self._warnings.check(("malformed", host))
        if suppressed is not None:
            error = errors[0]
            self.log.warn(
                "{receiver}: rejected a line from {sender}: line {line}, column {column}: "
                "{reason}: {text!r}{more}",
                receiver=self.account.name,
                sender=sender,
                line=error.line,
                column=error.column,
                reason=error.reason,
                text=error.text[:80],
                more=more_like_it(suppressed + len(errors) - 1),
            )

    def warn(self, thing: str, sender: str, text: str) -> None:
        """Say something about a sender, but only once in a while."""
        suppressed = self._warnings.check((thing, sender.rsplit(":", 1)[0]))
        if suppressed is not None:
            self.log.warn(
                "{receiver}: {sender}: {text}{more}",
                receiver=self.account.name,
                sender=sender,
                text=text,
                more=more_like_it(suppressed),
            )
