"""Many connections that send a line a second each, and one that sends as many lines."""

from __future__ import annotations

import math
import multiprocessing
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from benchmarks.daemon import Daemon
from benchmarks.report import figure, progress

#: Descriptors beyond those of the connections.
_OTHER_FILES = 200
#: Connections from one address: fewer than it has ports of its own.
_FROM_ONE_ADDRESS = 20_000
#: Lines are due in the middle of such steps, in seconds; the one connection sends those of a step together.
_STEP = 0.001
_WARM_UP = 3.0
_MORE_CPU = 15.0
_MORE_MEMORY = 10.0


def run(nodes: int, seconds: float) -> tuple[list[dict[str, object]], list[str]]:
    """Figures, and what is wrong."""
    _raise_limit(nodes + _OTHER_FILES)
    receivers = {"tcp": {"max_connections": 2 * nodes}}
    with Daemon(receivers=receivers) as daemon, _senders(daemon.ports["tcp"]) as ask:
        progress(f"connecting {nodes:,}")
        fresh = _resident(daemon)
        ask("connect", nodes)
        connected = _wait(daemon, nodes)
        idle = _resident(daemon)
    # Nothing but the connections is to make a difference, so one daemon gets both loads.
    with Daemon(receivers=receivers) as daemon, _senders(daemon.ports["tcp"]) as ask:
        ask("connect", 1)
        progress("one connection")
        one = _load(daemon, ask, nodes, seconds)
        before = _resident(daemon)
        ask("connect", nodes)
        connected = min(connected, _wait(daemon, nodes))
        progress(f"{nodes:,} connections")
        many = _load(daemon, ask, nodes, seconds)
        used = _resident(daemon)
        ask("connect", 1)
        _wait(daemon, 1)
        progress("one connection again")
        again = _load(daemon, ask, nodes, seconds)
        stored, lost = daemon.settled()
    baseline = (one.cpu + again.cpu) / 2
    sent = one.sent + many.sent + again.sent
    rows = [
        figure("one connection, CPU", one.cpu, "% of a core", more=one.columns()),
        figure(f"{nodes:,} connections, CPU", many.cpu, "% of a core", more=many.columns()),
        figure("one connection again, CPU", again.cpu, "% of a core", more=again.columns()),
        figure("more CPU than one connection", many.cpu - baseline, "% of a core", at_most=_MORE_CPU),
        figure("memory for an idle connection", (idle - fresh) / nodes, "KB", at_most=_MORE_MEMORY),
        figure("memory for a connection in use", (used - before) / nodes, "KB"),
        figure("lines sent", sent, ""),
        figure("lines stored", stored, ""),
    ]
    problems = []
    if stored != sent or lost:
        problems.append(f"{sent} lines were sent, {stored} are stored, {lost} were rejected or dropped")
    if connected != nodes:
        problems.append(f"there were {connected} connections instead of {nodes}")
    return rows, problems


class _Measured:
    """One phase.

    :ivar late: seconds that the sender was behind, at most.
    """

    def __init__(self, cpu: float, sent: int, seconds: float, late: float) -> None:
        self.cpu = cpu
        self.sent = sent
        self.seconds = seconds
        self.late = late

    def columns(self) -> dict[str, object]:
        return {"lines/s": self.sent / self.seconds, "sender late, s": self.late}


def _load(daemon: Daemon, ask: Callable[..., object], nodes: int, seconds: float) -> _Measured:
    """Send a line a second for each node, and measure all but the first seconds."""
    stored = sum(daemon.settled())
    warm_up = ask("send", nodes, _WARM_UP)
    cpu, begun = daemon.cpu(), time.perf_counter()
    measured = ask("send", nodes, seconds)
    passed = time.perf_counter() - begun
    used = daemon.cpu() - cpu
    assert isinstance(warm_up, tuple)
    assert isinstance(measured, tuple)
    sent = warm_up[0] + measured[0]
    deadline = time.monotonic() + 30
    while sum(daemon.settled()) - stored < sent and time.monotonic() < deadline:
        time.sleep(0.1)
    return _Measured(used / passed * 100, sent, passed + _WARM_UP, measured[1])


