"""The daemon, put together from a configuration: which parts there are, and what each of them is given."""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver

from ccstore.accounting.account import Account
from ccstore.api.app import Api
from ccstore.api.rest_service import ApiService
from ccstore.config import (
    TCP_CONNECTIONS,
    ApiConfig,
    BackendConfig,
    Config,
    EecptReceiverConfig,
    HttpReceiverConfig,
    NatsReceiverConfig,
    ReceiverConfig,
    SqliteConfig,
    StorageConfig,
    TcpReceiverConfig,
    UdpReceiverConfig,
    missing_folder,
)
from ccstore.daemon.introduction import StartLines, settings
from ccstore.daemon.new_templates import NewTemplates
from ccstore.daemon.process import Process
from ccstore.daemon.reload import Reloader
from ccstore.daemon.service import DatabasePlace, EventStoreService
from ccstore.daemon.statistics import Statistics
from ccstore.insight.first_study import Sighting, SightingsInquiry
from ccstore.interfaces import IBackend, IMessageSink, IReceiver, IShared, Limits
from ccstore.keeping import KeepRule, bounds
from ccstore.lineprotocol import SeriesCache
from ccstore.loki.loki_routes import LokiRoutes
from ccstore.network.open_files import OpenFiles
from ccstore.page.page_resource import PageResource
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.router import Router
from ccstore.pipeline.scheduler import Scheduler
from ccstore.processing.sink import RuleSink
from ccstore.query import Counting, Counts
from ccstore.reading.feed import Feed
from ccstore.reading.following import KEEP_ALIVE
from ccstore.receivers.eecpt import EecptReceiver, PhaseSink
from ccstore.receivers.http import HttpReceiver
from ccstore.receivers.nats.receiver import NatsReceiver
from ccstore.receivers.tcp import TcpReceiver
from ccstore.receivers.udp import UdpReceiver
from ccstore.senders.register import SenderRegister
from ccstore.senders.sender_watch import SenderWatch
from ccstore.storage.pack_settings import NO_PACKING, Packing
from ccstore.storage.queue import Bounds
from ccstore.storage.spool import Spool, SpoolFile
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.storage_service import StorageService
from ccstore.timing import nanoseconds
from ccstore.web import Room
from ccstore.web.places import AnswerBounds

#: The types of receivers; one that is a special case of another goes before it.
_KINDS = {
    "tcp": TcpReceiverConfig,
    "udp": UdpReceiverConfig,
    "eecpt": EecptReceiverConfig,
    "http": HttpReceiverConfig,
    "nats": NatsReceiverConfig,
}
#: The same, as rules see them in ``meta.source``.
_SOURCES = {
    "tcp": "TcpReceiver",
    "udp": "UdpReceiver",
    "http": "HttpReceiver",
    "eecpt": "EECPTReceiver",
    "nats": "NatsReceiver",
}


#: Seconds that the store has to say who sent, and what.
_LEARNING_TIMEOUT = 20.0
#: Seconds that whoever checks a configuration waits for a database.
_CHECK_TIMEOUT = 3.0


async def _no_file() -> Config:
    raise AssertionError("there is no file")


def build(
    config: Config,
    reactor: Any,
    *,
    process: Process | None = None,
    log_observer: ILogObserver | None = None,
    introduction: Sequence[str] = (),
    path: Path | None = None,
    read: Callable[[], Awaitable[Config]] = _no_file,
    set_level: Callable[[Config], None] = lambda config: None,
    files: OpenFiles | None = None,
    backend: IBackend | None = None,
    keep_alive: float = KEEP_ALIVE,
) -> EventStoreService:
    """The daemon for a configuration; see :class:`EventStoreService` for the rest.

    :param path: where the configuration is, for people; ``read`` reads it again.
    :param set_level: lets the log have what a configuration wants.
    :param files: that may be open, if not those of this process.
    :param backend: instead of the one of the configuration.
    :param keep_alive: see :class:`Following`.
    """
    parts = _Parts(config, reactor, set_level, files or OpenFiles(reactor), backend, keep_alive)
    service = EventStoreService(
        parts.storage,
        reactor,
        files=parts.files,
        senders=parts.senders,
        new_templates=parts.new_templates() if config.storage.announce_new else None,
        connections=_connections(config),
        instance=parts.instance,
        database=DatabasePlace(
            _database_key(config.storage.backend), lambda: _missing(config.storage.backend)
        ),
        lines=StartLines(introduction, settings(config), config.warnings),
        process=process,
        log_observer=log_observer,
    )
    for receiver in config.receivers:
        service.roster.add_receiver(parts.receiver(receiver))
    service.roster.set_api(*parts.api(config.api, service.statistics))
    service.set_reloader(Reloader(config, path, read, parts, service.roster))
    return service


def _connections(config: Config) -> int:
    """How many connections the configuration wants to have; a default is only how many are let in."""
    wanted = (getattr(receiver, "max_connections", 0) for receiver in config.receivers)
    return sum(number for number in wanted if number != TCP_CONNECTIONS)


