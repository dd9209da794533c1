"""``twistd ccstore``: its options, and what twistd is given to run."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool

from ccstore.commands.check_data import check_data
from ccstore.commands.description import FILE, choice
from ccstore.commands.options import GoOptions
from ccstore.config import (
    Config,
    ConfigError,
    Problem,
    load_config,
)
from ccstore.config.values import Words
from ccstore.daemon.assembly import build, remarks
from ccstore.daemon.introduction import introduce
from ccstore.daemon.log import Log, make_log
from ccstore.daemon.process import Process, hold_reloads
from ccstore.daemon.service import EventStoreService
from ccstore.logs import LEVELS


class Options(GoOptions):
    """The options of ``twistd ccstore``; those of the Go daemon mean here what they mean there."""

    optParameters = [
        ["config", "c", None, "Configuration file, JSON or YAML; without it, SQLite and loopback ports."],
        ["loglevel", "l", None, "The least that the log has; else log_level in the file, else info."],
    ]
    optFlags = [
        ["logdate", None, "Date and time in each line of the log, in systemd's journal too."],
        ["check", None, "Read the configuration, say what is wrong with it, and exit."],
        ["data", None, "Read all messages of the database as well, and say which are damaged."],
        ["lenient", None, "Only warn of keys in the configuration that are not known."],
        ["strict", None, "Take warnings about the configuration for problems."],
    ]

    option_values = {"config": FILE, "loglevel": choice(*LEVELS)}

    config: Config
    path: Path | None

    @property
    def _only_checks(self) -> bool:
        return self.full_name == "ccstore check"

    @property
    def hidden(self) -> Collection[str]:  # type: ignore[override]
        return ("check", "loglevel", "logdate") if self._only_checks else ("data",)

    @property
    def longdesc(self) -> str:
        if self._only_checks:
            return (
                "Reads a configuration, and lists everything that is wrong with it. A PostgreSQL database is "
                "asked how words are found in it. Nothing is started. With --data it may take minutes, "
                "and a daemon may have the database open meanwhile."
            )
        return (
            "Starts the daemon, a short-term store for the events and logs of HPC clusters. Without a "
            "configuration file, it keeps them in ccstore.db in the working directory, and listens on the "
            "loopback only."
        )

    @property
    def statuses(self) -> Sequence[tuple[str, str]]:  # type: ignore[override]
        if self._only_checks:
            return (
                ("0", "The configuration is good, and so is the data, if it was to be read."),
                ("1", "It is not, or the options are wrong."),
            )
        return (
            ("0", "Asked for the check, the version or the help text, it did that."),
            ("1", "The options or the configuration are wrong, or the daemon cannot start."),
            ("signal", "The daemon was stopped: it ends by SIGTERM or SIGINT itself."),
        )

    def load(self) -> Config:
        """Read the configuration; raises :class:`ConfigError`."""
        return load_config(self.path, cwd=self._cwd, environ=os.environ, lenient=bool(self["lenient"]))

    def level_for(self, config: Config) -> str:
        """What the log has: the command goes before the file."""
        return (self["loglevel"] or config.log_level or "info").lower()

    def postOptions(self) -> None:
        """Read the configuration here, in the directory the command was given in. Exits if it is wrong."""
        level = self["loglevel"]
        if level is not None and level.lower() not in LEVELS:
            names = ", ".join(LEVELS)
            print(f"--loglevel: expected one of {names}, got {level!r}", file=sys.stderr)
            raise SystemExit(1)
        self.path = path = None if self["config"] is None else Path(self["config"]).absolute()
        # Where relative paths are looked up whenever it is read, wherever the daemon runs.
        self._cwd = Path.cwd()
        try:
            self.config = self.load()
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
            for remark in remarks(self.config):
                print(remark)
            raise SystemExit(0 if not self["data"] or check_data(self.config) else 1)


def makeService(options: Options, reactor: Any = None) -> EventStoreService:
    """Put the daemon together. Nothing is opened before it starts, but for the log."""
    if reactor is None:
        from twisted.internet import reactor
    twistd: Mapping[str, Any] = options.parent or {}
    if twistd:
        hold_reloads()
    log: Log | None = None
    if twistd and not twistd.get("logger") and not twistd.get("syslog"):
        log_file = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
        level = options.level_for(options.config)
        try:
            log = make_log(
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

    def read() -> Deferred[Config]:
        if options.path is not None and options.path.exists() and not options.path.is_file():
            # A pipe would be waited for for ever.
            problem = Problem(str(options.path), "", Words("something else"), "a file, to read it again")
            return fail(ConfigError((problem,)))
        # In a thread: it takes a while, and what is sent meanwhile goes on.
        return deferToThreadPool(reactor, reactor.getThreadPool(), options.load)

    return build(
        options.config,
        reactor,
        process=process,
        log_observer=log,
        introduction=introduce(options.path),
        path=options.path,
        read=read,
        set_level=lambda config: None if log is None else log.set_level(options.level_for(config)),
    )
