"""How many lines a second are stored, by each way in, while events expire so that the file stays level."""

from __future__ import annotations

import http.client
import multiprocessing
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from statistics import median
from urllib.parse import urlsplit

from benchmarks import limits, nats_load
from benchmarks.daemon import Daemon
from benchmarks.influxdb import Influx, influx
from benchmarks.lines import STAMP, block, bodies, stamp, stamped
from benchmarks.report import progress

_BLOCK = 100_000
_BODY = 1000
#: Lines that are given their time together: it must not be old when they arrive.
_PIECE = 2000
#: Seconds after which an InfluxDB is no longer waited for.
_COMPACTING = 60


def send_tcp(port: int, lines: bytes, rounds: int, go: Event) -> None:
    """In a process: send lines over one connection, so many times, with the time of each sending."""
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
        now = stamp()
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
    before = wait = 0.0
    while True:
        stored, lost = daemon.settled()
        passed = time.perf_counter() - begun
        rate, size = stored / passed, daemon.file_size()
        progress(f"{name}: {stored:,} of {count:,}, {rate:,.0f}/s, file {size:.0f} MB")
        if stored + lost >= count:
            break
        # What is left takes about so long; to ask more often would take part of what is measured. The last
        # lines may wait for a timer.
        wait = 2 * wait if stored == before else max(0.005, (count - stored - lost) / max(rate, 1.0))
        wait, before = min(0.1, wait), stored
        time.sleep(wait)
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


def run(count: int, retention: float, influx_url: str | None, repeat: int) -> list[dict[str, object]]:
    """All ways in, with the limits of the same run; each several times in turn, and the medians of that."""
    lines = block(_BLOCK, logs=False)
    with influx(influx_url) if influx_url is not None else nullcontext() as server:
        rounds = [_round(lines, count, retention, server) for _ in range(repeat)]
    return [_median(rows) for rows in zip(*rounds, strict=True)]


def _round(lines: bytes, count: int, retention: float, server: Influx | None) -> list[dict[str, object]]:
    """Every way once."""
    alone = limits.run(min(count, 500_000), retention, lines)
    rows: list[dict[str, object]] = [{"way": row["what"], "lines/s": row["lines/s"]} for row in alone]
    slowest = min(map(_rate, rows))
    rounds = max(1, count // _BLOCK)
    storage = {"retention_time": f"{retention:g}s"}
    compared: dict[str, float] = {}
    for connections in (1, 4) if server is not None else ():
        assert server is not None
        server.prepare()
        row = _measure_influx(server, lines, max(1, rounds // connections), connections)
        compared[_name("HTTP", connections)] = _rate(row)
        rows.append(row)
    if server is not None:
        _wait_until_quiet(server)
    best = max(compared.values(), default=0.0)
    for kind, connections in (("TCP", 1), ("TCP", 16), ("HTTP", 1), ("HTTP", 4)):
        with Daemon(storage) as daemon:
            part = max(1, rounds // connections)
            target = daemon.ports["tcp"] if kind == "TCP" else f"http://127.0.0.1:{daemon.ports['http']}/"
            row = measure(
                _name(kind, connections),
                daemon,
                send_tcp if kind == "TCP" else _send_http,
                [(target, lines, part)] * connections,
                part * connections * _BLOCK,
            )
        row["of the slowest part"] = _rate(row) / slowest
        if compared:
            row["of InfluxDB"] = _rate(row) / compared.get(_name(kind, connections), best)
        rows.append(row)
    with Daemon(storage) as daemon:
        rows.append(measure_udp(daemon, lines, 50_000, 10.0))
    program = nats_load.program()
    if program is None:
        progress("NATS is left out: there is no nats-server here (Debian has it in a package of that name)")
        return rows
    with nats_load.server(program) as port:
        for row in _over_nats(port, lines, rounds, storage):
            row["of the slowest part"] = _rate(row) / slowest
            rows.append(row)
    return rows


def _wait_until_quiet(server: Influx) -> None:
    """An InfluxDB goes on compacting what it got: that must not take part of what is measured next."""
    for second in range(_COMPACTING):
        before = server.cpu()
        time.sleep(1.0)
        if before is None or (server.cpu() or 0.0) - before < 0.1:
            return
        progress(f"InfluxDB is still at work, for {second + 1} s")


def _name(kind: str, connections: int) -> str:
    return f"{kind}, {connections} connection{'s' * (connections > 1)}"


def _rate(row: Mapping[str, object]) -> float:
    return float(str(row["lines/s"]))


def _median(rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Of each figure of the same way, the median."""
    return {
        key: value if isinstance(value, str) else type(value)(median(row[key] for row in rows))  # type: ignore
        for key, value in rows[0].items()
    }


def _over_nats(
    port: int, lines: bytes, rounds: int, storage: Mapping[str, object]
) -> list[dict[str, object]]:
    """Through a server, which has some of what is sent in its memory."""
    rows = []
    keys: dict[str, object] = {"port": port, "subject": nats_load.SUBJECT}
    jetstream = {**keys, "stream": nats_load.STREAM, "durable": "ccstore"}
    for name, per_message, receiver in (
        ("NATS, a line each", 1, keys),
        (f"NATS, {_BODY:,} lines each", _BODY, keys),
        ("JetStream, a line each", 1, jetstream),
    ):
        if receiver is jetstream:
            nats_load.make_stream(port)
        with Daemon(storage, receivers={"nats": receiver}) as daemon:
            nats_load.wait_for(daemon)
            arguments = [(port, daemon.ports["api"], lines, per_message, rounds)]
            rows.append(measure(name, daemon, nats_load.send, arguments, rounds * _BLOCK))
    return rows


def _measure_influx(server: Influx, lines: bytes, rounds: int, connections: int) -> dict[str, object]:
    """The same bodies to an InfluxDB."""
    count = rounds * connections * _BLOCK
    cpu = server.cpu()
    processes, go = _senders(_send_http, [(server.write_url("ns"), lines, rounds)] * connections)
    begun = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    row: dict[str, object] = {
        "way": f"InfluxDB {server.version()}, {_name('HTTP', connections)}",
        "lines": count,
        "lines/s": count / (time.perf_counter() - begun),
    }
    if cpu is not None:
        row["CPU s/100k"] = ((server.cpu() or 0) - cpu) / count * 1e5
    return row
