"""Line protocol from NATS: one or many lines in each message; a server that is away is waited for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.config import NatsReceiverConfig
from ccstore.config.kinds import Unfit
from ccstore.config.nkeys import Credentials, read_credentials
from ccstore.interfaces import IReceiver, Limits, Refusal
from ccstore.logs import RateLimit
from ccstore.message import Batch
from ccstore.network.listening import ListenError, expiry
from ccstore.network.listening import why as why_not
from ccstore.network.renewal import UNUSABLE, Renewal
from ccstore.pipeline.backlog import Backlog
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.joint import plain_together
from ccstore.receivers.nats.connection import CLOSED, PATIENCE, Connection, Introduction, NatsError, why
from ccstore.receivers.nats.framing import Delivery
from ccstore.receivers.nats.jetstream import MESSAGES, Consumer
from ccstore.receivers.nats.tls import client_material

#: Seconds between two attempts to connect: at first, and at most. Each is cut by up to a half, at random.
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 30.0
#: Seconds after which a connection counts as good, and the next attempt comes as soon as a first.
_GOOD_AFTER: Final = 5.0
_WARN_EVERY: Final = 60.0
#: Bytes of messages that are decoded at once, if nothing in them is out of the ordinary.
_TOGETHER: Final = 1 << 20
#: Bytes of a message that are decoded in one go, as for a connection over TCP.
_LEAST_PIECE, _FIRST_PIECE, _LARGEST_PIECE = 1 << 11, 1 << 13, 1 << 16
#: Seconds that what has arrived may take at the stop, and then the commit that is to be acknowledged.
_READ_OUT: Final = 2.0
_COMMIT: Final = 5.0
#: Subjects that are known with what the log calls them.
_SUBJECTS: Final = 4096


class _Source(NamedTuple):
    """Where a message comes from, and to whom it is acknowledged, if at all."""

    host: str
    reply: bytes

    def pass_over(self, lines: bytes) -> None:
        """See :class:`ccstore.pipeline.joint.Sender`; messages do not go on in one another."""


@implementer(IReceiver)
class NatsReceiver(Service):
    """See the module.

    :param max_waiting: messages that may wait to be stored, above which no more is read.
    :param max_waiting_size: the same in bytes.
    :param endpoint: of the server, instead of the one that is configured.
    :param chance: for delays, and for names that nobody else has.
    """

    log = Logger()

    def __init__(
        self,
        config: NatsReceiverConfig,
        intake: Intake,
        reactor: Any,
        *,
        max_waiting: int,
        max_waiting_size: int,
        endpoint: IStreamClientEndpoint | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.setName(config.name)
        self.intake = intake
        self.account = intake.account
        self._config = config
        self._reactor = reactor
        self._endpoint = endpoint
        self._chance = random.SystemRandom() if chance is None else chance
        self._credentials: Credentials | None = None
        self._introduction: Introduction | None = None
        self._renewal: Renewal | None = None  # of what TLS needs, if it is to be used in any case
        self._backlog = Backlog(
            intake, max_waiting=max_waiting, max_waiting_size=max_waiting_size, changed=self._set_pace
        )
        self._consumer: Consumer | None = None
        if config.stream is not None and config.durable is not None:
            self._consumer = Consumer(
                stream=config.stream,
                durable=config.durable,
                subject=config.subject,
                clock=intake.clock,
                token=self._token,
                complain=self.complain,
            )
        self._connection: Connection | None = None  # the one that messages come from
        self._running: Deferred[None] | None = None
        self._is_stopping = False
        self._attempts = 0  # without success, since the last good connection
        self._problems = RateLimit(intake.clock, _WARN_EVERY)
        self._connects = 0
        self._slow_consumer = 0
        self._left_by: str | None = None  # the server that has closed the last connection without a word
        self._decoder = intake.decoder()
        self._sources: dict[bytes, _Source] = {}
        self._unread: list[tuple[bytes, _Source]] = []  # messages that are to be decoded
        self._offset = 0  # so many bytes of the first of them are decoded already
        self._piece = _FIRST_PIECE
        self._begun = Batch()  # what has come out of them
        self._next_turn: IDelayedCall | None = None

    # -- IReceiver

    def listen(self) -> str:
        """See :meth:`IReceiver.listen`: nothing is opened, the connection is made when the daemon runs."""
        config = self._config
        if config.nkey_file is not None:
            try:
                self._credentials = read_credentials(config.nkey_file)
            except (OSError, Unfit) as error:
                raise ListenError(f"receiver {config.name!r}: {_said(error)}", "nkey_file") from None
        try:
            if config.tls.is_required:
                self._renewal = Renewal(
                    lambda: client_material(config.tls, config.address),
                    self.intake.clock,
                    f"receiver {config.name!r}",
                    why_not,
                )
        except UNUSABLE as error:
            key = "tls_ca" if config.tls.certificate is None else "tls_certificate"
            raise ListenError(f"receiver {config.name!r}: {why_not(error)}", key) from None
        self._introduction = Introduction(
            name=f"ccstore {config.name}",
            user=config.user,
            password=config.password,
            credentials=self._current_credentials,
            tls=None if self._renewal is None else self._current_tls,
            default_tls=lambda: client_material(config.tls, config.address).options,
            is_tls_first=config.tls.is_first,
            max_payload=config.max_payload,
        )
        by = "" if config.stream is None else f", by JetStream's stream {config.stream}"
        return f"line protocol from NATS at {self._server}, subject {config.subject}{by}"

    def reconfigure(self, config: NatsReceiverConfig, limits: Limits) -> bool:
        """See :meth:`IReceiver.reconfigure`: for another server or subject it takes another receiver."""
        self._config = config
        self._backlog.limit(limits.messages, limits.size)
        self.intake.set_decoder(self._decoder)
        if self._renewal is not None:
            self._renewal.look()
        return True

    async def leave(self) -> None:
        """See :meth:`IReceiver.leave`; there is no port."""

    async def stop_listening(self) -> None:
        """See :meth:`IReceiver.stop_listening`: take no more than what is on its way."""
        self._is_stopping = True
        if self._renewal is not None:
            self._renewal.stop()
        if self._running is not None and self._connection is None:
            running, self._running = self._running, None
            running.cancel()
        if self._connection is not None:
            self._connection.unsubscribe(MESSAGES)
        self._set_pace()

    async def drain(self) -> None:
        """See :meth:`IReceiver.drain`: with JetStream, what was taken is acknowledged as well."""
        clock = self.intake.clock
        if self._connection is not None:
            # What the server answers comes behind all that it has sent before.
            answered = self._connection.ping()
            answered.addTimeout(_READ_OUT, clock)
            await _whatever(answered)
        self._hand_over(_READ_OUT)
        if self._consumer is not None:
            self.intake.flush()
            committed = self._backlog.when_empty()
            committed.addTimeout(_COMMIT, clock)
            await _whatever(committed)
            if self._connection is not None:
                answered = self._connection.ping()
                answered.addTimeout(_READ_OUT, clock)
                await _whatever(answered)
        if self._connection is not None:
            connection = self._connection
            connection.close()
            gone: Deferred[None] = Deferred()
            connection.closed.chainDeferred(gone)  # type: ignore[arg-type]
            gone.addTimeout(_READ_OUT, clock)
            await _whatever(gone)
            connection.fail("closed")
        self._hand_over(_READ_OUT)

    def figures(self) -> Figures:
        """See :meth:`IReceiver.figures`."""
        found = Figures(
            connected=gauge(
                self._connection is not None, "Whether there is a connection to the NATS server."
            ),
            reconnects=counter(max(0, self._connects - 1), "Connections to the NATS server after the first."),
            slow_consumer=counter(
                self._slow_consumer, "Times the server closed the connection, since too little was read."
            ),
            pauses=counter(self._backlog.pauses, "Times when no more was read, since too much waited."),
        )
        if self._renewal is not None:
            found = found | expiry(self._renewal)
        consumer = self._consumer
        if consumer is None:
            return found
        return found | Figures(
            acknowledged=counter(consumer.acknowledged, "Messages of the stream that were acknowledged."),
            redelivered=counter(
                consumer.redelivered, "Messages that came again although they were here, and were left alone."
            ),
            pending=gauge(consumer.pending, "Messages that the stream still has for this consumer."),
        )

    # -- IService

    def startService(self) -> None:
        """Begin to connect, and never give up."""
        super().startService()
        if self._renewal is not None:
            self._renewal.start()
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self._running.addErrback(lambda failure: self.log.failure("the NATS receiver has ended", failure))

    # -- the connection

    @property
    def _server(self) -> str:
        host = f"[{self._config.address}]" if ":" in self._config.address else self._config.address
        return f"{host}:{self._config.port}"

    def _token(self) -> str:
        return f"{self._chance.getrandbits(96):024x}"

    def _current_tls(self) -> Any:
        """What TLS needs by what the files have, which may have been renewed."""
        assert self._renewal is not None
        self._renewal.look()
        return self._renewal.material.options

    def _current_credentials(self) -> Credentials | None:
        """Those in the file, which may have been renewed; the last ones that were good if it is not."""
        if self._config.nkey_file is not None:
            try:
                self._credentials = read_credentials(self._config.nkey_file)
            except (OSError, Unfit) as error:
                self.complain(f"nkey_file: {_said(error)}; going on with what it had before")
        return self._credentials

    async def _run(self) -> None:
        while True:
            began = self.intake.clock.seconds()
            try:
                connection = await self._connect()
            except CancelledError:
                raise
            except Exception as error:
                if self._is_stopping:
                    return  # that was the reason, whatever the endpoint makes of it
                self._tell("no connection", str(error) if isinstance(error, NatsError) else why(error))
            else:
                reason = await self._until_lost(connection)
                if self._is_stopping:
                    return
                self._lost(connection, reason)
                if self.intake.clock.seconds() - began >= _GOOD_AFTER:
                    self._attempts = 0
            await deferLater(self.intake.clock, self._delay())

    def _delay(self) -> float:
        """Seconds to wait before the next attempt."""
        longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(self._attempts, 16))
        self._attempts += 1
        return longest * self._chance.uniform(0.5, 1.0)

    async def _connect(self) -> Connection:
        """A connection by which messages come; raises whatever stands in the way."""
        assert self._introduction is not None
        endpoint = self._endpoint or HostnameEndpoint(
            self._reactor, self._config.address, self._config.port, timeout=PATIENCE
        )
        introduction = self._introduction
        factory = _ConnectionFactory(introduction, self)
        connection = await endpoint.connect(factory)
        assert isinstance(connection, Connection)
        try:
            await connection.ready
            if self._consumer is not None:
                await self._consumer.attach(connection)
            else:
                connection.subscribe(self._config.subject, MESSAGES, self._config.queue_group)
                await connection.ping()
        except BaseException:
            if self._consumer is not None:
                self._consumer.detach()
            connection.fail("given up")
            raise
        return connection

    async def _until_lost(self, connection: Connection) -> str:
        self._connection = connection
        self._connects += 1
        # To whom it cannot send any more, a server has no words either. One that was started anew has another
        # name.
        if self._left_by is not None and self._left_by == connection.server_id:
            self._was_too_slow()
        self._left_by = None
        connection.set_paused(self._is_paused)
        suppressed = self._problems.check("connected")
        if suppressed is not None:
            self.log.info(
                "{receiver}: connected to {server}, {what}, and subscribed to {subject}{more}",
                receiver=self.account.name,
                server=self._server,
                what=connection.server,
                subject=self._config.subject,
                more=f" ({suppressed} more like it)" if suppressed else "",
            )
        reason = await connection.closed
        self._connection = None
        if self._consumer is not None:
            self._consumer.detach()
        return reason

    def _lost(self, connection: Connection, reason: str) -> None:
        """The server is away, or has thrown us out."""
        if "slow consumer" in reason.lower():
            self._was_too_slow()
        self._left_by = connection.server_id if reason == CLOSED else None
        self._tell("connection lost", reason)

    def _was_too_slow(self) -> None:
        self._slow_consumer += 1
        fate = "may be lost" if self._consumer is None else "will come again"
        self.complain(
            "the server has closed the connection because we were too slow for what it had to send; "
            f"messages {fate}"
        )

    def _tell(self, thing: str, reason: str) -> None:
        """Say what is wrong with the server, once in a while."""
        suppressed = self._problems.check(thing)
        if suppressed is not None:
            self.log.warn(
                "{receiver}: NATS at {server}: {thing}: {reason}; trying again until it works{more}",
                receiver=self.account.name,
                server=self._server,
                thing=thing,
                reason=reason,
                more=f" ({suppressed} more like it)" if suppressed else "",
            )

    def complain(self, text: str) -> None:
        self.intake.warn(text, f"NATS at {self._server}", text)

    # -- messages

    def take(self, deliveries: list[Delivery]) -> None:
        """Take what a connection has read in one go."""
        consumer = self._consumer
        if consumer is not None:
            deliveries = consumer.sort(deliveries)
        unread = self._unread
        refused: list[bytes] = []
        for delivery in deliveries:
            source = self._sources.get(delivery.subject) or self._source(delivery.subject)
            if consumer is not None:
                source = source._replace(reply=delivery.reply)
            if delivery.payload is None:
                self.account.reject("too_large")
                self.intake.warn(
                    "too large",
                    source.host,
                    f"rejected a message of {delivery.size} bytes, max_payload is {self._config.max_payload}",
                )
                refused.append(source.reply)
            else:
                unread.append((delivery.payload, source))
        if consumer is not None and refused:
            consumer.settle(refused, are_stored=True)
        if self._next_turn is None:
            self._hand_over()

    def _source(self, subject: bytes) -> _Source:
        if len(self._sources) >= _SUBJECTS:
            self._sources.clear()
        text = subject.decode("utf-8", "replace")
        shown = "".join(char if char.isprintable() else "?" for char in text[:200])
        source = self._sources[subject] = _Source(f"subject {shown}", b"")
        return source

    def _hand_over(self, seconds: float | None = None) -> None:
        """Decode the messages that have come, as far as there is time, and pass them on."""
        if self._next_turn is not None:
            if self._next_turn.active():
                self._next_turn.cancel()
            self._next_turn = None
        unread, self._unread = self._unread, []
        decoded = None
        size = sum([len(payload) for payload, _ in unread])
        if not self._offset and size <= _TOGETHER:
            decoded = plain_together(self._decoder, unread, self.intake.now())
        if decoded is None:
            decoded, done = self._decode(
                unread, self.intake.scheduler.share(self) if seconds is None else seconds
            )
            unread, self._unread = unread[:done], unread[done:]
            size = sum([len(payload) for payload, _ in unread])
        self._accept(*decoded, [source.reply for _, source in unread] if self._consumer else [], size)
        if self._unread:
            self._next_turn = self.intake.clock.callLater(0, self._hand_over)
        self._set_pace()

    def _decode(
        self, unread: Sequence[tuple[bytes, _Source]], seconds: float
    ) -> tuple[tuple[Batch, list[str]], int]:
        """Decode piece by piece; gives what came out of whole messages, and how many these are."""
        clock = self.intake.clock
        end = clock.seconds() + seconds
        messages = Batch()
        hosts: list[str] = []
        done = 0
        while done < len(unread) and clock.seconds() <= end:
            payload, source = unread[done]
            piece = payload[self._offset : self._offset + self._piece]
            self._offset += len(piece)
            is_complete = self._offset >= len(payload)
            now = self.intake.now()
            decoded = self._decoder.feed(piece, now)
            errors = decoded.errors
            self._begun.extend(decoded.messages)
            if is_complete:
                decoded = self._decoder.finish(now)
                errors = [*errors, *decoded.errors]
                self._begun.extend(decoded.messages)
                messages.extend(self._begun)
                hosts += [source.host] * len(self._begun)
                self._begun = Batch()
                self._offset = 0
                done += 1
            self.intake.reject(errors, source.host)
            self._piece = _LEAST_PIECE if errors else min(2 * self._piece, _LARGEST_PIECE)
        return (messages, hosts), done

    def _accept(self, messages: Batch, hosts: list[str], replies: list[bytes], size: int) -> None:
        consumer = self._consumer
        if not messages:
            if consumer is not None:
                consumer.settle(replies, are_stored=True)
            return
        committed = self.intake.accept(messages, self.intake.origin("", senders=hosts), urgent=False)
        if consumer is not None:

            def settle(result: Sequence[Refusal]) -> Sequence[Refusal]:
                consumer.settle(replies, are_stored=True)
                return result

            def send_again(failure: Failure) -> Failure:
                consumer.settle(replies, are_stored=False)
                return failure

            committed.addCallbacks(settle, send_again)
        self._backlog.wait_for(committed, size)
        if consumer is not None and consumer.is_urgent:
            self.intake.flush()

    @property
    def _is_paused(self) -> bool:
        return self._backlog.is_paused or bool(self._unread)

    def _set_pace(self) -> None:
        """Read on, or not for the time being."""
        if self._connection is not None:
            self._connection.set_paused(self._is_paused)
        if self._consumer is not None:
            self._consumer.set_paused(self._backlog.is_paused or self._is_stopping)


class _ConnectionFactory(Factory):
    """Makes the one connection of an attempt."""

    noisy = False

    def __init__(self, introduction: Introduction, receiver: NatsReceiver) -> None:
        self._introduction = introduction
        self._receiver = receiver

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        receiver = self._receiver
        return Connection(self._introduction, receiver.intake.clock, receiver.take, receiver.complain)


async def _whatever(answered: Deferred[Any]) -> None:
    """Wait, for what comes or does not."""
    with suppress(NatsError, TimeoutError, CancelledError):
        await answered


def _said(error: OSError | Unfit) -> str:
    if isinstance(error, Unfit):
        return f"expected {error.expected}"
    return why_not(error)
