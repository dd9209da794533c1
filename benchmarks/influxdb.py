"""An InfluxDB to compare with: one that runs, or Debian's package `influxdb`, started for the occasion."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Influx:
    """Where an InfluxDB is.

    :ivar pid: of the process, if it is ours.
    """

    def __init__(self, url: str, pid: int | None = None) -> None:
        self.url = url.rstrip("/")
        self.pid = pid

    def write_url(self, precision: str) -> str:
        """Where lines are sent to whose timestamps have this unit."""
        return f"{self.url}/write?db=ccstore&precision={precision}"

    def prepare(self) -> None:
        """An empty database."""
        for statement in ("DROP DATABASE ccstore", "CREATE DATABASE ccstore"):
            self._ask(statement)

    def version(self) -> str:
        """Its version, as it says itself."""
        with urllib.request.urlopen(f"{self.url}/ping", timeout=10) as answer:
            return str(answer.headers.get("X-Influxdb-Version"))

    def cpu(self) -> float | None:
        """CPU seconds used so far, if the process is ours."""
        if self.pid is None:
            return None
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _ask(self, statement: str) -> None:
        data = urllib.parse.urlencode({"q": statement}).encode()
        with urllib.request.urlopen(f"{self.url}/query", data, timeout=60) as answer:
            answer.read()


@contextmanager
def influx(url: str) -> Iterator[Influx]:
    """The InfluxDB of this URL; ``start`` starts one of our own."""
    if url != "start":
        found = Influx(url)
        found.prepare()
        yield found
        return
    program = shutil.which("influxd")
    if program is None:
        raise SystemExit("there is no influxd here: install Debian's package influxdb, or give a URL")
    with tempfile.TemporaryDirectory(prefix="ccstore-influx-") as directory:
        ports = _free_ports(2)
        process = subprocess.Popen(
            [program, "run"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={
                "PATH": os.environ["PATH"],
                "HOME": directory,
                "INFLUXDB_CONFIG_PATH": "/dev/null",
                "INFLUXDB_REPORTING_DISABLED": "true",
                "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{ports[0]}",
                "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{ports[1]}",
                "INFLUXDB_HTTP_LOG_ENABLED": "false",
                "INFLUXDB_META_DIR": f"{directory}/meta",
                "INFLUXDB_DATA_DIR": f"{directory}/data",
                "INFLUXDB_DATA_WAL_DIR": f"{directory}/wal",
            },
        )
        try:
            started = Influx(f"http://127.0.0.1:{ports[1]}", process.pid)
            _wait(started)
            yield started
        finally:
            process.terminate()
            process.wait(30)


def _wait(started: Influx) -> None:
    for _ in range(300):
        try:
            started.prepare()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    raise SystemExit("influxd does not start")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
