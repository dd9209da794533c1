"""The real daemon on a real PostgreSQL: how it starts, and what becomes of messages without a server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.configuration import write_config
from tests.support.faulty_daemon import Honest, Stream, WatchedDaemon, line, write
from tests.support.postgres_server import PASSWORD, USER, Server, server
from tests.support.running_daemon import PATIENCE, environment, run

SOCKETS = {kind: {"type": kind, "address": "127.0.0.1", "port": 0} for kind in ("tcp", "http")}


@pytest.fixture
def database() -> Iterator[str]:
    name = server().new_database()
    yield name
    server().drop_database(name)


@contextmanager
def daemon_on(directory: Path, keys: dict[str, Any], **storage: Any) -> Iterator[WatchedDaemon]:
    directory.mkdir(exist_ok=True)
    config = write_config(directory, receivers=SOCKETS, storage={"backend": keys, **storage})
    with WatchedDaemon(directory, "--config", config) as daemon:
        yield daemon


def counts(on: Server, name: str, host: str) -> Counter[str]:
    """How often each text of a host is stored."""
    found = on.sql("SELECT field FROM alex_events WHERE hostname = %s", host, database=name)
    return Counter(text for (text,) in found)


# -- start


def test_a_password_from_a_file_and_an_orderly_stop(tmp_path: Path, database: str) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    keys = server().backend(database, password_file=str(tmp_path / "password"))
    del keys["password"]
    with daemon_on(tmp_path, keys) as daemon:
        assert write(daemon, line("one"))[0] == 200
        (entry,) = daemon.query({"host": "a0101"})[0]
        assert [row["Event"] for row in entry["data"]] == ["one"]
        stats = daemon.stats()
        assert stats["info"]["backend_type"] == "postgres"
        assert len(stats["ccstore"]["instance"]) == 16
        daemon.stop()
        assert f"storing in {database} on 127.0.0.1:{server().port} (PostgreSQL " in daemon.text
        assert PASSWORD not in daemon.text
        assert "Traceback" not in daemon.text
    assert counts(server(), database, "a0101") == {"one": 1}


def test_events_may_be_kept_for_a_hundred_years_and_then_for_an_hour(tmp_path: Path, database: str) -> None:
    now = int(time.time())
    ages = {"new": 0, "of today": 7200, "old": 50 * 365 * 86400}
    hour, most = "1h", "876000h"
    for retention, shown in ((most, [*ages]), (hour, ["new"]), (most, ["new"])):
        with daemon_on(tmp_path, server().backend(database), retention_time=retention) as daemon:
            if retention == most and ages:
                lines = [
                    f'job,cluster=alex,hostname=a event="{text}" {now - age}' for text, age in ages.items()
                ]
                assert write(daemon, "\n".join(lines).encode())[0] == 200
                ages.clear()
            (entry,) = daemon.query({"host": "a"})[0]
            assert sorted(row["Event"] for row in entry["data"]) == sorted(shown)
            daemon.stop()
        assert counts(server(), database, "a") == Counter(shown)


def test_a_dsn_and_pgpass(tmp_path: Path, database: str) -> None:
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"127.0.0.1:*:*:{USER}:{PASSWORD}\n")
    passwords.chmod(0o600)
    config = write_config(
        tmp_path, receivers=SOCKETS, storage={"backend": {"type": "postgres", "dsn_env": "WHERE"}}
    )
    where = f"postgresql://{USER}@127.0.0.1:{server().port}/{database}"
    command = [sys.executable, "-m", "ccstore", "check", "--config", str(config)]
    for variables, status in (({"WHERE": where}, 0), ({}, 1)):
        checked = subprocess.run(command, env=environment(**variables), cwd=tmp_path, check=False)
        assert checked.returncode == status
    run = ("-m", "ccstore", "run")
    environ = {"WHERE": where, "PGPASSFILE": str(passwords)}
    with WatchedDaemon(tmp_path, "--config", config, command=run, **environ) as daemon:
        assert write(daemon, line("one"))[0] == 200
    assert counts(server(), database, "a0101") == {"one": 1}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"password": "wrong"}, f'password authentication failed for user "{USER}"'),
        ({"database_path": "nowhere"}, 'database "nowhere" does not exist'),
        ({"server": "127.0.0.1", "port": 1}, "nowhere-near on 127.0.0.1:1: "),
        ({"flags": ["sslmode=verify-full"]}, "cannot open the database "),
        ({"flags": ["sslmod=verify-full"]}, "libpq knows no option 'sslmod'"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    content = server().backend("nowhere-near", **keys)
    config = write_config(tmp_path, receivers=SOCKETS, storage={"backend": content})
    status, text = run(tmp_path, "--config", config)
    assert status == 1
    (problem,) = [each for each in text.splitlines() if "cannot start: " in each]
    assert "cannot start: storage.backend: " in problem
    assert said in problem
    assert "Traceback" not in text
    assert PASSWORD not in text


def test_without_the_extra_everything_else_works(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('psycopg2', 'txpostgres'): sys.modules[name] = None\n"
        "from ccstore.cli import main\n"
        "sys.argv = ['ccstore', 'check', '--config', sys.argv[1]]\n"
        "main()\n"
    )
    for kind, status in (("sqlite", 0), ("postgres", 1)):
        content = {"type": kind, "database_path": str(tmp_path / "x.db")}
        config = write_config(tmp_path, storage={"backend": content})
        done = subprocess.run(
            [sys.executable, "-c", script, str(config)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, done
        if status:
            assert done.stderr.count("\n") == 1
            assert "storage.backend.type: got 'postgres', expected the packages for it to be installed (" in (
                done.stderr
            )
            command = f"{sys.executable} -m pip install txpostgres psycopg2-binary"
            assert done.stderr.endswith(f"install with: {command})\n")


# -- a server that goes away


def test_a_server_that_crashes_under_load(tmp_path: Path, own: Server) -> None:
    name = own.new_database()
    with daemon_on(tmp_path, own.backend(name), max_waiting=8000, spool={"max_size": 0}) as daemon:
        with Stream(daemon) as stream, Honest(daemon, every=0.005) as honest:
            for _ in range(3):
                stored = daemon.account("tcp")["stored"]
                daemon.until(lambda stats, stored=stored: stats["receivers"]["tcp"]["stored"] > stored + 5000)
                own.stop("immediate")
                daemon.until_ready(503)
                status, headers, _ = write(daemon, line("refused", "h"))
                assert (status, headers.get("Retry-After")) == (503, "5")
                daemon.until(lambda stats: stats["receivers"]["tcp"]["pauses"])
                own.start()
                daemon.until_ready()
            assert write(daemon, line("after", "h"))[0] == 200
        daemon.arrived("tcp", stream.sent)
        daemon.until(lambda stats: not stats["receivers"]["tcp"]["waiting"])
        assert daemon.account("tcp")["stored"] == stream.sent
        daemon.stop()
        assert "Traceback" not in daemon.text
    found = counts(own, name, "a0101")
    assert len(found) == stream.sent
    assert set(found.values()) == {1}
    assert set(honest.answered) <= set(counts(own, name, honest.HOST))
    assert set(counts(own, name, honest.HOST).values()) == {1}
    assert counts(own, name, "h") == {"after": 1}


def test_a_stop_while_the_server_is_away_comes_to_an_end(tmp_path: Path, own: Server) -> None:
    with daemon_on(tmp_path, own.backend(own.new_database())) as daemon:
        assert write(daemon, line("one"))[0] == 200
        own.stop()
        assert write(daemon, line("two"))[0] == 503
        assert daemon.ask("GET", "/ready")[0] == 503
        begun = time.monotonic()
        daemon.stop()
        assert time.monotonic() - begun < PATIENCE
        assert "Traceback" not in daemon.text


# -- words


def test_words_are_found_by_an_index_once_it_is_made(tmp_path: Path, database: str) -> None:
    """And the check of the configuration says how they are found; without a server it says that."""
    keys = server().backend(database, text_index=True)
    config = write_config(tmp_path, receivers=SOCKETS, storage={"backend": keys})
    check = ("-m", "ccstore", "check")
    good = f"{config}: the configuration is good\n"
    later = "words are found by reading each text: until the daemon has made an index of the texts\n"
    assert run(tmp_path, "--config", config, command=check) == (0, good + later)
    with daemon_on(tmp_path, keys) as daemon:
        assert write(daemon, line("one"))[0] == 200
        daemon.wait_for("the texts of logs are indexed")
        assert write(daemon, line("Two"))[0] == 200
        status, body = daemon.ask("GET", "/api/v1/messages?text=tw&limit=1")
        assert (status, json.loads(body)["messages"][0]["text"]) == (200, "Two")
        daemon.stop()
        assert "Traceback" not in daemon.text
    assert run(tmp_path, "--config", config, command=check) == (
        0,
        f"{good}words are found by an index of the texts\n",
    )
    keys["port"] = "1"
    write_config(tmp_path, receivers=SOCKETS, storage={"backend": keys})
    status, said = run(tmp_path, "--config", config, command=check)
    assert (status, said.count("\n")) == (0, 2)
    assert "the database cannot be asked how words are found: " in said
    assert PASSWORD not in said


# -- several daemons


def test_two_daemons_and_one_is_killed(tmp_path: Path, own: Server) -> None:
    name = own.new_database()
    with (
        daemon_on(tmp_path / "1", own.backend(name), retention_time="1h") as one,
        daemon_on(tmp_path / "2", own.backend(name), retention_time="1h") as two,
    ):
        assert one.stats()["ccstore"]["instance"] != two.stats()["ccstore"]["instance"]
        assert write(one, line("from one", "h"))[0] == 200
        assert write(two, line("from two", "h"))[0] == 200
        for daemon in (one, two):
            ((entry,),) = daemon.query({"host": "h"})
            assert sorted(row["Event"] for row in entry["data"]) == ["from one", "from two"]
        doomed, other = Honest(one, every=0.001), Honest(two, every=0.001)
        other.HOST = "other"
        sender = Stream(two, host="s0101")
        with other, sender:
            doomed.start()
            while len(doomed.answered) < 50:
                time.sleep(0.01)
            one.send_signal(signal.SIGKILL)
            one.wait()
            doomed.join()
            answered = len(other.answered)
            while len(other.answered) < answered + 20:
                time.sleep(0.01)
        two.arrived("tcp", sender.sent)
        two.stop()
    assert other.refused == 0
    for who in (doomed, other):
        found = counts(own, name, who.HOST)
        assert set(who.answered) <= set(found)
        assert set(found.values()) == {1}
    assert len(counts(own, name, "s0101")) == sender.sent


def test_two_daemons_and_a_client_follows_one(tmp_path: Path, own: Server) -> None:
    """It is told what both write, and goes on at the other one."""
    name = own.new_database()
    with (
        daemon_on(tmp_path / "1", own.backend(name)) as one,
        daemon_on(tmp_path / "2", own.backend(name)) as two,
    ):
        with _followed(one) as told:
            for number in range(4):
                assert write((one, two)[number % 2], line(f"text {number}", "h"))[0] == 200
            ids = [_until(told, f"text {number}") for number in range(4)]
        with _followed(two, cursor=ids[1]) as told:
            assert write(one, line("text 4", "h"))[0] == 200
            for number in (2, 3, 4):
                _until(told, f"text {number}")
        for daemon in (one, two):
            daemon.stop()
            assert "Traceback" not in daemon.text


@contextmanager
def _followed(daemon: WatchedDaemon, **query: str) -> Iterator[Iterator[tuple[str, str]]]:
    """A tail's texts and ids as they come; it has begun."""

    def events() -> Iterator[tuple[str, str]]:
        number = ""
        for each in answer:
            key, _, value = each.decode().rstrip("\n").partition(": ")
            if key == "id":
                number = value
                yield "", number
            elif key == "data" and "text" in (found := json.loads(value)):
                yield found["text"], number

    connection = daemon.connect()
    try:
        connection.request("GET", "/api/v1/tail?" + urlencode(query))
        answer = connection.getresponse()
        told = events()
        if not query:
            next(told)  # how far the store has been followed
        yield told
    finally:
        connection.close()


def _until(told: Iterator[tuple[str, str]], text: str) -> str:
    """The id of the next message, which has this text."""
    found, number = next(each for each in told if each[0])
    assert found == text
    return number
