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
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import certificates
from tests.support.configuration import write_config
from tests.support.running_daemon import PATIENCE, TWISTD, Daemon, database, run
from tests.support.sinks import event

RECEIVERS = {kind: {"type": kind, "address": "127.0.0.1", "port": 0} for kind in ("tcp", "udp", "http")}
COLUMNS = ["id", "timestamp", "name", "hostname", "type", "typeid", "stype", "stypeid", "othertags", "field"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """What the daemon does without any file, but for the ports."""
    return write_config(tmp_path, receivers=RECEIVERS)


def send_tcp(daemon: Daemon, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), PATIENCE) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def send_udp(daemon: Daemon, data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("127.0.0.1", daemon.ports["UDP"]))


def check_wrong_start(status: int, said: str, *expected: str) -> None:
    """A start that fails has one clear line, and no traceback."""
    assert status == 1, said
    assert "Traceback" not in said
    clear = [line for line in said.splitlines() if all(words in line for words in expected)]
    assert len(clear) == 1, said


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


# -- starts that fail


@contextmanager
def taken(kind: int) -> Iterator[int]:
    """A port that somebody else has."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"receivers": {"r": {"type": "tcp", "port": "x"}}}, ["receivers.r.port: got 'x', expected a port"]),
        (
            {"receivers": {"r": {"type": "tpc"}}},
            ["receivers.r.type: got 'tpc', expected one of tcp, udp, http"],
        ),
        ({"storage": {"retention_time": "1y"}}, ["storage.retention_time: got '1y', expected a duration"]),
        ({"api": {"max_rows": "many"}}, ["api.max_rows: got 'many', expected a whole number"]),
        ({"api": {"jwt_public_key": "AAAA"}}, ["api.jwt_public_key: got", "Ed25519"]),
    ],
    ids=["wrong type", "unknown receiver", "days", "wrong type in api", "bad key"],
)
def test_a_wrong_configuration(tmp_path: Path, parts: dict[str, Any], expected: list[str]) -> None:
    path = write_config(tmp_path, **parts)
    for options in ([], ["--check"]):
        status, said = run(tmp_path, "--config", path, *options)
        check_wrong_start(status, said, str(path), *expected)
        assert len(said.splitlines()) == 1
    assert not (tmp_path / "ccstore.db").exists()


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = write_config(tmp_path, receivers={"r": {"type": "x"}}, storage={"flush_time": 3}, api={"port": -1})
    status, said = run(tmp_path, "--config", path)
    assert status == 1
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "receivers.r.type",
        "storage.flush_time",
        "api.port",
    ]


def test_a_configuration_file_that_is_not_there(tmp_path: Path) -> None:
    status, said = run(tmp_path, "--config", "nowhere.yaml")
    check_wrong_start(status, said, "nowhere.yaml", "no such file")


def test_a_bad_log_level(tmp_path: Path, config: Path) -> None:
    status, said = run(tmp_path, "--config", config, "--loglevel", "loud")
    check_wrong_start(status, said, "--loglevel: expected one of debug, info,", "got 'loud'")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("tcp", "receivers.r.port"),
        ("udp", "receivers.r.port"),
        ("http", "receivers.r.port"),
        ("api", "api.port"),
    ],
)
def test_a_port_in_use(tmp_path: Path, kind: str, key: str) -> None:
    with taken(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as port:
        listening = {"address": "127.0.0.1", "port": port}
        parts = {"api": listening} if kind == "api" else {"receivers": {"r": {"type": kind, **listening}}}
        status, said = run(tmp_path, "--config", write_config(tmp_path, **parts))
        check_wrong_start(status, said, f"cannot start: {key}: cannot listen on ", f"127.0.0.1:{port}: ")
    assert not (tmp_path / "ccstore.db").exists()


def test_everything_that_keeps_it_from_starting_is_told_at_once(tmp_path: Path) -> None:
    with taken(socket.SOCK_STREAM) as port, taken(socket.SOCK_DGRAM) as other:
        here = {"address": "127.0.0.1"}
        receivers = {
            "nodes": {"type": "tcp", **here, "port": port},
            "more": {"type": "udp", **here, "port": other},
            "far": {"type": "http", "address": "192.0.2.1", "port": 0},
            "local": {"type": "tcp", "endpoint": f"unix:{tmp_path}/nowhere/socket"},
        }
        backend = {"type": "sqlite", "database_path": "missing/ccstore.db"}
        config = write_config(tmp_path, receivers=receivers, storage={"backend": backend})
        status, said = run(tmp_path, "--config", config)
    assert status == 1
    assert "Traceback" not in said
    problems = [line.split("cannot start: ")[1] for line in said.splitlines() if "cannot start: " in line]
    assert [problem.split(": ")[0] for problem in problems] == [
        "receivers.nodes.port",
        "receivers.more.port",
        "receivers.far.address",
        "receivers.local.endpoint",
        "storage.backend.database_path",
    ]
    assert problems[0] == f"receivers.nodes.port: cannot listen on 127.0.0.1:{port}: address already in use"
    assert problems[3].endswith(f": the folder {tmp_path}/nowhere does not exist")
    assert f"the folder {tmp_path}/missing does not exist" in problems[4]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/proc/ccstore.db", "/proc/ccstore.db"),
        ("nowhere/ccstore.db", "/nowhere does not exist"),
        ("ccstore.json/ccstore.db", "/ccstore.json is not a folder"),
    ],
)
def test_a_database_that_cannot_be_written(tmp_path: Path, path: str, said: str) -> None:
    backend = {"type": "sqlite", "database_path": path}
    config = write_config(tmp_path, receivers=RECEIVERS, storage={"backend": backend})
    status, text = run(tmp_path, "--config", config)
    check_wrong_start(status, text, "cannot start: storage.backend.database_path: ", said)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may go everywhere")
def test_a_database_in_a_folder_that_is_closed_to_us(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(0)
    backend = {"type": "sqlite", "database_path": "closed/folder/ccstore.db"}
    config = write_config(tmp_path, receivers=RECEIVERS, storage={"backend": backend})
    status, said = run(tmp_path, "--config", config)
    key = "cannot start: storage.backend.database_path: "
    check_wrong_start(status, said, key, "/closed/folder cannot be reached: permission denied")


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp:0:foo=bar",
        "ssl:0:privateKey=ccstore.json",
        "ssl:0:privateKey=missing.pem",
        "systemd:domain=INET:index=0",
        "stdio:",
        "unix:/nowhere/ccstore.socket",
    ],
)
def test_an_endpoint_that_is_none(tmp_path: Path, endpoint: str) -> None:
    for part, key in (({"receivers": {"r": {"type": "tcp"}}}, "receivers.r"), ({}, "api")):
        config = write_config(tmp_path, **part)
        content = json.loads(config.read_text())
        section = content["receivers"]["r"] if part else content["api"]
        section.pop("address", None)
        section.pop("port", None)
        section["endpoint"] = endpoint
        config.write_text(json.dumps(content))
        status, said = run(tmp_path, "--config", config)
        check_wrong_start(status, said, f"{key}.endpoint: ", endpoint)
    assert not (tmp_path / "ccstore.db").exists()


def test_a_certificate_and_a_key_that_do_not_belong_together(tmp_path: Path) -> None:
    certificates(tmp_path)
    keys = {"tls_certificate": "server.pem", "tls_key": "client.key"}
    config = write_config(tmp_path, receivers={"r": {"type": "tcp", "port": 0, **keys}})
    for options in ([], ["--check"]):
        status, said = run(tmp_path, "--config", config, *options)
        check_wrong_start(status, said, "receivers.r.tls_key: got 'client.key', expected the private key of ")


def test_wrong_options_are_told_in_the_words_of_the_command(tmp_path: Path) -> None:
    for command in ("run", "check"):
        status, said = run(tmp_path, command, "--nope", command=("-m", "ccstore"))
        line = (
            f"ccstore {command}: option --nope not recognized; `ccstore {command} --help` lists the options"
        )
        assert (status, said) == (1, line + "\n")


def test_a_database_of_somebody_else(tmp_path: Path, config: Path) -> None:
    (tmp_path / "ccstore.db").write_text("this is no database, " * 100)
    status, said = run(tmp_path, "--config", config)
    check_wrong_start(status, said, "cannot start: ", "cannot open the database", "ccstore.db")


def test_a_database_in_use_by_another_daemon(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon:
        status, said = run(config.parent, "--config", config)
        check_wrong_start(status, said, "cannot start: ", "ccstore.db is in use by another ccstore")
        assert daemon.ask("POST", "/", event("a"), line="HTTP") == (200, b"")
        assert daemon.query()[0][0]["data"][0]["Event"] == "a"


def test_check_is_content_with_a_good_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path, receivers={"r": {"type": "tcp", "port": 0, "zzz": 1}})
    status, said = run(tmp_path, "--config", config, "--check")
    assert status == 0
    *warnings, verdict = said.splitlines()
    assert verdict == f"{config}: the configuration is good"
    assert len(warnings) == 1
    assert "receivers.r.zzz: unknown key" in warnings[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ccstore.json"]


# -- pid files


def test_the_foreground_leaves_no_pid_file(config: Path) -> None:
    with Daemon(config.parent, "--config", config) as daemon:
        there = sorted(path.name for path in config.parent.iterdir())
        assert daemon.stop() == -signal.SIGTERM
    assert [name for name in there if "pid" in name] == []


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def eventually(what: Any) -> Any:
    """Ask until the answer is true."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := what()):
        assert time.monotonic() < deadline
        os.sched_yield()
    return answer


