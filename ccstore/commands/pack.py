"""``ccstore pack``: packs what is old in the store, while no daemon runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol, TextIO

from twisted.python import usage

from ccstore.commands.copy import needs_postgres
from ccstore.commands.description import DURATION, FILE
from ccstore.commands.options import CommandOptions, parse
from ccstore.config import ConfigError, SqliteConfig, StorageConfig, load_config
from ccstore.durations import Duration
from ccstore.interfaces import StoreError
from ccstore.storage.sqlite.packing_offline import OfflinePacking
from ccstore.timing import nanoseconds

#: Seconds between two lines about how far it is.
_PROGRESS_EVERY: Final = 2.0


class Options(CommandOptions):
    """The options of ``ccstore pack``."""

    command = "pack"
    longdesc = (
        "Packs the older messages of the store, as the daemon does bit by bit, at once: they take about "
        "an eighth of the space, and are found as before. No daemon may use an SQLite file meanwhile, and of "
        "a PostgreSQL database none that packs. If it is interrupted, the same command goes on where it was."
    )
    optParameters = [
        ["config", "c", None, "Path of the configuration file, of which the storage is meant."],
        ["older-than", None, None, "Pack what came in longer ago than this, and not storage.pack_after."],
    ]
    optFlags = [["lenient", None, "Only warn of keys in the configuration file that are not known."]]
    option_values = {"config": FILE, "older-than": DURATION}
    statuses = (
        ("0", "All that is old enough is packed."),
        ("1", "It is not, or it could not be done."),
        ("2", "The options are wrong."),
    )

    def postOptions(self) -> None:
        """Check what belongs together."""
        if self["config"] is None:
            raise usage.UsageError("--config FILE is missing: it says which store is meant")
        if self["older-than"] is not None:
            try:
                self["older-than"] = Duration.of(self["older-than"])
            except ValueError:
                raise usage.UsageError(
                    f"--older-than: expected a duration such as 24h, got {self['older-than']!r}"
                ) from None


def main(words: Sequence[str]) -> int:
    """Pack a store, and give the exit status."""
    options = parse(Options(), words)
    if options is None:
        return 2
    try:
        storage = load_config(
            Path(options["config"]), cwd=Path.cwd(), environ=os.environ, lenient=bool(options["lenient"])
        ).storage
        age = storage.pack_after if options["older-than"] is None else options["older-than"]
        if not age and options["older-than"] is None:
            raise StoreError(
                "storage.pack_after is 0, so nothing is packed; say what is to be with --older-than DURATION"
            )
        before = time.time_ns() - nanoseconds(age)
        return _pack(_packing_of(storage), before, sys.stderr)
    except ConfigError as error:
        print(error, file=sys.stderr)
    except StoreError as error:
        print(f"ccstore pack: {error}", file=sys.stderr)
    except OSError as error:
        print(f"ccstore pack: {options['config']}: {error.strerror}", file=sys.stderr)
    return 1


class _Packed(Protocol):
    @property
    def rows(self) -> int:
        """How many messages were packed since the last time."""


class _Packing(Protocol):
    """What both backends have for it; all methods raise :class:`StoreError`."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    @property
    def size(self) -> int: ...

    def begin(self, before: int) -> int: ...

    def to_do(self, before: int) -> int: ...

    def run(self, before: int) -> Iterator[_Packed]: ...


def _packing_of(storage: StorageConfig) -> _Packing:
    backend, has_words = storage.backend, storage.pack_index == "words"
    if isinstance(backend, SqliteConfig):
        return OfflinePacking(
            backend.database_path,
            backend.pragmas,
            retention=storage.retention_time,
            say=lambda text: print(f"ccstore pack: {text}", file=sys.stderr),
            mode=storage.file_mode,
            has_words=has_words,
        )
    needs_postgres()
    from ccstore.storage.postgres.packing_at_once import PackingAtOnce

    return PackingAtOnce(
        backend.dsn, backend.parameters, timeout=backend.connection_timeout, has_words=has_words
    )


def _pack(packing: _Packing, before: int, out: TextIO) -> int:
    packing.open()
    try:
        size, total = packing.size, packing.begin(before)
        rows = 0
        begun_at = said_at = time.monotonic()

        def say() -> None:
            rate = rows / max(time.monotonic() - begun_at, 0.001)
            part = 100 * rows // total if total else 100
            print(f"{rows} of {total} messages ({part} %), {rate:.0f} a second", file=out, flush=True)

        for packed in packing.run(before):
            rows += packed.rows
            if time.monotonic() - said_at >= _PROGRESS_EVERY:
                said_at = time.monotonic()
                say()
        say()
        left = packing.to_do(before)
    except KeyboardInterrupt:
        print("ccstore pack: interrupted; the same command goes on where it was", file=out)
        return 1
    finally:
        packing.close()
    print(f"{rows} messages were packed; the store had {size} bytes and has {packing.size}")
    if left:
        print(f"{left} messages could not be packed, and are left as they are")
    return 1 if left else 0
