"""The database: whether it can be used, its schema, and how it is called."""

from __future__ import annotations

import re
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final, TypeVar

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from ccstore.interfaces import StoreError
from ccstore.storage.postgres.connections import Rows
from ccstore.storage.postgres.driver_errors import one_line

SCHEMA_VERSION: Final = 5
#: The oldest server; the newest that was tried is in docs/postgres.md.
OLDEST: Final = 14
#: What libpq is told unless the configuration has something else: that the other end is gone without a word
#: is noticed within a minute, and of several servers the one that can be written to is the one.
_DEFAULTS: Final = {
    "application_name": "ccstore",
    "target_session_attrs": "read-write",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "client_encoding": "UTF8",
}
#: For all who change what is there: partitions, schema, views. Numbers for advisory locks are the database's.
LOCK: Final = 0x63637374
_Result = TypeVar("_Result")


class Address:
    """Where the database is, and how to get in; known once it is parsed.

    :param dsn: a connection string of libpq, with secrets in it, or empty.
    :param parameters: what libpq is told besides.
    """

    def __init__(self, dsn: str, parameters: Mapping[str, str]) -> None:
        self._given = (dsn, parameters)
        self._parameters: dict[str, str] = {}
        self._turn = 0

    def parse(self) -> None:
        """Understand what was given; raises psycopg2.Error if that is not possible."""
        dsn, parameters = self._given
        self._parameters = {**_DEFAULTS, **parse_dsn(dsn), **parameters}
        parse_dsn(self.dsn())  # so that an option that is none is told here

    def dsn(self) -> str:
        """For libpq, with secrets."""
        return str(make_dsn(**self._parameters))

    def next_dsn(self) -> str:
        """As :meth:`dsn`, each time beginning with another of the hosts, since one of them may hang.

        libpq goes from a host to the next only when that says no.
        """
        parameters = dict(self._parameters)
        for key in ("host", "hostaddr", "port"):
            values = parameters.get(key, "").split(",")
            if len(values) > 1:
                turn = self._turn % len(values)
                parameters[key] = ",".join(values[turn:] + values[:turn])
        self._turn += 1
        return str(make_dsn(**parameters))

    def __str__(self) -> str:
        """For people, without secrets."""
        found = self._parameters
        hosts = (found.get("host") or found.get("hostaddr") or "").split(",")
        ports = found.get("port", "").split(",")
        if len(ports) < len(hosts):
            ports = ports[:1] * len(hosts)
        places = [
            f"{host}:{port}" if port and not host.startswith("/") else host
            for host, port in zip(hosts, ports, strict=False)
        ]
        name = found.get("dbname") or found.get("user") or "the user's own"
        return f"{name} on {', '.join(places)}" if any(places) else f"{name} on libpq's default server"


def parsed(dsn: str, parameters: Mapping[str, str]) -> Address:
    """An address that can be used; raises :class:`StoreError`."""
    address = Address(dsn, parameters)
    try:
        address.parse()
    except psycopg2.Error as error:
        raise StoreError(f"cannot use the address of the database: {complaint_about(error)}") from None
    return address


class BlockingSession:
    """Statements that are waited for on the spot; for the time before the reactor runs."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, statement: str, *parameters: object, **named: object) -> Rows:
        """See :class:`ccstore.storage.postgres.connections.Session`."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, named or parameters or None)
            return cursor.fetchall() if cursor.description is not None else ()


def at_once(work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of a coroutine that waits for nothing but :class:`BlockingSession`."""
    try:
        work.send(None)
    except StopIteration as end:
        result: _Result = end.value
        return result
    raise AssertionError("it waits for something that takes a reactor")


@contextmanager
def connected(address: Address, timeout: float) -> Iterator[Any]:
    """A blocking connection; raises :class:`StoreError` in one line."""
    connection = None
    try:
        # libpq takes whole seconds, and of those at least two.
        connection = psycopg2.connect(address.dsn(), connect_timeout=max(2, round(timeout)))
        connection.autocommit = True
        yield connection
    except (psycopg2.Error, UnicodeDecodeError) as error:
        raise StoreError(one_line(error)) from None
    finally:
        if connection is not None:
            connection.close()


def check_server(connection: Any) -> str:
    """The version of the server, if it can be used; raises :class:`StoreError` if not."""
    number = connection.server_version
    version = f"{number // 10000}.{number % 10000}"
    if number < OLDEST * 10000:
        raise StoreError(f"the server is PostgreSQL {version}: ccstore needs {OLDEST} or later")
    encoding = connection.get_parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(f"the database has the encoding {encoding}: ccstore needs one with UTF8")
    return version


async def prepare(session: BlockingSession, timeout: float) -> None:
    """Make the schema, or bring it up to date; one daemon at a time, the others wait for it."""
    await session.execute("BEGIN")
    await session.execute(f"SET LOCAL lock_timeout = {int(max(timeout, 1) * 1000)}")
    await session.execute("SELECT pg_advisory_xact_lock(%s)", LOCK)
    ((there,),) = await session.execute("SELECT to_regclass('ccstore_schema') IS NOT NULL")
    version = 0
    if there:
        ((version,),) = await session.execute("SELECT coalesce(max(version), 0) FROM ccstore_schema")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"its schema has version {version}, written by a newer ccstore: this one knows {SCHEMA_VERSION}"
        )
    for number in range(version + 1, SCHEMA_VERSION + 1):
        await session.execute(script(number))
    if not there:
        await session.execute("INSERT INTO ccstore_schema VALUES (0)")
    if version != SCHEMA_VERSION:
        await session.execute("UPDATE ccstore_schema SET version = %s", SCHEMA_VERSION)
    await session.execute("COMMIT")


async def check_schema(session: BlockingSession, does: str) -> None:
    """Whether its tables are those of this version; raises :class:`StoreError` if not.

    :param does: what this program is about to do to them.
    """
    ((there,),) = await session.execute("SELECT to_regclass('ccstore_schema') IS NOT NULL")
    if not there:
        raise StoreError("it is no ccstore store")
    ((version,),) = await session.execute("SELECT coalesce(max(version), 0) FROM ccstore_schema")
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"its schema has version {version}, and this ccstore {does} {SCHEMA_VERSION}: "
            "start the daemon on it once, which brings an older one up to date"
        )


async def check_writable(session: BlockingSession) -> None:
    """Whether the database takes writes at all; raises psycopg2.Error if not."""
    await session.execute("BEGIN; INSERT INTO ccstore_batch (id, instance) VALUES (0, ''); ROLLBACK")


def script(number: int) -> str:
    """The statements that lead to a version of the schema from the one before."""
    return resources.files("ccstore.storage.postgres").joinpath(f"schema/{number}.sql").read_text("utf-8")


def complaint_about(error: psycopg2.Error) -> str:
    """What is wrong with a connection string: only the names of options may be shown."""
    found = re.search(r'invalid (?:connection option|URI query parameter):? "([a-z_]{1,40})"', str(error))
    name = found[1] if found else None
    return f"libpq knows no option {name!r}" if name else "it is not a connection string of libpq"


def identifier(name: str) -> str:
    """A name, whatever is in it, as a part of a statement."""
    return '"{}"'.format(name.replace('"', '""'))
