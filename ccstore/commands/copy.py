"""``ccstore copy``: moves a store from one backend to another."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from types import MappingProxyType
from typing import Any, Final, TextIO, TypeVar, cast
from uuid import uuid4

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread
from twisted.python import usage

from ccstore.commands.description import Value
from ccstore.commands.options import CommandOptions, parse
from ccstore.config import BackendConfig, ConfigError, PostgresConfig, SqliteConfig, load_config
from ccstore.daemon.assembly import make_backend
from ccstore.installing import missing_for_postgres
from ccstore.interfaces import IBackend, ICopyTarget, StoreError, StoreUnavailable
from ccstore.message import STORED_KINDS, Kind
from ccstore.storage.blocks.damaged_block import Tell
from ccstore.storage.export import Exported, Source
from ccstore.storage.reading.leaving import HoldList
from ccstore.storage.sqlite.export import SqliteSource
from ccstore.timing import Backoff, nanoseconds

_RETENTION: Final = 86400.0
#: Seconds between two lines about how far it is.
_PATIENCE = 60.0
_PROGRESS_EVERY: Final = 2.0
_RETRY_FIRST, _RETRY_MOST = 0.2, 10.0
_POSTGRES: Final = ("postgresql:", "postgres:")
_SQLITE: Final = "sqlite:"
_STORE: Final = (
    "the path of a configuration file, whose storage is meant; or sqlite:PATH, an SQLite file; or "
    "postgresql://..., a connection string of libpq."
)
_T = TypeVar("_T")


class Options(CommandOptions):
    """The options of ``ccstore copy``."""

    command = "copy"
    synopsis = "[options] FROM TO"
    longdesc = (
        "Copies all events and logs of all clusters from one store into another. No daemon may use an SQLite "
        "file meanwhile. If it is interrupted, the same command goes on where it was."
    )
    optFlags = [["lenient", None, "Only warn of keys in a configuration file that are not known."]]
    arguments = (
        Value("FROM", f"The store to read: {_STORE}", is_file=True),
        Value(
            "TO",
            "The store to write, in the same ways. It is made if it is not there, and what it has is kept.",
            is_file=True,
        ),
    )
    statuses = (
        ("0", "TO has what FROM has."),
        ("1", "It does not have all of it, or it could not be done."),
        ("2", "The options are wrong."),
    )

    def parseArgs(self, *words: str) -> None:
        """Take the two stores."""
        if len(words) != 2:
            raise usage.UsageError("it takes two stores, FROM and TO")
        self["from"], self["to"] = words


def main(words: Sequence[str]) -> int:
    """Copy a store, and give the exit status."""
    options = parse(Options(), words)
    if options is None:
        return 2
    copied: list[bool] = []

    async def run(reactor: Any) -> None:
        try:
            where, into = (place(options[word], lenient=bool(options["lenient"])) for word in ("from", "to"))
            if where == into:
                raise StoreError("FROM and TO are the same store")
            copied.append(await Copy(where, into, reactor, sys.stderr).run())
        except ConfigError as error:
            print(error, file=sys.stderr)
        except StoreError as error:
            print(f"ccstore copy: {error}", file=sys.stderr)

    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
    return 0 if copied == [True] else 1


def place(word: str, *, lenient: bool = False) -> tuple[BackendConfig, float]:
    """What a word of the command means, and the retention time (s) that belongs to it.

    Raises :class:`StoreError` or :class:`ConfigError`.
    """
    if word.startswith(_POSTGRES):
        return PostgresConfig(word, MappingProxyType({}), 10.0), _RETENTION
    if word.startswith(_SQLITE):
        name = word.removeprefix(_SQLITE).removeprefix("//")
        if not name:
            raise StoreError(f"{word}: expected the path of a file, as in sqlite:/var/lib/ccstore/ccstore.db")
        return SqliteConfig(Path(os.path.abspath(name)), MappingProxyType({})), _RETENTION
    path = Path(word)
    if not path.is_file():
        raise StoreError(
            f"{word}: there is no such configuration file; a database is written sqlite:PATH or postgresql://..."
        )
    with path.open("rb") as file:
        if file.read(16) == b"SQLite format 3\0":
            raise StoreError(f"{word}: this is a database, write sqlite:{word}")
    storage = load_config(path, cwd=Path.cwd(), environ=os.environ, lenient=lenient).storage
    return storage.backend, storage.retention_time


def store_source(config: BackendConfig, scratch: Path, tell: Tell) -> Source:
    """A store to read.

    :param scratch: a folder with room for a copy of it, which may have to be made.
    :param tell: is told what is damaged; the rest is read.
    """
    if isinstance(config, SqliteConfig):
        return SqliteSource(config.database_path, scratch, tell=tell)
    needs_postgres()
    from ccstore.storage.postgres.export import PostgresSource

    return PostgresSource(config.dsn, config.parameters, timeout=config.connection_timeout, tell=tell)


def needs_postgres() -> None:
    """Raise :class:`StoreError` if packages are missing for that."""
    missing = missing_for_postgres()
    if missing is not None:
        raise StoreError(f"PostgreSQL needs more packages: {missing}")


class Copy:
    """One run of the command.

    :param out: gets lines for people.
    """

    def __init__(
        self,
        where: tuple[BackendConfig, float],
        into: tuple[BackendConfig, float],
        reactor: Any,
        out: TextIO,
    ) -> None:
        # A snapshot may need as much room as the copy: beside the new file, that must be there anyway.
        to = into[0]
        scratch = to.database_path.parent if isinstance(to, SqliteConfig) else Path(gettempdir())
        self._source = store_source(where[0], scratch, lambda damaged: self._say(str(damaged)))
        self._reactor = reactor
        self._out = out
        if isinstance(into[0], PostgresConfig):
            needs_postgres()
        backend = make_backend(
            into[0], into[1], None, lambda: nanoseconds(reactor.seconds()), f"copy-{uuid4().hex[:8]}", reactor
        )
        self._backend: IBackend = backend
        self._target = cast(ICopyTarget, backend)
        self._refused: Counter[tuple[str, str]] = Counter()
        self._rows = 0
        self._total = 0
        self._begun_at = self._said_at = 0.0

    async def run(self) -> bool:
        """Copy all; whether the target has all of it now. Raises :class:`StoreError` if it cannot be done."""
        await deferToThread(self._source.open)
        try:
            self._backend.open()
            try:
                return await self._copy()
            finally:
                await self._backend.close()
        finally:
            await deferToThread(self._source.close)

    async def _copy(self) -> bool:
        source = await deferToThread(self._source.identity)
        await self._target.prepare_copy(await deferToThread(self._source.log_times))
        after = await self._target.copied(source)
        to_copy = await deferToThread(self._source.counts, after)
        before = await self._target.count()
        self._total = sum(to_copy.values())
        if after:
            self._say("goes on where an earlier copy ended")
        self._begun_at = self._said_at = time.monotonic()
        for kind in STORED_KINDS:
            await self._copy_kind(source, kind, after.get(kind, 0))
        await self._copy_holds()
        self._progress()
        return self._compare(to_copy, before, await self._target.count())

    async def _copy_holds(self) -> None:
        """Hold what is held in the source, unless an earlier copy has done so."""
        there = {hold.pack() for hold in await self._backend.read(HoldList(), timeout=_PATIENCE)}
        for hold in await deferToThread(self._source.holds):
            if hold.pack() not in there:
                number = await self._backend.hold(hold)
                self._say(f"hold {number}: {hold.match}, for {hold.who}: {hold.reason}")

    async def _copy_kind(self, source: str, kind: Kind, after: int) -> None:
        pages = self._source.pages(kind, after)
        page = await deferToThread(_next, pages)
        while page is not None:
            # The next one is read while this one is written.
            reading = deferToThread(_next, pages)
            try:
                await self._write(source, page)
            finally:
                following = await reading
            self._rows += len(page.messages)
            if time.monotonic() - self._said_at >= _PROGRESS_EVERY:
                self._progress()
            page = following

    async def _write(self, source: str, page: Exported, low: int = 0, high: int | None = None) -> None:
        """Write a page, or a part of it; what the target refuses for itself is left out."""
        high = len(page.ids) if high is None else high
        backoff = Backoff(_RETRY_FIRST, _RETRY_MOST)
        part = page.messages[low:high]
        while True:
            try:
                await self._target.copy_in(part, source, page.ids[high - 1])
                return
            except StoreUnavailable as error:
                self._say(f"cannot write, will try again: {error}")
                await deferLater(self._reactor, backoff.next())
            except StoreError as error:
                if high - low > 1:
                    break
                message = part[0]
                self._refused[str(message.series.cluster), page.kind] += 1
                self._say(f"TO refuses {page.kind} {page.ids[low]} of {message.series.cluster!r}: {error}")
                return
        middle = (low + high) // 2
        await self._write(source, page, low, middle)
        await self._write(source, page, middle, high)

    def _progress(self) -> None:
        now = time.monotonic()
        self._said_at = now
        rate = self._rows / max(now - self._begun_at, 0.001)
        part = 100 * self._rows // self._total if self._total else 100
        self._say(f"{self._rows} of {self._total} messages ({part} %), {rate:.0f} a second")

    def _compare(
        self,
        copied: Mapping[tuple[str, str], int],
        before: Mapping[tuple[str, str], int],
        after: Mapping[tuple[str, str], int],
    ) -> bool:
        """Say what was copied, by cluster and kind, and whether it is there."""
        is_good = True
        for key in sorted({*copied, *before, *after}):
            cluster, kind = key
            had, came, has = before.get(key, 0), copied.get(key, 0), after.get(key, 0)
            refused = self._refused[key]
            line = f"{cluster!r} {kind}s: {came - refused} copied, TO had {had} and has {has}"
            if refused:
                is_good = False
                line += f", {refused} refused"
            if had + came - refused != has:
                is_good = False
                line += f", expected {had + came - refused}: does a daemon write to it?"
            print(line)
        if self._rows != self._total:
            is_good = False
            print(f"{self._rows} messages were read, expected {self._total}")
        print("all is there" if is_good else "not all is there")
        return is_good

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def _next(pages: Iterator[Exported]) -> Exported | None:
    return next(pages, None)