@frozen
class _Common:
    """What all who take lines in have in common."""

    cache: SeriesCache
    scheduler: Scheduler
    room: Room


class _Parts:
    """Makes the parts of the daemon, and knows those that are there only once."""

    def __init__(
        self,
        config: Config,
        reactor: Any,
        set_level: Callable[[Config], None],
        files: OpenFiles,
        backend: IBackend | None,
        keep_alive: float,
    ) -> None:
        self._reactor = reactor
        self._keep_alive = keep_alive
        self._set_level = set_level
        self.files = files
        self.instance = uuid.uuid4().hex[:16]
        self._limits = _limits(config)
        self._common = _Common(SeriesCache(), Scheduler(reactor), Room())
        settings = config.storage
        backend = backend or make_backend(
            settings.backend,
            settings.retention_time,
            settings.rules,
            lambda: nanoseconds(reactor.seconds()),
            self.instance,
            reactor,
            # On a single core there is nothing to gain by it.
            is_apart=len(os.sched_getaffinity(0)) > 1,
            packing=Packing(settings.pack_after, settings.pack_index == "words"),
        )
        self._feed, self.storage = self._store(settings, backend)
        self.senders = self._watch(is_shared=IShared.providedBy(backend))
        self._router = Router(
            self.storage,
            reactor,
            retention=settings.retention_time,
            bounds=bounds(settings.retention_time, settings.rules),
            store_logs=settings.store_logs,
            store_heartbeats=settings.store_heartbeats,
            period_of=self.storage.retention.period_of,
            heard=self.senders.register.hear,
        )

    def _store(self, settings: StorageConfig, backend: IBackend) -> tuple[Feed, StorageService]:
        """What stores, and what tells of it."""
        spool = settings.spool
        feed = Feed(
            self._reactor,
            lambda: storage.retention.first_cutoff(),
            lambda stream, time: storage.retention.has_expired(stream, time),
        )
        storage = StorageService(
            backend,
            self._reactor,
            retention=settings.retention_time,
            rules=settings.rules,
            max_size=settings.max_size,
            flush_time=settings.flush_time,
            bounds=Bounds(settings.max_waiting, settings.batch_size),
            spool=None
            if spool is None
            else Spool(spool.path, SpoolFile(spool.max_size), self._reactor, mode=spool.file_mode),
            published=backend.tell(feed) if IShared.providedBy(backend) else feed.publish,
        )
        return feed, storage

    def _watch(self, *, is_shared: bool) -> SenderWatch:
        """Watches the senders, see :class:`SenderWatch`."""

        def counts(counting: Counting) -> Deferred[Counts]:
            return self.storage.answers.counts(counting, timeout=_LEARNING_TIMEOUT)

        return SenderWatch(
            SenderRegister(), self._reactor, self._common.scheduler.turn, counts, is_shared=is_shared
        )

    def new_templates(self) -> NewTemplates:
        """Tells of templates that were never seen before."""

        def ask(inquiry: SightingsInquiry) -> Deferred[Mapping[str, Sighting]]:
            studied = self.storage.answers.insight(inquiry, timeout=_LEARNING_TIMEOUT)
            # What is damaged may be named as new once more.
            return studied.addCallback(attrgetter("found"))

        return NewTemplates(self._reactor, ask, lambda batch: self.storage.accept(batch, urgent=False))

    async def reconfigure(self, config: Config) -> None:
        """See :class:`ccstore.daemon.reload.Parts`."""
        self._set_level(config)
        self._limits = _limits(config)
        settings = config.storage
        self._router.reconfigure(
            retention=settings.retention_time,
            bounds=bounds(settings.retention_time, settings.rules),
            store_logs=settings.store_logs,
            store_heartbeats=settings.store_heartbeats,
        )
        await self.storage.reconfigure(
            retention=settings.retention_time,
            rules=settings.rules,
            max_size=settings.max_size,
            flush_time=settings.flush_time,
            bounds=Bounds(settings.max_waiting, settings.batch_size),
            max_spooled=None if settings.spool is None else settings.spool.max_size,
        )

    def api(self, config: ApiConfig, shown: Statistics) -> tuple[ApiService, Account]:
        """The REST interface, and the books of what is written to it."""
        intake = Intake(
            "api",
            "api",
            self._router,
            self._reactor,
            cache=self._common.cache,
            scheduler=self._common.scheduler,
        )
        bounds = AnswerBounds(config)
        keep_alive = self._keep_alive
        loki = LokiRoutes(config, self.storage.answers, self._reactor, intake, self._feed, bounds, keep_alive)
        api = Api(
            config,
            intake,
            self.storage,
            self._reactor,
            shown.figures,
            shown.samples,
            shown.history,
            self._feed,
            PageResource(),
            loki,
            bounds,
            self.senders,
            self.files.problems,
            keep_alive,
        )
        return ApiService(
            config, api, self._reactor, self._common.room, self.files, self._feed.close
        ), intake.account

    def receiver(self, config: ReceiverConfig, account: Account | None = None) -> IReceiver:
        """See :class:`ccstore.daemon.reload.Parts`."""
        reactor = self._reactor
        sink: IMessageSink = self._router
        if isinstance(config, EecptReceiverConfig):
            sink = PhaseSink(config, sink, reactor)
        intake = Intake(
            config.name,
            _kind(config),
            self._with_rules(config, sink),
            reactor,
            cache=self._common.cache,
            scheduler=self._common.scheduler,
            account=account,
            **_line_settings(config),
        )
        if isinstance(sink, PhaseSink):
            return EecptReceiver(
                cast(EecptReceiverConfig, config), intake, sink, reactor, self._common.room, self.files
            )
        if isinstance(config, HttpReceiverConfig):
            return HttpReceiver(config, intake, reactor, self._common.room, self.files)
        limits: dict[str, Any] = {"max_waiting": self._limits.messages, "max_waiting_size": self._limits.size}
        if isinstance(config, TcpReceiverConfig):
            return TcpReceiver(config, intake, reactor, files=self.files, **limits)
        if isinstance(config, NatsReceiverConfig):
            return NatsReceiver(config, intake, reactor, **limits)
        return UdpReceiver(config, intake, reactor, **limits)

    def reconfigure_receiver(
        self, receiver: IReceiver, before: ReceiverConfig, config: ReceiverConfig
    ) -> bool:
        """See :class:`ccstore.daemon.reload.Parts`."""
        if config != before:
            sink = receiver.phases if isinstance(receiver, EecptReceiver) else self._router
            receiver.intake.reconfigure(self._with_rules(config, sink), **_line_settings(config))
        is_fine: bool = receiver.reconfigure(config, self._limits)
        return is_fine

    def _with_rules(self, config: ReceiverConfig, sink: IMessageSink) -> IMessageSink:
        """The sink behind the rules, if there are any."""
        if not config.rules:
            return sink
        return RuleSink(config.rules, f"{_SOURCES[_kind(config)]}({config.name})", sink, self._reactor)


