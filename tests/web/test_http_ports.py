"""Every port over HTTP of a real daemon, and the one of lines over TCP, with clients out of the ordinary."""

from __future__ import annotations

import http.client
import re
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.certificates import certificates
from tests.support.client_commands import Site
from tests.support.configuration import write_config
from tests.support.faulty_daemon import WatchedDaemon, line, raise_file_limit, stored
from tests.support.running_daemon import PATIENCE

HERE = {"address": "127.0.0.1", "port": 0}
RECEIVERS = {
    "tcp": {"type": "tcp", **HERE},
    # Before http, since the log has the same words for both, and more for this one.
    "eecpt": {"type": "eecpt", **HERE},
    "http": {"type": "http", **HERE},
}
#: Of the ports over HTTP: what each is called, and where it takes lines.
PORTS = {"HTTP": "/", "EECPT": "/any/path", "REST": "/api/write"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedDaemon]:
    directory = tmp_path_factory.mktemp("ports")
    with WatchedDaemon(directory, "--config", write_config(directory, receivers=RECEIVERS)) as daemon:
        found = re.search(r"metrics to analyse, .* on \S+:([0-9]+)", daemon.text)
        assert found is not None
        daemon.ports["EECPT"] = int(found[1])
        yield daemon


def exchange(daemon: WatchedDaemon, where: str, data: bytes, *, is_half_closed: bool = False) -> bytes:
    """Send something on a new connection, and read to its end."""
    with socket.create_connection(("127.0.0.1", daemon.ports[where]), PATIENCE) as connection:
        connection.sendall(data)
        if is_half_closed:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def post(target: str, body: bytes, *more: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize("where", PORTS)
def test_who_closes_its_own_side_is_answered(daemon: WatchedDaemon, where: str) -> None:
    """As with ``printf … | nc -N``: both what asks and what writes, and one after another."""
    target, host = PORTS[where], f"half{where}"
    for number in range(1, 4):
        data = post(target, line("a", host)) * number
        answers = exchange(daemon, where, data, is_half_closed=True)
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == number
    assert len(stored(daemon.directory / "ccstore.db", host)) == 6
    if where == "REST":
        asked = b"GET /api/stats HTTP/1.1\r\nHost: h\r\n\r\n"
        answer = exchange(daemon, where, asked, is_half_closed=True)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"}\n")


def test_lines_of_who_closes_its_own_side_are_stored(daemon: WatchedDaemon) -> None:
    data = line("a", "halfTCP") + line("b", "halfTCP").rstrip(b"\n")
    assert exchange(daemon, "TCP", data, is_half_closed=True) == b""
    daemon.until(lambda stats: stats["receivers"]["tcp"]["stored"] >= 2)
    assert stored(daemon.directory / "ccstore.db", "halfTCP") == ["a", "b"]


