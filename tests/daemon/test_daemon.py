"""The whole daemon, as a process: how it starts, what it stores, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.configuration import RECEIVERS, write_config
from tests.support.running_daemon import (
    PATIENCE,
    Daemon,
    database,
    eventually,
    run,
    send_tcp,
    send_udp,
)
from tests.support.sinks import event

COLUMNS = ["id", "timestamp", "name", "hostname", "type", "typeid", "stype", "stypeid", "othertags", "field"]


# -- the way of a message


def test_one_line_by_each_way_in(config: Path) -> None:
    at = int(time.time()) - 1
    tags = r"job,cluster=alex,hostname=a0101,type=node,type-id=0,function=start_job"
    lines = [f'{tags} event="{{\\"jobId\\": {number}}}" {at}\n'.encode() for number in range(4)]
    with Daemon(config.parent, "--config", config) as daemon:
        assert sorted(daemon.ports) == ["HTTP", "REST", "TCP", "UDP"]
        daemon.wait_for(re.escape(f"storing in {config.parent / 'ccstore.db'} "))
        send_tcp(daemon, lines[0])
        daemon.arrived("tcp", 1)
        send_udp(daemon, lines[1])
        daemon.arrived("udp", 1)
        # What waits longest is what came first, but urgent lines must not overtake it.
        assert daemon.ask("POST", "/", lines[2], line="HTTP") == (200, b"")
        assert daemon.ask("POST", "/api/write?cluster=fritz", lines[3]) == (200, b"")
        asked = {"event": "job", "host": "a0101", "type": "node", "type-ids": ["0"]}
        texts = [f'{{"jobId": {number}}}' for number in range(4)]
        rows = [{"Event": text, "timestamp": at} for text in texts]
        assert daemon.query(asked, **{"from": at, "to": at}) == [[{"data": rows, "from": at, "to": at}]]
        with database(config.parent / "ccstore.db") as connection:
            view = connection.execute("SELECT * FROM alex_events ORDER BY id")
            assert [column[0] for column in view.description] == COLUMNS
            others = '{"function": "start_job"}'
            assert [row[1:] for row in view] == [
                (at, "job", "a0101", "node", "0", None, None, others, text) for text in texts
            ]
        assert daemon.stop() == -signal.SIGTERM
        assert "Traceback" not in daemon.text


def mixed_lines(count: int) -> tuple[list[bytes], dict[tuple[str, str], list[str]]]:
    """Lines of some clusters and both kinds, and the texts by cluster and kind, in their order."""
    lines: list[bytes] = []
    expected: dict[tuple[str, str], list[str]] = {}
    for number in range(count):
        cluster = ("alex", "my-cluster", "eventx")[number % 3]
        kind = "log" if number % 7 == 0 else "event"
        text = f'{number} ü, \\ and "quotes"{" and more" * (number % 11)}'
        escaped = text.replace("\\", r"\\").replace('"', r"\"")
        lines.append(f'n{number % 5},cluster={cluster},hostname=h{number % 50} {kind}="{escaped}"'.encode())
        expected.setdefault((cluster, kind), []).append(text)
    return lines, expected


def check_stored(path: Path, expected: dict[tuple[str, str], list[str]]) -> None:
    """Every line is there once, in its place."""
    with database(path) as connection:
        for (cluster, kind), texts in expected.items():
            found = connection.execute(f'SELECT field FROM "{cluster}_{kind}s" ORDER BY id').fetchall()
            assert [text for (text,) in found] == texts


def test_many_mixed_lines_over_http(config: Path) -> None:
    lines, expected = mixed_lines(22_000)
    with Daemon(config.parent, "--config", config) as daemon:
        with closing(daemon.connect("HTTP")) as connection:
            for start in range(0, len(lines), 1000):
                connection.request("POST", "/", b"\n".join(lines[start : start + 1000]))
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b"")
        # All of this is answered, so it is there, with no stop that could have helped.
        check_stored(config.parent / "ccstore.db", expected)
        assert daemon.stats()["receivers"]["http"]["stored"] == len(lines)


def test_many_mixed_lines_over_one_tcp_connection(config: Path) -> None:
    lines, expected = mixed_lines(22_000)
    with Daemon(config.parent, "--config", config) as daemon:
        send_tcp(daemon, b"\n".join(lines))
        assert daemon.stop() == -signal.SIGTERM
        assert f"tcp: {len(lines)} received, {len(lines)} stored, 0 rejected" in daemon.text
    check_stored(config.parent / "ccstore.db", expected)


# -- the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_what_it_says_it_received_is_what_is_stored(config: Path, number: int) -> None:
    """A signal in the middle of a stream."""
    with Daemon(config.parent, "--config", config) as daemon:
        enough = threading.Event()

        def send() -> None:
            with socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), PATIENCE) as connection:
                try:
                    for start in range(0, 10**9, 100):
                        block = b"".join(event(f"{start + i}") + b"\n" for i in range(100))
                        connection.sendall(block)
                        if start >= 5000:
                            enough.set()
                except OSError:
                    pass

        sending = threading.Thread(target=send)
        sending.start()
        assert enough.wait(PATIENCE)
        daemon.arrived("tcp", 3000)
        status = daemon.stop(number)
        sending.join(PATIENCE)
        assert status == -number
        said = daemon.wait_for(
            r"tcp: (\d+) received, (\d+) stored, (\d+) rejected, (\d+) dropped, (\d+) waiting$"
        )
        assert "Traceback" not in daemon.text
    received, stored, rejected, dropped, waiting = map(int, said.groups())
    assert received == stored + rejected
    assert rejected in (0, 1)  # half a line, if the stream was cut in one
    assert (dropped, waiting) == (0, 0)
    check_stored(config.parent / "ccstore.db", {("alex", "event"): [str(i) for i in range(stored)]})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("line", ["line protocol over TCP on ", "storing in ", r"ccstore \S+ runs$"])
def test_a_signal_as_soon_as_a_port_is_open_leads_to_an_orderly_stop(
    config: Path, number: int, line: str
) -> None:
    with Daemon(config.parent, "--config", config, until=line) as daemon:
        assert daemon.stop(number) == -number
        daemon.wait_for(" info: stopped$")
        assert "Traceback" not in daemon.text


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_second_signal_changes_nothing(config: Path, second: int) -> None:
    with Daemon(config.parent, "--config", config) as daemon:
        # The stop waits a little for what may still come over an open connection.
        with socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), PATIENCE):
            daemon.send_signal(signal.SIGTERM)
            daemon.wait_for(" info: stopping: SIGTERM$")
            assert daemon.stop(second) == -signal.SIGTERM
        daemon.wait_for(" info: stopped$")
        assert "Traceback" not in daemon.text
        assert daemon.text.count("info: stopping") == 1


def test_a_signal_while_the_configuration_is_read_ends_it_without_a_word(tmp_path: Path) -> None:
    pipe = tmp_path / "ccstore.json"
    os.mkfifo(pipe)
    process = Daemon.launch(tmp_path, "--config", pipe)
    # Both ends wait for each other: then the daemon is about to read.
    with process, pipe.open("w"):
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (-signal.SIGINT, "")


def test_what_the_kernel_holds_of_datagrams_is_stored_at_the_end(config: Path) -> None:
    texts = [f"{number:03}{'x' * 1000}" for number in range(500)]
    with Daemon(config.parent, "--config", config) as daemon:
        for text in texts:
            send_udp(daemon, event(text))
        daemon.stop()
        assert "udp: 500 received, 500 stored" in daemon.text
    check_stored(config.parent / "ccstore.db", {("alex", "event"): texts})


def test_the_file_is_complete_without_its_write_ahead_log(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon:
        assert daemon.ask("POST", "/", event("a"), line="HTTP") == (200, b"")
        daemon.stop()
    (config.parent / "ccstore.db-wal").unlink(missing_ok=True)
    check_stored(config.parent / "ccstore.db", {("alex", "event"): ["a"]})


def test_what_was_answered_outlives_even_a_kill(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon:
        assert daemon.ask("POST", "/", event("a"), line="HTTP") == (200, b"")
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    with Daemon(config.parent, "--config", config) as daemon:
        assert daemon.query()[0][0]["data"][0]["Event"] == "a"


# -- retention


def test_events_go_and_logs_stay_and_the_file_shrinks(tmp_path: Path) -> None:
    config = write_config(tmp_path, receivers=RECEIVERS, storage={"retention_time": "2s"})
    path = tmp_path / "ccstore.db"
    clusters = ("alex", "eventx")
    body = b"\n".join(
        f'n,cluster={cluster} {kind}="{number} {"x" * 2000}"'.encode()
        for number in range(1500)
        for cluster, kind in (("alex", "event"), ("eventx", "event"), ("eventx", "event"))
    )
    logs = b"\n".join(f'n,cluster={cluster} log="{i}"'.encode() for i in range(50) for cluster in clusters)
    with Daemon(tmp_path, "--config", config) as daemon:
        assert daemon.ask("POST", "/", logs, line="HTTP") == (200, b"")
        assert daemon.ask("POST", "/", body, line="HTTP") == (200, b"")
        assert len(daemon.query()[0][0]["data"]) == 1500

        def size() -> int:
            with database(path) as connection:
                pages, page = (
                    connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size")
                )
            return int(pages * page)

        full = size()
        assert full > len(body)
        eventually(lambda: not any(daemon.query(cluster=cluster)[0][0]["data"] for cluster in clusters))
        eventually(lambda: size() < full / 3)
        for cluster in clusters:
            (entry,) = daemon.query({"kind": "log"}, cluster=cluster)[0]
            assert [row["Event"] for row in entry["data"]] == [str(i) for i in range(50)]
        assert daemon.stop() == -signal.SIGTERM
    assert path.stat().st_size < full / 3
    with database(path) as connection:
        for cluster in clusters:
            assert connection.execute(f"SELECT count(*) FROM {cluster}_logs").fetchone() == (50,)


def test_an_event_that_comes_too_late_is_warned_of_with_its_sender(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon:
        line = event("old", host="slow-clock", time=1_000_000_000)
        assert daemon.ask("POST", "/", line, line="HTTP") == (200, b"")
        found = daemon.wait_for("was dropped: is the clock of that host right")
        assert "'slow-clock' from 127.0.0.1:" in found.string
        assert daemon.stats()["receivers"]["http"]["dropped"] == {"expired": 1}


# -- the log


def test_an_open_interface_beyond_the_loopback_is_warned_of(tmp_path: Path) -> None:
    key = b64encode(bytes(range(32))).decode()
    for api, is_warned in (
        ({"address": "0.0.0.0"}, True),
        ({"address": "0.0.0.0", "jwt_public_key": key}, False),
        ({"address": "127.0.0.1"}, False),
    ):
        config = write_config(tmp_path, receivers=RECEIVERS, api=api)
        with Daemon(tmp_path, "--config", config) as daemon:
            assert ("is open to everybody who can reach it: set jwt_public_key" in daemon.text) == is_warned


def test_secrets_are_never_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter-two\n")
    keys = {"username": "node", "password_file": "password"}
    receivers = {**RECEIVERS, "http": {**RECEIVERS["http"], **keys}}
    config = write_config(tmp_path, receivers=receivers, api={"jwt_public_key_env": "CCSTORE_KEY"})
    key = b64encode(bytes(range(32))).decode()
    with Daemon(tmp_path, "--config", config, "--loglevel", "debug", CCSTORE_KEY=key) as daemon:
        for given, status in (("node:hunter-two", 200), ("node:hunter-three", 401)):
            with closing(daemon.connect("HTTP")) as connection:
                basic = b64encode(given.encode()).decode()
                connection.request("POST", "/", event("a"), {"Authorization": f"Basic {basic}"})
                assert connection.getresponse().status == status
        assert daemon.ask("GET", "/api/stats")[0] == 401
        with closing(daemon.connect()) as connection:
            connection.request("GET", "/api/stats", headers={"Authorization": "Bearer top.secret.token"})
            assert connection.getresponse().status == 401
        daemon.stop()
        for secret in ("hunter", b64encode(b"node:hunter-two").decode(), key, "top.secret"):
            assert secret not in daemon.text
    keys = {"username": "node", "password": "hunter-two"}
    receivers = {"http": {**RECEIVERS["http"], **keys, "port": "hunter"}}
    status, said = run(tmp_path, "--config", write_config(tmp_path, receivers=receivers))
    assert status == 1
    assert "hunter-two" not in said


def test_the_log_level(config: Path) -> None:
    status, said = run(config.parent, "--config", config, "--loglevel", "WARN", "--check")
    assert (status, json.loads(config.read_text())["receivers"], said.count("\n")) == (0, RECEIVERS, 1)