def _wait(daemon: Daemon, connections: int) -> int:
    """Wait until the daemon has so many connections; returns how many it has."""
    deadline = time.monotonic() + 60
    while True:
        found = int(daemon.stats()["receivers"]["tcp"]["connections"])
        if found == connections or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def _resident(daemon: Daemon) -> float:
    """KB, when the daemon has come to rest."""
    time.sleep(2.5)
    return daemon.memory("VmRSS") * 1024


def _raise_limit(files: int) -> None:
    """Allow that many descriptors to this process and those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= files:
        return
    for limits in ((files, hard), (files, max(files, hard))):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        except (ValueError, OSError):
            continue
        return
    raise SystemExit(
        f"this machine allows {hard} open files to a process, and {files} are needed: "
        f"take fewer nodes, or raise the limit (ulimit -n)"
    )


# -- the sending process


@contextmanager
def _senders(port: int) -> Iterator[Callable[..., object]]:
    """A process that holds the connections, and does what is asked by calling what this gives."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(there, port), daemon=True)
    process.start()

    def ask(*order: object) -> object:
        here.send(order)
        answer = here.recv()
        if isinstance(answer, str):
            raise SystemExit(answer)
        return answer

    try:
        yield ask
    finally:
        process.terminate()
        process.join()


def _serve(orders: Connection, port: int) -> None:
    connections: list[socket.socket] = []
    while True:
        order, count, *rest = orders.recv()
        try:
            if order == "connect":
                for connection in connections:
                    connection.close()
                connections = list(_connect(port, count))
                orders.send(True)
            else:
                orders.send(_send(connections, count, *rest))
        except OSError as error:
            orders.send(f"cannot {order} {count} connections on this machine: {error}")


def _connect(port: int, count: int) -> Iterator[socket.socket]:
    for number in range(count):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if count > _FROM_ONE_ADDRESS:
            # Any address of this network is the machine's own, and each has its own ports.
            connection.bind((f"127.0.0.{2 + number // _FROM_ONE_ADDRESS}", 0))
        connection.connect(("127.0.0.1", port))
        if number % 100 == 99:
            time.sleep(0.02)  # so that the queue of those who wait to be let in is never full
        yield connection


def _send(connections: list[socket.socket], nodes: int, seconds: float) -> tuple[int, float]:
    """A line a second for each node, evenly spread over each second; returns how many, and how late at most.

    A connection each, or all of them over one.
    """
    lines = [
        (
            f"job,cluster=alex,function=start_job,hostname=n{node:05d},type=node,type-id=0 "
            f'event="{{\\"jobId\\": {node}, \\"cluster\\": \\"alex\\", \\"user\\": \\"u{node % 97}\\"}}"\n'
        ).encode()
        for node in range(nodes)
    ]
    rounds = lines * 2  # a step may begin at the end and go on at the beginning
    only = connections[0] if len(connections) == 1 else None
    if only is None:
        turns = list(zip([connection.send for connection in connections], lines, strict=True))
    steps = math.ceil(seconds / _STEP)
    sent = 0
    late = 0.0
    begun = time.perf_counter()
    for step in range(1, steps + 1):
        due = begun + step * _STEP
        wait = due - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        else:
            late = max(late, -wait)
        total = round(step * _STEP * nodes)
        first, last = sent % nodes, sent % nodes + total - sent
        if only is not None:
            only.sendall(b"".join(rounds[first:last]))
        else:
            for node in range(first, last):
                send, line = turns[node % nodes]
                if send(line) != len(line):
                    raise OSError("a line does not fit into the buffer of its connection")
        sent = total
    return sent, late