def test_in_the_background_it_has_a_pid_file_and_takes_it_along(config: Path) -> None:
    directory = config.parent
    pidfile, log = directory / "ccstore.pid", directory / "ccstore.log"
    options = [f"--pidfile={pidfile}", f"--logfile={log}", "ccstore", "--config", config]
    status, said = run(directory, *options, command=TWISTD)
    assert (status, said) == (0, "")
    eventually(lambda: log.exists() and re.search(r"ccstore \S+ runs", log.read_text()))
    pid = int(pidfile.read_text())
    try:
        status, said = run(directory, *options, command=TWISTD)
        assert status == 1
        assert "Another twistd server is running" in said
        assert pidfile.exists()
    finally:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not is_alive(pid))
    assert not pidfile.exists()
    assert "Traceback" not in log.read_text()


def test_a_start_in_the_background_that_fails_leaves_no_pid_file(tmp_path: Path) -> None:
    pidfile, log = tmp_path / "ccstore.pid", tmp_path / "ccstore.log"
    with taken(socket.SOCK_STREAM) as port:
        config = write_config(tmp_path, api={"port": port})
        options = [f"--pidfile={pidfile}", f"--logfile={log}", "ccstore", "--config", config]
        status, said = run(tmp_path, *options, command=TWISTD)
    check_wrong_start(status, said, "An error has occurred: b'api.port: cannot listen on 127.0.0.1:")
    check_wrong_start(1, log.read_text(), "cannot start: api.port: cannot listen on")
    assert not pidfile.exists()


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
