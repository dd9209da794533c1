"""The real daemon with its spool, and a real PostgreSQL that is stopped and started."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.storage.postgres.test_postgres_daemon import SOCKETS, counts, daemon_on
from tests.support.configuration import write_config
from tests.support.faulty_daemon import Stream, WatchedDaemon, line, write
from tests.support.postgres_server import Server
from tests.support.running_daemon import run


def spool_of(stats: Any) -> Any:
    status = stats["manager"]["status"]
    return {key.removeprefix("spool_"): value for key, value in status.items() if "spool_" in key}


def until_sent(daemon: WatchedDaemon) -> None:
    """Wait until the spool is empty."""
    daemon.until(lambda stats: spool_of(stats)["messages"] == 0)


def in_order(on: Server, name: str, host: str) -> list[str]:
    """The texts of a host in the order in which they arrived."""
    found = on.sql("SELECT field FROM alex_events WHERE hostname = %s ORDER BY id", host, database=name)
    return [text for (text,) in found]


def test_a_stream_goes_on_while_the_server_is_away(tmp_path: Path, own: Server) -> None:
    name = own.new_database()
    with daemon_on(tmp_path, own.backend(name), flush_time="100ms") as daemon:
        with Stream(daemon) as stream:
            for mode in ("immediate", "fast"):
                before = daemon.account("tcp")["stored"]
                daemon.until(lambda stats, n=before: stats["receivers"]["tcp"]["stored"] > n + 2000)
                own.stop(mode)
                daemon.until_ready(503)
                spooled = spool_of(daemon.stats())["added"]
                daemon.until(lambda stats, n=spooled: spool_of(stats)["added"] > n + 2000)
                status, headers, _ = write(daemon, line("refused", "h"))
                assert (status, headers.get("Retry-After")) == (503, "5")
                own.start()
                daemon.until_ready()
                assert write(daemon, line(mode, "h"))[0] == 200
        daemon.arrived("tcp", stream.sent)
        daemon.until(lambda stats: not stats["receivers"]["tcp"]["waiting"])
        until_sent(daemon)
        daemon.until(lambda stats: spool_of(stats)["sent"] == spool_of(stats)["added"])
        assert daemon.account("tcp")["stored"] == stream.sent
        daemon.stop()
        assert "Traceback" not in daemon.text
    assert in_order(own, name, "a0101") == [str(number) for number in range(stream.sent)]
    assert in_order(own, name, "h") == ["immediate", "fast"]


def test_what_is_spooled_survives_a_kill(tmp_path: Path, own: Server) -> None:
    """Killed while the server is away, and again while what is spooled goes in."""
    name = own.new_database()
    keys = {"flush_time": "50ms", "batch_size": 500}
    stored = {}
    for host in ("one", "two"):
        with daemon_on(tmp_path, own.backend(name), **keys) as daemon:
            until_sent(daemon)
            own.stop()
            with Stream(daemon, host=host):
                daemon.until(lambda stats: spool_of(stats)["added"] > 20_000)
            stored[host] = daemon.account("tcp")["stored"]
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        own.start()
        with daemon_on(tmp_path, own.backend(name), **keys) as daemon:
            daemon.until(lambda stats: spool_of(stats)["sent"] > 0)
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
    with daemon_on(tmp_path, own.backend(name), **keys) as daemon:
        until_sent(daemon)
        daemon.stop()
    for host, count in stored.items():
        texts = in_order(own, name, host)
        assert len(texts) >= count
        assert texts == [str(number) for number in range(len(texts))]


def test_a_stop_while_the_server_is_away_keeps_what_is_spooled(tmp_path: Path, own: Server) -> None:
    name = own.new_database()
    with daemon_on(tmp_path, own.backend(name)) as daemon:
        own.stop()
        with Stream(daemon) as stream:
            daemon.until(lambda stats: spool_of(stats)["added"] > 1000)
        daemon.arrived("tcp", stream.sent)
        daemon.stop()
        assert daemon.closing_books()["tcp"] == (stream.sent, stream.sent, 0, 0)
        assert "Traceback" not in daemon.text
    own.start()
    with daemon_on(tmp_path, own.backend(name)) as daemon:
        until_sent(daemon)
    assert set(counts(own, name, "a0101").values()) == {1}
    assert len(counts(own, name, "a0101")) == stream.sent


def test_a_spool_that_is_none_is_one_clear_line(tmp_path: Path, own: Server) -> None:
    spool = tmp_path / "precious.db"
    with closing(sqlite3.connect(spool)) as connection:
        connection.execute("CREATE TABLE precious (x)")
    content = {"backend": own.backend(own.new_database()), "spool": {"path": "precious.db"}}
    status, text = run(tmp_path, "--config", write_config(tmp_path, receivers=SOCKETS, storage=content))
    (problem,) = [each for each in text.splitlines() if "cannot start: " in each]
    assert status == 1
    assert problem.endswith(
        f"cannot start: storage.spool.path: cannot open the spool {spool}: it is another program's database: "
        "give another path"
    )
    assert "Traceback" not in text
