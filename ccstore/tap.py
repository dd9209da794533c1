"""``twistd ccstore``: its options, and the place where the parts are put together."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from twisted.logger import ILogObserver

from ccstore import __version__
from ccstore.api.app import Api
from ccstore.api.service import ApiService
from ccstore.config import (
    BackendConfig,
    Config,
    ConfigError,
    EecptReceiverConfig,
    HttpReceiverConfig,
    NatsReceiverConfig,
    ReceiverConfig,
    SqliteConfig,
    TcpReceiverConfig,
    load_config,
    missing_folder,
)
from ccstore.flags import GoOptions
from ccstore.intake import Intake
from ccstore.interfaces import IBackend, IMessageSink, IReceiver
from ccstore.introduction import introduce, settings
from ccstore.lineprotocol import Precision, SeriesCache
from ccstore.logs import LEVELS, make_log
from ccstore.openfiles import OpenFiles
from ccstore.pace import Pace
from ccstore.process import Process
from ccstore.processing.sink import RuleSink
from ccstore.receivers.eecpt import EecptReceiver, PhaseSink
from ccstore.receivers.http import HttpReceiver
from ccstore.receivers.nats.receiver import NatsReceiver
from ccstore.receivers.tcp import TcpReceiver
from ccstore.receivers.udp import UdpReceiver
from ccstore.router import Router
from ccstore.service import EventStoreService
from ccstore.storage.service import MAX_WAITING_SIZE, StorageService
from ccstore.storage.spool import Spool
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.web import Room

#: The types of receivers, as rules see them in ``meta.source``.
_SOURCES = {
    "tcp": "TcpReceiver",
    "udp": "UdpReceiver",
    "http": "HttpReceiver",
    "eecpt": "EECPTReceiver",
    "nats": "NatsReceiver",
}


class Options(GoOptions):
    """The options of ``twistd ccstore``; those of the Go daemon mean here what they mean there."""

    synopsis = "[options]"
    longdesc = "A short-term store for the events and logs of HPC clusters."
    optParameters = [
        ["config", "c", None, "Configuration file, JSON or YAML; without it, SQLite and loopback ports."],
        ["loglevel", "l", "info", f"What the log has: {', '.join(LEVELS)}."],
    ]
    optFlags = [
        ["logdate", None, "Date and time in each line of the log, in systemd's journal too."],
        ["check", None, "Read the configuration, say what is wrong with it, and exit."],
        ["lenient", None, "Only warn of keys in the configuration that are not known."],
        ["strict", None, "Take warnings about the configuration for problems."],
    ]

    config: Config
    config_path: Path | None

    def postOptions(self) -> None:
        """Read the configuration here, in the directory the command was given in. Exits if it is wrong."""
        level = self["loglevel"].lower()
        if level not in LEVELS:
            names = ", ".join(LEVELS)
            print(f"--loglevel: expected one of {names}, got {self['loglevel']!r}", file=sys.stderr)
            raise SystemExit(1)
        path = self.config_path = None if self["config"] is None else Path(self["config"]).absolute()
        try:
            self.config = load_config(path, cwd=Path.cwd(), environ=os.environ, lenient=bool(self["lenient"]))
        except ConfigError as error:
            print(error, file=sys.stderr)
            raise SystemExit(1) from None
        is_refused = bool(self["strict"] and self.config.warnings)
        if self["check"] or is_refused:
            for warning in self.config.warnings:
                print(f"warning: {warning}", file=sys.stderr)
        if is_refused:
            raise SystemExit(1)
        if self["check"]:
            print("the configuration is good" if path is None else f"{path}: the configuration is good")
            raise SystemExit(0)

    def getSynopsis(self) -> str:
        """For whoever called us by another name than twistd's, see :mod:`ccstore.cli`."""
        command = getattr(self.parent, "command", None)
        return super().getSynopsis() if command is None else f"Usage: {command} {self.synopsis}"

    def opt_version(self) -> None:
        """Print the version, and exit."""
        print(f"ccstore {__version__}")
        raise SystemExit(0)


def makeService(options: Options, reactor: Any = None) -> EventStoreService:
    """Put the daemon together. Nothing is opened before it starts, but for the log."""
    if reactor is None:
        from twisted.internet import reactor
    twistd: Mapping[str, Any] = options.parent or {}
    observer = None
    if twistd and not twistd.get("logger") and not twistd.get("syslog"):
        log_file = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
        level = options["loglevel"].lower()
        try:
            observer = make_log(
                level,
                log_file,
                reactor,
                with_date=bool(options["logdate"]),
                mode=options.config.storage.file_mode,
            )
        except OSError as error:
            print(
                f"cannot write the log {log_file}: {(error.strerror or str(error)).lower()}", file=sys.stderr
            )
            raise SystemExit(1) from None
    pidfile = twistd.get("pidfile")
    process = Process(
        pidfile=Path(pidfile).absolute() if pidfile else None,
        status_pipe=lambda: twistd.get("statusPipe"),
    )
    return build(
        options.config,
        reactor,
        process=process,
        log_observer=observer,
        introduction=introduce(options.config_path),
    )


