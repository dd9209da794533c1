"""The daemon as a process that is measured."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

_PLACES = {
    "tcp": re.compile(r"over TCP on \S+:(\d+)"),
    "udp": re.compile(r"over UDP on \S+:(\d+)"),
    "http": re.compile(r"over HTTP on \S+?:(\d+)"),
    "api": re.compile(r"REST on \S+:(\d+)"),
}
_TICKS = os.sysconf("SC_CLK_TCK")

#: CPU seconds in each of so many seconds, below which it rests.
_REST = 0.05
_RESTED = 5


class Daemon:
    """A running daemon, on ports of its own.

    :param storage: keys of the configuration's section ``storage``.
    :param directory: with the database, if there is one from an earlier daemon; else an empty one is used.
    :param receivers: further keys of the receivers ``tcp``, ``udp`` and ``http``; with keys for it, there is
        one called ``nats`` as well.
    """

    def __init__(
        self,
        storage: Mapping[str, object] | None = None,
        directory: Path | None = None,
        receivers: Mapping[str, Mapping[str, object]] | None = None,
        api: Mapping[str, object] | None = None,
    ) -> None:
        self._temporary = (
            tempfile.TemporaryDirectory(prefix="ccstore-benchmark-") if directory is None else None
        )
        self.directory = Path(self._temporary.name) if self._temporary else Path(str(directory))
        self.database = self.directory / "ccstore.db"
        here = {"address": "127.0.0.1", "port": 0}
        backend = {"type": "sqlite", "database_path": str(self.database)}
        configuration = {
            "receivers": {
                kind: {"type": kind, **here, **(receivers or {}).get(kind, {})}
                for kind in ("tcp", "udp", "http", *(["nats"] if "nats" in (receivers or {}) else []))
            },
            "storage": {"backend": backend, **(storage or {})},
            "api": {**here, **(api or {})},
        }
        path = self.directory / "ccstore.json"
        path.write_text(json.dumps(configuration))
        self._log_path = self.directory / "log"
        self._log = self._log_path.open("ab")
        self._log_start = self._log.tell()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ccstore", "run", "--config", str(path)],
            stdout=self._log,
            stderr=self._log,
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
        )
        self.ports = self._wait_for_ports()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def log(self) -> str:
        """What it has logged since this start."""
        return self._log_path.read_bytes()[self._log_start :].decode(errors="replace")

    def _wait_for_ports(self) -> dict[str, int]:
        for _ in range(600):
            text = self.log()
            if " runs" in text:
                found = {kind: place.search(text) for kind, place in _PLACES.items()}
                return {kind: int(match[1]) for kind, match in found.items() if match is not None}
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"the daemon does not start:\n{self.log()}")

    def stats(self) -> dict[str, Any]:
        """What ``/api/stats`` says now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['api']}/api/stats", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def settled(self) -> tuple[int, int]:
        """Lines that are committed, and lines that never will be; the books must balance."""
        stored = lost = 0
        for name, account in self.stats()["receivers"].items():
            gone = sum(account["rejected"].values()) + sum(account["dropped"].values())
            if account["received"] != account["stored"] + gone + account["waiting"]:
                raise SystemExit(f"the books of {name} do not balance: {account}")
            stored += account["stored"]
            lost += gone
        return stored, lost

    def cpu(self) -> float:
        """CPU seconds used so far."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids()]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / _TICKS

    def wait_for_rest(self) -> None:
        """Wait until it has little to do: what is sealed or packed is counted in the background."""
        rested = 0
        while rested < _RESTED:
            begun = self.cpu()
            time.sleep(1)
            rested = rested + 1 if self.cpu() - begun < _REST else 0

    def memory(self, key: str = "VmHWM") -> float:
        """Resident memory in MB, by default the most there was."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self._pids()]
        return sum(int(re.findall(rf"{key}:\s+(\d+)", text)[0]) for text in texts) / 1024

    def _pids(self) -> list[int]:
        """Of the daemon and the process that writes for it."""
        pid = self.process.pid
        children = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
        return [pid, *map(int, " ".join(children).split())]

    def file_size(self) -> float:
        """The database in MB, without its write-ahead log."""
        return self.database.stat().st_size / 1e6 if self.database.exists() else 0.0

    def kill(self, *, wholly: bool = True) -> None:
        """Kill the daemon, and the process that writes for it unless that may end what it has begun."""
        for pid in reversed(self._pids()) if wholly else [self.process.pid]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def stop(self) -> float:
        """End the daemon in order; the seconds that took."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self._log.close()
        if self._temporary is not None:
            self._temporary.cleanup()
        return time.monotonic() - begun