def _kind(config: ReceiverConfig) -> str:
    """The type of a receiver, as the configuration names it."""
    return next(kind for kind, made_for in _KINDS.items() if isinstance(config, made_for))


def _line_settings(config: ReceiverConfig) -> dict[str, Any]:
    """What lines of a receiver are like, see :class:`Intake`."""
    return {
        "cluster": config.cluster,
        "precision": config.precision,
        "max_line_length": getattr(config, "max_line_length", None),
    }


def _limits(config: Config) -> Limits:
    """Receivers that can hold their senders back do so before the storage has to refuse anything."""
    streaming = sum(not isinstance(receiver, HttpReceiverConfig) for receiver in config.receivers)
    share = 2 * max(1, streaming)
    bounds = Bounds(config.storage.max_waiting, config.storage.batch_size)
    return Limits(bounds.waiting // share, bounds.size // share)


def make_backend(
    config: BackendConfig,
    retention: float,
    rules: Sequence[KeepRule] | None,
    now: Callable[[], int],
    instance: str,
    reactor: Any,
    *,
    is_apart: bool = False,
    packing: Packing = NO_PACKING,
) -> IBackend:
    """The backend for a configuration, not open yet.

    :param rules: None for those that the database has.
    :param is_apart: see :class:`SqliteBackend`, as for ``packing``.
    """
    if isinstance(config, SqliteConfig):
        return SqliteBackend(
            config.database_path,
            config.pragmas,
            retention=retention,
            rules=rules,
            packing=packing,
            now=now,
            reactor=reactor,
            is_apart=is_apart,
            mode=config.file_mode,
        )
    # It needs packages that not every installation has; the configuration has seen to it that they are there.
    from ccstore.storage.postgres import PostgresBackend

    return PostgresBackend(
        config.dsn,
        config.parameters,
        packing=packing,
        connection_timeout=config.connection_timeout,
        text_index=config.text_index,
        retention=retention,
        rules=rules,
        now=now,
        instance=instance,
        reactor=reactor,
    )


def remarks(config: Config) -> Sequence[str]:
    """What only the database knows of a configuration that is good; nothing is changed there."""
    backend = config.storage.backend
    if isinstance(backend, SqliteConfig):
        return []
    from ccstore.storage.postgres import Address, search_in

    timeout = min(backend.connection_timeout, _CHECK_TIMEOUT)
    return [search_in(Address(backend.dsn, backend.parameters), timeout, is_wanted=backend.text_index)]


def _database_key(config: BackendConfig) -> str:
    """What to look at in the configuration if the database cannot be opened."""
    return "storage.backend" + (".database_path" if isinstance(config, SqliteConfig) else "")


def _missing(config: BackendConfig) -> str | None:
    """What the database lacks to be opened, if that can be seen from outside."""
    return missing_folder(config.database_path) if isinstance(config, SqliteConfig) else None
