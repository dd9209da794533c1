"""How many lines a second are stored, by each way in, while events expire so that the file stays level."""

from __future__ import annotations

import http.client
import multiprocessing
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from urllib.parse import urlsplit

from benchmarks import limits
from benchmarks.daemon import Daemon
from benchmarks.influx import Influx, influx
from benchmarks.lines import STAMP, block, bodies, stamped
from benchmarks.report import progress

_BLOCK = 100_000
_BODY = 1000
#: Lines that are given their time together: it must not be old when they arrive.
_PIECE = 2000


def _send_tcp(port: int, lines: bytes, rounds: int, go: Event) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        pieces = list(bodies(lines, _PIECE))
        go.wait()
        for _ in range(rounds):
            for piece in pieces:
                connection.sendall(stamped(piece))


def _send_http(url: str, lines: bytes, rounds: int, go: Event) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    target = f"{parts.path or '/'}?{parts.query}"
    pieces = list(bodies(lines, _BODY))
    go.wait()
    for _ in range(rounds):
        for piece in pieces:
            connection.request("POST", target, stamped(piece))
            answer = connection.getresponse()
            text = answer.read()
            if answer.status not in (200, 204):
                raise SystemExit(f"{url} answers {answer.status}: {text[:200]!r}")


def _send_udp(port: int, lines: bytes, rate: int, seconds: float, go: Event) -> None:
    datagrams = [line + b"\n" for line in lines.split(b"\n") if line]
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(("127.0.0.1", port))
    go.wait()
    begun = time.perf_counter()
    total, sent = int(rate * seconds), 0
    while sent < total:
        due = min(total, int((time.perf_counter() - begun) * rate))
        now = b"%010d" % int(time.time())
        for number in range(sent, due):
            sender.send(datagrams[number % len(datagrams)].replace(STAMP, now))
        sent = due
        time.sleep(0.001)


def _senders(
    target: Callable[..., None], arguments: Sequence[tuple[object, ...]]
) -> tuple[Sequence[BaseProcess], Event]:
    context = multiprocessing.get_context("fork")
    go = context.Event()
    processes = [context.Process(target=target, args=(*each, go)) for each in arguments]
    for process in processes:
        process.start()
    time.sleep(0.5)  # until they are connected; what is measured begins at `go`
    return processes, go


def measure(
    name: str,
    daemon: Daemon,
    target: Callable[..., None],
    arguments: Sequence[tuple[object, ...]],
    count: int,
) -> dict[str, object]:
    """Send, and wait until all is stored."""
    cpu = daemon.cpu()
    processes, go = _senders(target, arguments)
    begun = time.perf_counter()
    go.set()
    while True:
        stored, lost = daemon.settled()
        passed = time.perf_counter() - begun
        rate, size = stored / passed, daemon.file_size()
        progress(f"{name}: {stored:,} of {count:,}, {rate:,.0f}/s, file {size:.0f} MB")
        if stored + lost >= count:
            break
        time.sleep(0.1)
    for process in processes:
        process.join()
    return {
        "way": name,
        "lines": stored,
        "lines/s": stored / passed,
        "CPU s/100k": (daemon.cpu() - cpu) / stored * 1e5,
        "memory MB": daemon.memory(),
        "file MB": daemon.file_size(),
        "dropped": lost,
    }


def measure_udp(daemon: Daemon, lines: bytes, rate: int, seconds: float) -> dict[str, object]:
    """Send at a rate; what is not stored must be counted."""
    before = daemon.stats()["receivers"]["udp"]
    cpu = daemon.cpu()
    processes, go = _senders(_send_udp, [(daemon.ports["udp"], lines, rate, seconds)])
    begun = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    while (after := daemon.stats()["receivers"]["udp"])["waiting"]:
        time.sleep(0.05)
    passed = time.perf_counter() - begun
    stored = after["stored"] - before["stored"]
    dropped = sum(after["dropped"].values()) - sum(before["dropped"].values())
    kernel = after["kernel_drops"] - before["kernel_drops"]
    sent = int(rate * seconds)
    return {
        "way": f"UDP, {rate:,} datagrams/s",
        "lines": stored,
        "lines/s": stored / passed,
        "CPU s/100k": (daemon.cpu() - cpu) / max(1, stored) * 1e5,
        "memory MB": daemon.memory(),
        "file MB": daemon.file_size(),
        "dropped": dropped,
        "kernel drops": kernel,
        "uncounted": sent - stored - dropped - kernel,
    }


def run(count: int, retention: float, influx_url: str | None) -> list[dict[str, object]]:
    """All ways in, with the limits of the same run."""
    lines = block(_BLOCK, logs=False)
    alone = limits.run(min(count, 500_000), retention)
    rows: list[dict[str, object]] = [{"way": row["what"], "lines/s": row["lines/s"]} for row in alone]
    slowest = min(float(str(row["lines/s"])) for row in rows)
    rounds = max(1, count // _BLOCK)
    storage = {"retention_time": f"{retention:g}s"}
    for connections in (1, 16):
        with Daemon(storage) as daemon:
            part = max(1, rounds // connections)
            arguments = [(daemon.ports["tcp"], lines, part)] * connections
            name = f"TCP, {connections} connections"
            rows.append(measure(name, daemon, _send_tcp, arguments, part * connections * _BLOCK))
    for connections in (1, 4):
        with Daemon(storage) as daemon:
            part = max(1, rounds // connections)
            url = f"http://127.0.0.1:{daemon.ports['http']}/"
            arguments = [(url, lines, part)] * connections
            name = f"HTTP, {connections} connections"
            rows.append(measure(name, daemon, _send_http, arguments, part * connections * _BLOCK))
    with Daemon(storage) as daemon:
        rows.append(measure_udp(daemon, lines, 50_000, 10.0))
    for row in rows:
        row["of the slowest part"] = float(str(row["lines/s"])) / slowest
    if influx_url is not None:
        rows += _compare(influx_url, lines, rounds, rows)
    return rows


def _compare(
    url: str, lines: bytes, rounds: int, rows: Sequence[dict[str, object]]
) -> list[dict[str, object]]:
    """The same bodies to an InfluxDB, and our figures as multiples of its."""
    found = []
    with influx(url) as server:
        for connections in (1, 4):
            server.prepare()
            found.append(_measure_influx(server, lines, max(1, rounds // connections), connections))
    best = max(float(str(row["lines/s"])) for row in found)
    for row in rows:
        if str(row["way"]).startswith(("TCP", "HTTP")):
            row["of InfluxDB"] = float(str(row["lines/s"])) / best
    return found


def _measure_influx(server: Influx, lines: bytes, rounds: int, connections: int) -> dict[str, object]:
    count = rounds * connections * _BLOCK
    cpu = server.cpu()
    processes, go = _senders(_send_http, [(server.write_url("ns"), lines, rounds)] * connections)
    begun = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    row: dict[str, object] = {
        "way": f"InfluxDB {server.version()}, HTTP, {connections} connections",
        "lines": count,
        "lines/s": count / (time.perf_counter() - begun),
    }
    if cpu is not None:
        row["CPU s/100k"] = ((server.cpu() or 0) - cpu) / count * 1e5
    return row
