"""What the configuration says of the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccstore.config import (
    PostgresConfig,
)
from tests.support.config_case import (
    SECRET,
    Load,
    complete,
    problem,
    receiver,
    sqlite,
    warning,
)


@pytest.mark.parametrize(
    ("given", "path"),
    [("x.db", "work/x.db"), ("./a/../x.db", "work/x.db"), ("../etc/x.db", "etc/x.db")],
)
def test_database_path_is_from_the_working_directory(load: Load, cwd: Path, given: str, path: str) -> None:
    (cwd.parent / "etc" / "x.db").touch()
    assert load(sqlite(database_path=given)).storage.backend.database_path == cwd.parent / path


def test_absolute_database_path(load: Load, cwd: Path) -> None:
    assert load(sqlite(database_path="/var/x.db", type="sqlite3")).storage.backend.database_path == Path(
        "/var/x.db"
    )


@pytest.mark.parametrize(
    "value", ["", ":memory:", "file:x.db?mode=ro", "..", 5, "a\0b", "x" * 300, "x" * 250, "x/" * 3000]
)
def test_wrong_database_path(load: Load, value: object) -> None:
    found = problem(load, sqlite(database_path=value))
    assert found.startswith("storage.backend.database_path: got ")
    assert "expected the path of " in found


def test_types_of_backends(load: Load) -> None:
    assert problem(load, sqlite(type="sqlte")).endswith(
        "got 'sqlte', expected sqlite or postgres (did you mean 'sqlite'?)"
    )
    backend = {"database_path": "x"}
    assert problem(load, complete(storage={"backend": backend})) == (
        "storage.backend.type: got nothing, expected sqlite or postgres"
    )
    assert problem(load, complete(storage={"backend": "sqlite"})).endswith("got 'sqlite', expected an object")


def test_credentials_of_sqlite_are_ignored(load: Load) -> None:
    content = sqlite(username="u", password="p") | {"receivers": {"r": {"type": "tcp"}}}
    assert load(content).warnings == ()


def test_keys_of_the_storage_in_its_backend(load: Load) -> None:
    content = sqlite(retention_time="48h") | {"receivers": {"r": {"type": "tcp"}}}
    assert warning(load, content) == (
        "storage.backend.retention_time: ignored: it belongs to storage, one level up"
    )


@pytest.mark.parametrize(
    ("flags", "pragmas"),
    [
        ([], {}),
        ("", {}),
        (["_journal=WAL"], {"journal_mode": "WAL"}),
        ("_journal_mode=wal&_timeout=5000", {"journal_mode": "WAL", "busy_timeout": "5000"}),
        (["_busy_timeout=1", "_sync=normal"], {"busy_timeout": "1", "synchronous": "NORMAL"}),
        (["_synchronous=2&_fk=1"], {"synchronous": "2", "foreign_keys": "1"}),
        (["_foreign_keys=off", "_cache_size=-64000"], {"foreign_keys": "OFF", "cache_size": "-64000"}),
        (["_secure_delete=fast"], {"secure_delete": "FAST"}),
        (["_sync=OFF", "_sync=FULL"], {"synchronous": "FULL"}),
    ],
)
def test_flags(load: Load, flags: object, pragmas: dict[str, str]) -> None:
    config = load(sqlite(flags=flags) | {"receivers": {"r": {"type": "tcp"}}})
    assert dict(config.storage.backend.pragmas) == pragmas
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("_journal=DELETE", "'_journal=DELETE': WAL is used instead, the store needs it"),
        ("_txlock=immediate", "'_txlock': ignored, the store decides this itself"),
        ("_auto_vacuum=full", "'_auto_vacuum': ignored"),
        ("_locking_mode=EXCLUSIVE", "'_locking_mode': ignored"),
        ("_timout=1", "'_timout': unknown flag, ignored (did you mean '_timeout'?)"),
        ("cache=shared", "'cache': unknown flag, ignored"),
    ],
)
def test_flags_without_effect(load: Load, flag: str, said: str) -> None:
    content = sqlite(flags=[flag]) | {"receivers": {"r": {"type": "tcp"}}}
    assert warning(load, content).startswith(f"storage.backend.flags: {said}")
    assert not load(content).storage.backend.pragmas


@pytest.mark.parametrize(
    "flag",
    [
        "_sync=ON",
        "_sync=",
        "_sync",
        "_timeout=5s",
        "_timeout=-1",
        "_fk=2",
        "_cache_size=1;drop",
        "_fk=1\n2",
        7,
        None,
    ],
)
def test_wrong_flags(load: Load, flag: object) -> None:
    assert problem(load, sqlite(flags=[flag])).startswith("storage.backend.flags: got ")


# --- PostgreSQL ------------------------------------------------------------------------------------------


def postgres(**keys: Any) -> dict[str, Any]:
    content = receiver(type="tcp")
    content["storage"] = {"backend": {"type": "postgres", **keys}}
    return content


def test_postgres_with_the_keys_of_cc_event_store(load: Load) -> None:
    content = postgres(
        server="db1,db2",
        port="5433",
        database_path="events",
        username="u",
        password=SECRET,
        flags=["sslmode=verify-full", "sslrootcert=/etc/ca.pem&application_name=x"],
        connection_timeout="3s",
    )
    config = load(content)
    backend = config.storage.backend
    assert isinstance(backend, PostgresConfig)
    assert dict(backend.parameters) == {
        "host": "db1,db2",
        "port": "5433",
        "dbname": "events",
        "user": "u",
        "password": SECRET,
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca.pem",
        "application_name": "x",
    }
    assert (backend.dsn, backend.connection_timeout, backend.text_index) == ("", 3.0, False)
    backend = load(postgres(database_path="events", text_index=True)).storage.backend
    assert isinstance(backend, PostgresConfig)
    assert backend.text_index
    assert config.warnings == ()
    assert SECRET not in repr(config)


def test_postgres_leaves_to_libpq_what_is_not_given(load: Load) -> None:
    backend = load(postgres(database_path="events", type="PostgreSQL")).storage.backend
    assert isinstance(backend, PostgresConfig)
    assert (dict(backend.parameters), backend.connection_timeout) == ({"dbname": "events"}, 10.0)


def test_postgres_secrets_from_files_and_variables(load: Load, cwd: Path) -> None:
    (cwd / "password").write_text(SECRET + "\n")
    (cwd / "dsn").write_text(f"host=h password={SECRET} dbname=d\n")
    backend = load(postgres(database_path="d", password_file="password")).storage.backend
    assert isinstance(backend, PostgresConfig)
    assert backend.parameters["password"] == SECRET
    config = load(postgres(dsn_file="dsn", flags="sslmode=require"))
    backend = config.storage.backend
    assert isinstance(backend, PostgresConfig)
    assert backend.dsn == f"host=h password={SECRET} dbname=d"
    assert dict(backend.parameters) == {"sslmode": "require"}
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "database_path: got nothing, expected the name of the database, or a dsn"),
        ({"database_path": f"host=x password={SECRET}"}, "a connection string goes to dsn"),
        ({"database_path": "d", "server": 5}, "server: got 5, expected a string"),
        ({"database_path": "d", "port": 70000}, "port: got 70000, expected a port"),
        ({"database_path": "d", "connection_timeout": "0"}, "a duration longer than 0"),
        ({"database_path": "d", "connection_timeout": 0}, "or a whole number of seconds"),
        ({"database_path": "d", "connection_timeout": -1}, "got -1, expected a duration"),
        ({"database_path": "d", "connection_timeout": 1.5}, 'such as "1.5s"'),
        ({"database_path": "d", "connection_timeout": True}, "got true"),
        ({"database_path": "d", "text_index": "gin"}, "text_index: got 'gin', expected true or false"),
        ({"database_path": "d", "flags": [f"password={SECRET}"]}, "this one has the key password"),
        ({"database_path": "d", "flags": [SECRET]}, 'options of libpq such as "sslmode=verify-full"'),
        ({"database_path": "d", "flags": ["host=x"]}, "this one has the key server"),
        ({"dsn": f"password={SECRET}", "database_path": "d"}, "since there is a dsn to have it"),
        ({"dsn_env": "NOT_THERE"}, "an environment variable that is set"),
        ({"database_path": "d", "password": 5}, "password: got a value not shown here"),
    ],
)
def test_wrong_postgres(load: Load, keys: dict[str, Any], said: str) -> None:
    found = problem(load, postgres(**keys))
    assert said in found
    assert SECRET not in found


def test_postgres_warnings(load: Load) -> None:
    content = postgres(database_path="d", flags="client_encoding=latin1", retention_time="1h", zzz="x")
    warnings = [line.partition("storage.backend.")[2] for line in load(content).warnings]
    assert warnings == [
        "flags: 'client_encoding': ignored, the store decides this itself",
        "retention_time: ignored: it belongs to storage, one level up",
        "zzz: unknown key, ignored",
    ]
