"""What an admin wants to read in the log when the daemon starts, besides where it listens and stores."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import twisted
from attrs import frozen

from ccstore import __version__
from ccstore.config import Config
from ccstore.durations import show_duration


@frozen
class StartLines:
    """What the log has of the start.

    :ivar introduction: its first lines.
    :ivar settings: the lines that follow on where messages are stored.
    :ivar warnings: of the configuration.
    """

    introduction: Sequence[str] = ()
    settings: Sequence[str] = ()
    warnings: Sequence[str] = ()


def introduce(config_path: Path | None) -> Sequence[str]:
    """What runs here, and by which configuration; the first lines of the log."""
    return [
        f"ccstore {__version__} starts, process {os.getpid()}: Python {platform.python_version()}, Twisted"
        f" {twisted.__version__}",
        "configuration: "
        + (f"{config_path}" if config_path is not None else "none, so it serves only this machine"),
    ]


def settings(config: Config) -> Sequence[str]:
    """How long what is stored is kept, and the limits of what waits to be stored."""
    storage = config.storage
    logs = "logs for ever" if storage.store_logs else "logs are not stored"
    spool = storage.spool
    return [
        f"events are kept for {show_duration(storage.retention_time)}, {logs}",
        *(f"but for {show_duration(rule.period)}: {rule.match}" for rule in storage.rules),
        f"at most {storage.max_waiting:,} messages wait in memory to be stored"
        + (f", and {spool.max_size >> 20:,} MiB in the spool {spool.path}" if spool is not None else ""),
    ]
