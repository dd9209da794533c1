"""Configurations that the documents of cc-event-store and cc-lib show are accepted, and mean what they do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccstore.config import (
    Config,
    ConfigError,
    EecptReceiverConfig,
    HttpReceiverConfig,
    NatsReceiverConfig,
    PostgresConfig,
    SqliteConfig,
    load_config,
)
from tests.support.nats_server import Key

SQLITE = {"backend": {"type": "sqlite", "database_path": "events.db"}}


def load(directory: Path, **parts: Any) -> Config:
    """Load a configuration in one file, with everything that is not given as plain as can be."""
    path = directory / "config.json"
    path.write_text(json.dumps({"receivers": {}, "storage": SQLITE, **parts}))
    return load_config(path, cwd=directory, environ={})


def warnings(config: Config) -> list[str]:
    """The keys that are warned of, and why."""
    return [line.partition("config.json: ")[2] for line in config.warnings if "no receivers" not in line]


# --- storage --------------------------------------------------------------------------------------------

BACKEND: dict[str, Any] = {"retention_time": "48h", "store_logs": False, "username": "u", "password": "p"}
ONE_LEVEL_UP = "ignored: it belongs to storage, one level up"


def test_the_postgres_backend(tmp_path: Path) -> None:
    backend = {
        "type": "postgres",
        "server": "127.0.0.1",
        "port": 5432,
        "database_path": "database_name",
        "flags": ["sslmode=verify-full"],
        "connection_timeout": 1,
        **BACKEND,
    }
    config = load(tmp_path, storage={"retention_time": "48h", "flush_time": "10s", "backend": backend})
    assert isinstance(config.storage.backend, PostgresConfig)
    assert config.storage.backend.connection_timeout == 1.0
    assert warnings(config) == [
        f"storage.backend.retention_time: {ONE_LEVEL_UP}",
        f"storage.backend.store_logs: {ONE_LEVEL_UP}",
    ]


def test_the_sqlite_backend(tmp_path: Path) -> None:
    backend = {
        "type": "sqlite",
        "database_path": "./mydata.db",
        "flags": ["_timeout=5000", "_journal=WAL"],
        **BACKEND,
    }
    config = load(tmp_path, storage={"backend": backend})
    assert isinstance(config.storage.backend, SqliteConfig)
    assert len(warnings(config)) == 2


# --- receivers ------------------------------------------------------------------------------------------


def receiver(directory: Path, **keys: Any) -> Any:
    (found,) = load(directory, receivers={"r": keys}).receivers
    return found


def test_the_http_receiver(tmp_path: Path) -> None:
    found = receiver(
        tmp_path,
        type="http",
        address="",
        port="8080",
        path="/write",
        idle_timeout="120s",
        username="myUser",
        password="myPW",
    )
    assert isinstance(found, HttpReceiverConfig)
    assert (found.port, found.path, found.username) == (8080, "/write", "myUser")


def test_the_eecpt_receiver(tmp_path: Path) -> None:
    found = receiver(
        tmp_path,
        type="eecpt",
        address="0.0.0.0",
        port="8080",
        path="/write",
        idle_timeout="120s",
        keep_alives_enabled=True,
        username="myUser",
        password="myPW",
        analysis_buffer_size=10,
        analysis_interval="5m",
        analysis_metric="region_metric",
        process_messages=[],
    )
    assert isinstance(found, EecptReceiverConfig)
    assert found.analysis_buffer_size == 10


NATS: dict[str, Any] = {"type": "nats", "address": "nats.example.org", "port": "4222", "subject": "metrics"}


def test_a_nats_receiver_with_a_password_and_an_nkey(tmp_path: Path) -> None:
    """As the document shows it: the Go daemon takes user and password, and does not look at the file."""
    keys = {"user": "natsuser", "password": "natssecret", "nkey_file": "/path/to/nkey_file"}
    config = load(tmp_path, receivers={"r": {**NATS, **keys, "process_messages": []}})
    (found,) = config.receivers
    assert isinstance(found, NatsReceiverConfig)
    assert (found.user, found.password, found.nkey_file) == ("natsuser", "natssecret", None)
    assert warnings(config) == ["receivers.r.nkey_file: ignored: user and password say who we are"]


@pytest.mark.parametrize("key", ["user", "password"])
def test_a_nats_receiver_with_an_nkey_and_half_a_password(tmp_path: Path, key: str) -> None:
    seed = tmp_path / "seed"
    seed.write_text(Key().seed)
    config = load(tmp_path, receivers={"r": {**NATS, key: "x", "nkey_file": str(seed)}})
    (found,) = config.receivers
    assert isinstance(found, NatsReceiverConfig)
    assert (found.user, found.password, found.nkey_file) == (None, None, seed)
    assert warnings(config) == [f"receivers.r.{key}: ignored: nkey_file says who we are"]


def test_strings_without_anything_in_them_are_as_good_as_none(tmp_path: Path) -> None:
    found = receiver(tmp_path, **NATS, user="", password="", nkey_file="")
    assert (found.user, found.password, found.nkey_file) == (None, None, None)
    found = receiver(tmp_path, type="http", address="", path="", username="", password="")
    assert (found.path, found.username, found.password) == ("", None, None)


def test_a_named_file_that_is_not_there_is_no_silent_fallback(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="password_file"):
        receiver(tmp_path, **NATS, user="u", password="p", password_file="none", nkey_file="none")


# --- API ------------------------------------------------------------------------------------------------


def test_the_api(tmp_path: Path) -> None:
    key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    config = load(
        tmp_path,
        api={
            "address": "localhost",
            "port": "8088",
            "idle_timeout": "120s",
            "keep_alives_enabled": True,
            "jwt_public_key": key,
            "enable_swagger_ui": True,
        },
    )
    assert config.api.jwt_public_key == bytes(range(32))
    assert warnings(config) == []
