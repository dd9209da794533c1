"""The PostgreSQL backend, with the keys of cc-event-store, or a connection string of libpq."""

from __future__ import annotations

import re
from types import MappingProxyType

from ccstore.installing import missing_for_postgres

from . import kinds
from .kinds import Unfit
from .secret import has_secret, take_secret
from .section import Section
from .values import HIDDEN, PostgresConfig

_TIMEOUT = kinds.positive_duration('a duration longer than 0, such as "10s", or a whole number of seconds')
_FLAGS = kinds.flags('a list of strings such as "sslmode=verify-full"')
_DATABASE = "the name of the database"
#: Options of libpq that have keys of their own here.
_KEYS = {
    "host": "server",
    "port": "port",
    "dbname": "database_path",
    "user": "username",
    "password": "password",
    "connect_timeout": "connection_timeout",
}
#: Decided by the store.
_DECIDED = ("client_encoding", "fallback_application_name")
_OPTION = re.compile(r"[a-z_]{1,40}")


def read_postgres(section: Section) -> PostgresConfig:
    """Read the keys of the PostgreSQL backend; whether the database is there is seen at the start."""
    missing = missing_for_postgres()
    if missing is not None:
        section.fail("type", section.value("type"), Unfit(f"the packages for it to be installed ({missing})"))
    dsn = take_secret(section, "dsn", kinds.plain_text)
    parameters: dict[str, str] = {}
    server = section.take("server", kinds.plain_text, None)
    port = section.take("port", kinds.port, None)
    database = section.take("database_path", _database, None)
    username = take_secret(section, "username", kinds.plain_text)
    password = take_secret(section, "password", kinds.plain_text)
    if has_secret(section, "dsn"):
        for key in ("server", "port", "database_path", "username"):
            if section.has(key):
                section.fail(key, section.value(key), Unfit("nothing, since there is a dsn to have it"))
    elif not section.has("database_path"):
        section.require("database_path", _database, f"{_DATABASE}, or a dsn")
    for name, value in (
        ("host", server),
        ("port", None if port is None else str(port)),
        ("dbname", database),
        ("user", username),
        ("password", password),
    ):
        if value is not None:
            parameters[name] = value
    parameters |= _read_flags(section)
    timeout = section.take("connection_timeout", _timeout, 10.0)
    text_index = section.take("text_index", kinds.boolean, False)
    for key in ("retention_time", "flush_time", "store_logs"):
        section.discourage(key, "it belongs to storage, one level up")
    section.ignore("type")
    section.finish()
    return PostgresConfig(dsn or "", MappingProxyType(parameters), timeout, text_index)


def _timeout(value: object) -> float:
    """A duration; without a unit it is in seconds, as in cc-event-store, whose only number that is."""
    is_plain = isinstance(value, int) and kinds.is_number(value)
    return _TIMEOUT(f"{value}s" if is_plain else value)


def _database(value: object) -> str:
    name = kinds.plain_text(value)
    if "=" in name or "://" in name:
        raise Unfit(f"{_DATABASE}; a connection string goes to dsn", HIDDEN)
    return name


def _read_flags(section: Section) -> dict[str, str]:
    flags: dict[str, str] = {}
    no_flags: list[str] = []
    for flag in section.take("flags", _FLAGS, no_flags):
        name, equals, value = flag.partition("=")
        name, value = name.strip().lower(), value.strip()
        if not equals or not _OPTION.fullmatch(name):
            # Whatever it is, it may be a secret.
            section.fail("flags", HIDDEN, Unfit('options of libpq such as "sslmode=verify-full"'))
        elif name in _KEYS:
            section.fail("flags", name, Unfit(f"other options of libpq: this one has the key {_KEYS[name]}"))
        elif name in _DECIDED:
            section.place("flags").warn(f"{name!r}: ignored, the store decides this itself")
        else:
            flags[name] = value
    return flags