def build(
    config: Config,
    reactor: Any,
    *,
    process: Process | None = None,
    log_observer: ILogObserver | None = None,
    introduction: Sequence[str] = (),
) -> EventStoreService:
    """The daemon for a configuration; see :class:`EventStoreService` for the rest."""

    def now() -> int:
        return int(reactor.seconds() * 1e9)

    storage_config = config.storage
    instance = uuid.uuid4().hex[:16]
    backend = make_backend(
        storage_config.backend,
        storage_config.retention_time,
        now,
        instance,
        reactor,
        # On a single core there is nothing to gain by it.
        is_apart=len(os.sched_getaffinity(0)) > 1,
    )
    spool = storage_config.spool
    storage = StorageService(
        backend,
        reactor,
        retention=storage_config.retention_time,
        flush_time=storage_config.flush_time,
        batch_size=storage_config.batch_size,
        max_waiting=storage_config.max_waiting,
        spool=None if spool is None else Spool(spool.path, spool.max_size, reactor, mode=spool.file_mode),
    )
    router = Router(
        storage,
        reactor,
        retention=storage_config.retention_time,
        store_logs=storage_config.store_logs,
        store_heartbeats=storage_config.store_heartbeats,
    )
    files = OpenFiles(reactor)
    service = EventStoreService(
        storage,
        reactor,
        files=files,
        connections=sum(getattr(receiver, "max_connections", 0) for receiver in config.receivers),
        instance=instance,
        database_key=_database_key(storage_config.backend),
        missing=lambda: _missing(storage_config.backend),
        warnings=config.warnings,
        process=process,
        log_observer=log_observer,
        introduction=introduction,
        settings=settings(config),
    )
    streaming = sum(not isinstance(receiver, HttpReceiverConfig) for receiver in config.receivers)
    # Receivers that can hold their senders back do so before the storage has to refuse anything.
    share = 2 * max(1, streaming)
    cache, pace, room = SeriesCache(), Pace(reactor), Room()
    for receiver in config.receivers:
        service.add_receiver(
            _receiver(
                receiver,
                router,
                reactor,
                cache,
                pace,
                room,
                files,
                max_waiting=storage_config.max_waiting // share,
                max_waiting_size=MAX_WAITING_SIZE // share,
            )
        )
    intake = Intake("api", "api", router, reactor, cache=cache, pace=pace)
    api = Api(config.api, intake, storage, reactor, service.figures, service.samples, files.problems)
    service.set_api(ApiService(config.api, api, reactor, room, files), intake.account)
    return service


def make_backend(
    config: BackendConfig,
    retention: float,
    now: Callable[[], int],
    instance: str,
    reactor: Any,
    *,
    is_apart: bool = False,
) -> IBackend:
    """The backend for a configuration, not open yet.

    :param is_apart: see :class:`SqliteBackend`.
    """
    if isinstance(config, SqliteConfig):
        return SqliteBackend(
            config.database_path,
            config.pragmas,
            retention=retention,
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
        connection_timeout=config.connection_timeout,
        retention=retention,
        now=now,
        instance=instance,
        reactor=reactor,
    )


def _database_key(config: BackendConfig) -> str:
    """What to look at in the configuration if the database cannot be opened."""
    return "storage.backend" + (".database_path" if isinstance(config, SqliteConfig) else "")


def _missing(config: BackendConfig) -> str | None:
    """What the database lacks to be opened, if that can be seen from outside."""
    return missing_folder(config.database_path) if isinstance(config, SqliteConfig) else None


def _receiver(
    config: ReceiverConfig,
    router: Router,
    reactor: Any,
    cache: SeriesCache,
    pace: Pace,
    room: Room,
    files: OpenFiles,
    **limits: Any,
) -> IReceiver:
    def intake(kind: str, max_line_length: int | None = None, sink: IMessageSink = router) -> Intake:
        if config.rules:
            sink = RuleSink(config.rules, f"{_SOURCES[kind]}({config.name})", sink, reactor)
        return Intake(
            config.name,
            kind,
            sink,
            reactor,
            cluster=config.cluster,
            precision=cast(Precision, config.precision),
            max_line_length=max_line_length,
            cache=cache,
            pace=pace,
        )

    if isinstance(config, EecptReceiverConfig):
        phases = PhaseSink(config, router, reactor)
        return EecptReceiver(config, intake("eecpt", sink=phases), phases, reactor, room, files)
    if isinstance(config, HttpReceiverConfig):
        return HttpReceiver(config, intake("http"), reactor, room, files)
    if isinstance(config, TcpReceiverConfig):
        return TcpReceiver(config, intake("tcp", config.max_line_length), reactor, files=files, **limits)
    if isinstance(config, NatsReceiverConfig):
        return NatsReceiver(config, intake("nats"), reactor, **limits)
    return UdpReceiver(config, intake("udp", config.max_line_length), reactor, **limits)
