"""The command ``ccstore import``: its words, and what it says."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from twisted.python.usage import UsageError

from ccstore.commands.description import FILE, NAME, Value, choice
from ccstore.commands.options import CommandOptions, parse
from ccstore.config import Config, ConfigError, SqliteConfig, load_config, missing_folder
from ccstore.importing.display import Progress
from ccstore.importing.go_database import open_database
from ccstore.importing.importer import Importer, Outcome
from ccstore.importing.line_file import Lines
from ccstore.importing.source import USUAL, Bad, Sizes, Source, SourceError
from ccstore.instants import parse_moment
from ccstore.interfaces import StoreError
from ccstore.lineprotocol import NANOSECONDS, Precision
from ccstore.message import is_cluster
from ccstore.storage.dbfile.lock import InUse
from ccstore.storage.sqlite.bulk import BulkWriter
from ccstore.times import show_moment
from ccstore.timing import nanoseconds, seconds

#: Exit statuses; Options.statuses has what they mean.
DONE: Final = 0
FAILED: Final = 1
WRONG: Final = 2
REJECTED: Final = 3
_INTERRUPTED: Final = 130
#: So many bad lines or rows of a source are shown; more are only counted.
_NAMED: Final = 100
#: Rows without a time get that of the row before them, or of the file.
_ROW, _FILE = "row", "file"
_MAGIC: Final = b"SQLite format 3\0"


class Options(CommandOptions):
    """The options of ``ccstore import``."""

    command = "import"
    synopsis = "[options] SOURCE ..."
    longdesc = (
        "Brings messages into the configured store while the daemon does not run: those of a database of "
        "cc-event-store, or of files of line protocol, plain or packed by gzip. An import that was ended "
        "goes on where it was when it is given again, and what is imported is imported once. Events that "
        "have expired are not stored, but counted."
    )
    optParameters = [
        ["config", "c", None, "The configuration of the daemon, see `ccstore run`."],
        ["cluster", None, None, "The cluster of lines that do not name one."],
        ["precision", None, "auto", "The unit of the timestamps of lines; auto goes by their size."],
        [
            "missing-time",
            None,
            _ROW,
            "The time of rows of a database that have none: that of the row before, that of the file, now, "
            "or one such as 2026-01-31T12:00:00Z.",
        ],
    ]
    optFlags = [["lenient", None, "Only warn of keys in the configuration that are not known."]]
    option_values = {
        "config": FILE,
        "cluster": NAME,
        "precision": choice(*NANOSECONDS),
        "missing-time": Value("row|file|now|TIME", choices=(_ROW, _FILE, "now")),
    }
    arguments = (
        Value(
            "SOURCE",
            "A database of cc-event-store, a file of lines (plain or gzip), or - for lines from standard "
            "input, of which no position is remembered.",
            is_file=True,
            is_repeated=True,
        ),
    )
    statuses = (
        (str(DONE), "Everything is in the store."),
        (str(FAILED), "The import could not be done, or not to its end."),
        (str(WRONG), "The options are wrong."),
        (str(REJECTED), "Some lines or rows were not taken."),
        (str(_INTERRUPTED), "It was interrupted; the same command goes on from there."),
    )
    is_mixed = True

    path: Path | None
    precision: Precision
    missing_time: str | int
    sources: Sequence[str]

    def parseArgs(self, *words: str) -> None:
        """Take the sources."""
        if not words:
            raise UsageError("a SOURCE is needed")
        self.sources = words

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        self.path = None if self["config"] is None else Path(self["config"])
        if self["cluster"] is not None and not is_cluster(self["cluster"]):
            raise UsageError(f"--cluster: {self['cluster']!r} is not the name of a cluster")
        if self["precision"] not in NANOSECONDS:
            raise UsageError(
                f"--precision: expected one of {', '.join(NANOSECONDS)}, got {self['precision']!r}"
            )
        self.precision = self["precision"]
        self.missing_time = _missing_time(self["missing-time"])


def _missing_time(word: str) -> str | int:
    """One of the two words, or nanoseconds since the epoch."""
    if word in (_ROW, _FILE):
        return word
    try:
        return parse_moment(word, nanoseconds(time.time()))
    except ValueError as error:
        raise UsageError(f"--missing-time: {error}; or {_ROW}, or {_FILE}") from None


def main(
    words: Sequence[str], sizes: Sizes = USUAL, make_writer: Callable[..., BulkWriter] = BulkWriter
) -> int:
    """Do what the words behind ``ccstore import`` say; gives the exit status.

    :param make_writer: called as :class:`BulkWriter`, for what writes to the file.
    """
    options = parse(Options(), words)
    if options is None:
        return WRONG
    progress = Progress(sys.stderr)
    try:
        return _import(options, progress, sizes, make_writer)
    except (ConfigError, StoreError, SourceError) as error:
        progress.say(str(error))
        return FAILED
    except KeyboardInterrupt:
        progress.say("interrupted: the same command goes on from here")
        return _INTERRUPTED
    finally:
        progress.clear()


def _import(
    options: Options, progress: Progress, sizes: Sizes, make_writer: Callable[..., BulkWriter]
) -> int:
    config = _load(options.path, lenient=bool(options["lenient"]))
    for name in options.sources:
        # A mistake in the last name is told before the first source has been imported for an hour.
        if name != "-" and not os.access(name, os.R_OK):
            raise SourceError(f"{name}: is not there, or may not be read")
        if name != "-" and os.path.isdir(name):
            raise SourceError(f"{name}: is a folder, expected a file")
    rejected = 0
    with _open(config, make_writer) as target:
        for name in options.sources:
            with _sources(name, target.folder, options, progress, sizes) as sources:
                outcomes = []
                for source in sources:
                    outcomes.append((source, _run(source, target, config, options, progress)))
                progress.clear()
                _report(name, outcomes, options)
                rejected += sum(outcome.books.rejected.total() for _, outcome in outcomes)
    return REJECTED if rejected else DONE


def _load(path: Path | None, *, lenient: bool) -> Config:
    given = None if path is None else path.absolute()
    config = load_config(given, cwd=Path.cwd(), environ=os.environ, lenient=lenient)
    for warning in config.warnings:
        _warn(warning)
    return config


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


@contextmanager
def _open(config: Config, make_writer: Callable[..., BulkWriter]) -> Iterator[BulkWriter]:
    backend = _sqlite(config.storage.backend)
    missing = missing_folder(backend.database_path)
    if missing is not None:
        raise StoreError(f"storage.backend.database_path: {missing}")
    target = make_writer(
        backend.database_path,
        backend.pragmas,
        retention=config.storage.retention_time,
        say=_warn,
        mode=backend.file_mode,
    )
    try:
        target.open()
        yield target
    except InUse as error:
        raise StoreError(f"{error}: stop it for the time of the import") from None
    finally:
        target.close()


def _sqlite(backend: object) -> SqliteConfig:
    if not isinstance(backend, SqliteConfig):
        raise StoreError(
            "storage.backend.type: an import needs sqlite; `ccstore copy` brings its file into another store"
        )
    return backend


@contextmanager
def _sources(
    name: str, scratch: Path, options: Options, progress: Progress, sizes: Sizes
) -> Iterator[Sequence[Source]]:
    if name == "-":
        yield [Lines(None, options.precision, now=time.time_ns, stream=sys.stdin.buffer, sizes=sizes)]
    elif not _is_database(Path(name)):
        yield [Lines(Path(name), options.precision, now=time.time_ns, sizes=sizes)]
    else:
        missing_time: str | int | None = options.missing_time
        if missing_time == _FILE:
            missing_time = Path(name).stat().st_mtime_ns
        if isinstance(missing_time, str):
            missing_time = None
        with open_database(Path(name), scratch, missing_time=missing_time, sizes=sizes) as database:
            for other in database.others:
                progress.say(
                    f"{name}: left out the table {other!r}, which has no events or logs of a cluster"
                )
            yield database.tables


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None


def _run(source: Source, target: BulkWriter, config: Config, options: Options, progress: Progress) -> Outcome:
    named = 0

    def complain(source: Source, bad: Bad) -> None:
        nonlocal named
        named += 1
        if named <= _NAMED:
            text = f": {bad.text!r}" if bad.text else ""
            progress.say(f"{source.name}: {source.unit} {bad.number}: {bad.reason}{text}")
        elif named == _NAMED + 1:
            progress.say(f"{source.name}: there are more {source.unit}s that are not taken")

    progress.begin(source.name, source.unit)
    importer = Importer(
        target,
        config=config.storage,
        cluster=options["cluster"],
        progress=progress.move,
        complain=complain,
    )
    return importer.run(source)


_COLUMNS: Final = ("read", "stored", "expired", "not kept", "rejected")


def _report(name: str, outcomes: Sequence[tuple[Source, Outcome]], options: Options) -> None:
    """What became of everything, as a table: read = stored + expired + not kept + rejected."""
    print(name)
    rows: list[tuple[str, ...]] = [("", *_COLUMNS)]
    notes: list[str] = []
    for source, outcome in outcomes:
        books = outcome.books
        expired = books.dropped["expired"]
        figures = (
            books.received,
            books.stored,
            expired,
            books.dropped.total() - expired,
            books.rejected.total(),
        )
        rows.append((source.name, *map(str, figures)))
        notes += _notes(source, outcome, options.missing_time)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        print(f"  {first:<{widths[0]}}  {'  '.join(cells)}".rstrip())
    for note in notes:
        print(f"  {note}")


def _notes(source: Source, outcome: Outcome, missing_time: str | int) -> Iterator[str]:
    books = outcome.books
    if outcome.finished_at is not None:
        yield f"{source.name}: nothing new, it was imported at {outcome.finished_at}"
    elif outcome.earlier:
        yield f"{source.name}: {outcome.earlier} of the {source.unit}s read were imported earlier"
    reasons = Counter({f"rejected, {reason}": count for reason, count in books.rejected.items()})
    reasons.update(
        {f"not kept, {reason}": count for reason, count in books.dropped.items() if reason != "expired"}
    )
    for reason, count in sorted(reasons.items()):
        yield f"{source.name}: {count} {reason}"
    if books.undated:
        if isinstance(missing_time, int):
            which = show_moment(seconds(missing_time))
        else:
            which = "that of the file" if missing_time == _FILE else "that of the row before"
        yield f"{source.name}: {books.undated} had no time, and were given {which} (see --missing-time)"
    if books.fields_not_stored:
        yield f"{source.name}: {books.fields_not_stored} fields besides the event or the log were not kept"