@pytest.mark.parametrize("where", PORTS)
def test_absolute_targets(daemon: WatchedDaemon, where: str) -> None:
    target = f"http://gate.example.org:1{PORTS[where]}?cluster=alex"
    answer = exchange(daemon, where, post(target, line("a", f"gate{where}"), "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert stored(daemon.directory / "ccstore.db", f"gate{where}") == ["a"]


@pytest.mark.parametrize("where", PORTS)
def test_a_write_without_a_length(daemon: WatchedDaemon, where: str) -> None:
    data = f"POST {PORTS[where]} HTTP/1.1\r\nHost: h\r\n\r\n".encode() + line("a", f"bare{where}")
    assert exchange(daemon, where, data).startswith(b"HTTP/1.1 411 ")
    assert stored(daemon.directory / "ccstore.db", f"bare{where}") == []


@pytest.mark.parametrize("where", [*PORTS, "TCP"])
def test_tls_to_a_port_without_it_ends_at_once(daemon: WatchedDaemon, where: str) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", daemon.ports[where]), PATIENCE) as connection,
        # Of TLS: an end, or a reset, and no timeout.
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(connection, server_hostname="localhost")
    daemon.wait_for(r"it speaks TLS, and this port does not|TLS, and this port has no tls_certificate")
    name = {"REST": "api"}.get(where, where.lower())
    account = daemon.account(name)
    assert account["bad_requests" if where != "TCP" else "rejected"]


def test_http_to_a_port_of_lines(daemon: WatchedDaemon) -> None:
    answer = exchange(daemon, "TCP", post("/write?p=SECRET", line("a", "lost")))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"POST them to a receiver of type http" in answer
    assert stored(daemon.directory / "ccstore.db", "lost") == []
    assert "SECRET" not in daemon.text


def test_the_doctor_names_who_comes_to_the_wrong_port(daemon: WatchedDaemon) -> None:
    for data in (b"SSH-2.0-OpenSSH_9.2\r\n", line("a"), b"GET / HTTP/1.1\nHost: h\n\n"):
        assert exchange(daemon, "REST", data).startswith(b"HTTP/1.1 400 ")
    exchange(daemon, "REST", post("/api/write", line("a"), "Origin: http://evil.example"))
    said = Site(daemon).run("doctor").out
    assert re.search(
        r"sender 127\.0\.0\.1: \d+ connections brought what is no request over HTTP \(.*SSH", said
    )
    assert re.search(r"sender 127\.0\.0\.1: 1 requests were refused, since their host or the page", said)
    assert "ccstore_receiver_bad_requests_total{" in daemon.ask("GET", "/metrics")[1].decode()


def test_http_to_a_port_with_tls(tmp_path: Path) -> None:
    certificates(tmp_path)
    keys = {"tls_certificate": str(tmp_path / "server.pem"), "tls_key": str(tmp_path / "server.key")}
    receivers = {"tcp": {**RECEIVERS["tcp"], **keys}, "http": {**RECEIVERS["http"], **keys}}
    with WatchedDaemon(tmp_path, "--config", write_config(tmp_path, receivers=receivers)) as daemon:
        for where, name in (("HTTP", "http"), ("TCP", "tcp")):
            answer = exchange(daemon, where, post("/", line("a")))
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert answer.endswith(b"this port speaks TLS: use https://\n")
            assert daemon.account(name)["tls_failures"] == 1


@pytest.mark.parametrize("where", ["REST", "HTTP"])
@pytest.mark.parametrize(
    "data", [b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"]
)
def test_half_open_requests_keep_nobody_out(tmp_path: Path, where: str, data: bytes) -> None:
    """550 of them, and no more than 512 files: as 1,100 are with the usual limit of 1,024."""
    count, files = 550, 512
    raise_file_limit(count + 200)
    receivers = {"http": RECEIVERS["http"]}
    with WatchedDaemon(tmp_path, "--config", write_config(tmp_path, receivers=receivers)) as daemon:
        for pid in daemon.pids:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, files))
        with ExitStack() as stack:
            for _ in range(count):
                address = ("127.0.0.1", daemon.ports[where])
                connection = stack.enter_context(socket.create_connection(address, PATIENCE))
                with suppress(ConnectionError):
                    connection.sendall(data)
            deadline = time.monotonic() + 5
            while not is_served(daemon):
                # Only bodies that have just begun may be waited for.
                assert data.endswith(b"\r\n\r\n")
                assert time.monotonic() < deadline
        assert daemon.account("api" if where == "REST" else "http")["cut_connections"] > 0


def is_served(daemon: WatchedDaemon) -> bool:
    """Whether others are, who ask and who write."""
    try:
        asked = daemon.ask("GET", "/health")[0]
        return asked == daemon.ask("POST", "/", line("a"), line="HTTP")[0] == 200
    except (ConnectionError, http.client.RemoteDisconnected):
        return False


def test_connections_are_read_from_the_configuration(tmp_path: Path) -> None:
    http_receiver = {**RECEIVERS["http"], "max_connections_per_address": 1}
    api = {"allowed_hosts": ["Events.example.org"]}
    path = write_config(tmp_path, receivers={"http": http_receiver}, api=api)
    with WatchedDaemon(tmp_path, "--config", path) as daemon:
        with socket.create_connection(("127.0.0.1", daemon.ports["HTTP"]), PATIENCE):
            daemon.until(lambda stats: stats["receivers"]["http"]["connections"] == 1)
            assert exchange(daemon, "HTTP", b"") == b""
        assert daemon.account("http")["refused_connections"] == 1
        connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["REST"], timeout=PATIENCE)
        connection.request("GET", "/api/stats", headers={"Host": "events.example.org"})
        assert connection.getresponse().status == 200
        connection.close()
