"""The storage, and its SQLite backend with the flags that the Go daemon's driver understands."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from types import MappingProxyType

from attrs import frozen

from ccstore.durations import Duration
from ccstore.permissions import PRIVATE

from . import kinds
from .document import Object, reason
from .kinds import Unfit, near
from .postgres import read_postgres
from .retention_section import read_retention_rules
from .section import Section
from .values import PACK_INDEXES, BackendConfig, SpoolConfig, SqliteConfig, StorageConfig

_FLUSH = kinds.duration_between(0, 60, 'a duration of at most "60s"')
_RETENTION = kinds.positive_duration(
    'a duration longer than 0, such as "24h": with 0, every event would be deleted on arrival'
)
_RETENTION_DEFAULT: float = Duration.of("24h")
_PACK_AFTER = kinds.duration_between(0, 100 * 365 * 86400, 'a duration such as "24h", or 0 for never')
_PACK_AFTER_DEFAULT: float = Duration.of("24h")
_FLAGS = kinds.flags('a list of strings such as "_timeout=5000"')
_SPOOL_PATH = "the path of a file for the spool"
#: One batch has to fit in any case.
_SPOOL_LEAST = kinds.size(64 * 2**20, 2**50)
_DATABASE_PATH = "the path of the SQLite file"
#: Less than that a file has by itself before long.
_MAX_SIZE = kinds.size(64 * 2**20, 2**60)
_BACKENDS = ("sqlite", "postgres")
_FILE_MODES = (0o600, 0o640)


@frozen
class _Pragma:
    """A pragma, what its values look like, and how to say so."""

    name: str
    pattern: re.Pattern[str]
    expected: str


def _pragma(name: str, pattern: str, expected: str) -> _Pragma:
    return _Pragma(name, re.compile(pattern, re.IGNORECASE | re.ASCII), expected)


# Values end up in a statement: nothing but the words and numbers of these patterns gets there.
_TIMEOUT = _pragma("busy_timeout", "[0-9]{1,9}", "milliseconds, such as _timeout=5000")
_SYNCHRONOUS = _pragma("synchronous", "off|normal|full|extra|[0-3]", "_sync=OFF, NORMAL, FULL or EXTRA")
_FOREIGN_KEYS = _pragma("foreign_keys", "[01]|on|off|yes|no|true|false", "_fk=0 or _fk=1")
_CACHE_SIZE = _pragma("cache_size", "-?[0-9]{1,9}", "pages, or negative KiB, such as _cache_size=-64000")
_SECURE_DELETE = _pragma("secure_delete", "on|off|fast|[01]", "_secure_delete=ON, OFF or FAST")

_PRAGMAS = {
    "_timeout": _TIMEOUT,
    "_busy_timeout": _TIMEOUT,
    "_sync": _SYNCHRONOUS,
    "_synchronous": _SYNCHRONOUS,
    "_fk": _FOREIGN_KEYS,
    "_foreign_keys": _FOREIGN_KEYS,
    "_cache_size": _CACHE_SIZE,
    "_secure_delete": _SECURE_DELETE,
}
_JOURNAL = ("_journal", "_journal_mode")
# What the store decides by itself, since it depends on it.
_DECIDED = ("_auto_vacuum", "_vacuum", "_locking", "_locking_mode", "_txlock")


def read_storage(section: Section) -> StorageConfig:
    """Read the storage section; what it gives after a problem is good for nothing but going on."""
    mode = section.take("file_mode", _file_mode, PRIVATE)
    backend = _read_backend(section, mode)
    storage = StorageConfig(
        backend=backend,
        retention_time=section.take("retention_time", _RETENTION, _RETENTION_DEFAULT),
        flush_time=section.take("flush_time", _FLUSH, 1.0),
        batch_size=section.take("batch_size", kinds.integer(1, 10**6), 8192),
        max_waiting=section.take("max_waiting", kinds.integer(1, 10**8), 200000),
        store_logs=section.take("store_logs", kinds.boolean, True),
        store_heartbeats=section.take("store_heartbeats", kinds.boolean, False),
        spool=_find_spool(section, backend, mode),
        file_mode=mode,
        rules=read_retention_rules(section),
        max_size=section.take("max_size", _MAX_SIZE, None),
        pack_after=section.take("pack_after", _PACK_AFTER, _pack_after_of(backend)),
        pack_index=section.take("pack_index", kinds.choice(*PACK_INDEXES), "words"),
        announce_new=section.take("announce_new", kinds.boolean, False),
    )
    if section.has("max_process"):
        section.place("max_process").warn("ignored: there is one writer, it needs no such limit")
    section.finish()
    return storage


def _pack_after_of(backend: BackendConfig) -> float:
    """Unless it is said: what is packed in PostgreSQL cannot be read by SQL any more."""
    return _PACK_AFTER_DEFAULT if isinstance(backend, SqliteConfig) else 0.0


def _read_backend(section: Section, mode: int) -> BackendConfig:
    nowhere = SqliteConfig(Path(), MappingProxyType({}))
    data = section.require("backend", _object, 'an object with "type" and "database_path"')
    if data is None:
        return nowhere
    backend = Section(section.place("backend"), data, section.surroundings)
    kind = backend.require("type", kinds.text, " or ".join(_BACKENDS))
    if kind is None or kind.lower() in ("sqlite", "sqlite3"):
        return read_sqlite(backend, mode)
    if kind.lower() in ("postgres", "postgresql"):
        return read_postgres(backend)
    backend.fail("type", kind, Unfit(f"{' or '.join(_BACKENDS)}{near(kind, _BACKENDS)}"))
    return nowhere


def _find_spool(section: Section, backend: BackendConfig, mode: int) -> SpoolConfig | None:
    data = section.take("spool", _object, Object())
    place = section.place("spool")
    spool = read_spool(Section(place, data, section.surroundings), mode)
    if isinstance(backend, SqliteConfig):
        # It is as near as the spool would be.
        if section.has("spool"):
            place.warn("ignored: only a database on another machine needs one")
        return None
    return spool


def read_spool(section: Section, mode: int = PRIVATE) -> SpoolConfig | None:
    """Read the keys of the spool, None if its size is 0; a relative path is from the working directory."""
    name = section.take("path", _spool_path, "ccstore-spool.db")
    path = Path(os.path.abspath(section.surroundings.cwd / name))
    with suppress(OSError):
        if path.is_dir():
            section.fail("path", name, Unfit(f"{_SPOOL_PATH} (this is a directory)"))
    size = section.take("max_size", _spool_size, 2**30)
    section.finish()
    return SpoolConfig(path, size, mode) if size else None


def _spool_path(value: object) -> str:
    path = kinds.file_path(value)
    if path.startswith(("file:", ":memory:")):
        raise Unfit(f"{_SPOOL_PATH}, not a URI and not a database in memory")
    return path


def _spool_size(value: object) -> int:
    if value in (0, "0") and value is not False:
        return 0
    try:
        return _SPOOL_LEAST(value)
    except Unfit as error:
        raise Unfit(f"{error.expected}, or 0 for no spool") from None


def _file_mode(value: object) -> int:
    """As chmod(1) has it; YAML takes digits behind a zero for an octal number itself."""
    if not isinstance(value, bool):
        for mode in _FILE_MODES:
            if value in (mode, int(f"{mode:o}"), f"{mode:o}", f"0{mode:o}", f"0o{mode:o}"):
                return mode
    raise Unfit('"0600", or "0640" for files that the group may read')


def _object(value: object) -> Object:
    if not isinstance(value, Object):
        raise Unfit("an object")
    return value


def read_sqlite(section: Section, mode: int = PRIVATE) -> SqliteConfig:
    """Read the keys of the SQLite backend; a relative path is one from the working directory."""
    name = section.require("database_path", _database_path, _DATABASE_PATH)
    # Normalised as text, since a link in it may be changed while the daemon stands still.
    path = Path(os.path.abspath(section.surroundings.cwd / (name or "")))
    if name is not None:
        try:
            if path.is_dir():
                section.fail("database_path", name, Unfit(f"{_DATABASE_PATH} (this is a directory)"))
            # SQLite keeps files beside it whose names are longer; this is the longest.
            os.stat(f"{path}-journal")
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass  # there may be a folder by the time it starts, and for whom it starts
        except OSError as error:
            section.fail("database_path", name, Unfit(f"{_DATABASE_PATH} ({reason(error)})"))
    pragmas = _read_flags(section)
    section.ignore("type", "username", "password")
    for key in ("retention_time", "flush_time", "store_logs"):
        section.discourage(key, "it belongs to storage, one level up")
    section.finish()
    return SqliteConfig(path, MappingProxyType(pragmas), mode)


def _database_path(value: object) -> str:
    path = kinds.file_path(value)
    if path.startswith(("file:", ":memory:")):
        raise Unfit(f"{_DATABASE_PATH}, not a URI and not a database in memory")
    return path


def _read_flags(section: Section) -> dict[str, str]:
    pragmas: dict[str, str] = {}
    no_flags: list[str] = []
    for flag in section.take("flags", _FLAGS, no_flags):
        name, _, value = flag.partition("=")
        name = name.strip().lower()
        value = value.strip()
        if name in _JOURNAL:
            if value.upper() == "WAL":
                pragmas["journal_mode"] = "WAL"
            else:
                section.place("flags").warn(f"{flag!r}: WAL is used instead, the store needs it")
        elif name in _PRAGMAS:
            _set_pragma(section, pragmas, _PRAGMAS[name], flag, value)
        elif name in _DECIDED:
            section.place("flags").warn(f"{name!r}: ignored, the store decides this itself")
        else:
            # Without the value: there are flags that hold a password.
            hint = near(name, [*_PRAGMAS, *_JOURNAL, *_DECIDED])
            section.place("flags").warn(f"{name!r}: unknown flag, ignored{hint}")
    return pragmas


def _set_pragma(section: Section, pragmas: dict[str, str], pragma: _Pragma, flag: str, value: str) -> None:
    if pragma.pattern.fullmatch(value):
        pragmas[pragma.name] = value.upper()
    else:
        section.fail("flags", flag, Unfit(pragma.expected))


def missing_folder(path: Path) -> str | None:
    """
    Tell what is wrong with the folder of the database, if it is not there.

    Not a problem of the configuration: it may be made before the daemon starts, or be another one by then.
    """
    folder = path.parent
    try:
        mode = folder.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"the folder {folder} does not exist, make it or give the path of the SQLite file in another"
    except OSError as error:
        return f"the folder {folder} cannot be reached: {reason(error)}"
    return None if S_ISDIR(mode) else f"{folder} is not a folder"
