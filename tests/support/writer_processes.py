"""Processes that write for an SQLite backend, which can be looked at and killed."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from ccstore.storage.process_channel import Channel
from ccstore.storage.sqlite.backend import SqliteBackend
from ccstore.storage.sqlite.means import Means
from ccstore.storage.sqlite.sizes import AnnouncingLimits, Sizes
from ccstore.storage.sqlite.writer_calls import Call
from tests.support.sqlite_files import SqliteFiles
from tests.support.stores import NOW, SECOND, messages


class WriterProcesses:
    """Starts them, and stands between them and the backend.

    :ivar calls: what was asked for, with the number of pieces of messages that were sent with it.
    """

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self.calls: list[tuple[Call, int]] = []
        self.kills_before = False
        self.kills_after = False

    @property
    def means(self) -> Means:
        """For the backend."""
        return Means(spawn=self._spawn, open_channel=lambda end: _Channel(end, self))

    @property
    def last(self) -> subprocess.Popen[bytes]:
        """That was started last."""
        return self.started[-1]

    def interrupt(self, *, is_late: bool) -> None:
        """Kill it in the middle of the next request.

        :param is_late: when it has answered, and not before it is asked.
        """
        self.kills_before, self.kills_after = not is_late, is_late

    def kill(self) -> None:
        """Kill the one that was started last."""
        self.kills_before = self.kills_after = False
        self.last.kill()
        self.last.wait()

    def _spawn(self, *arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        self.started.append(subprocess.Popen(*arguments, **more))
        return self.last


class _Channel(Channel):
    def __init__(self, end: socket.socket, processes: WriterProcesses) -> None:
        super().__init__(end)
        self._processes = processes

    def send(self, value: Any, attached: Sequence[bytes] = ()) -> None:
        if isinstance(value[0], int):  # and not what it is told first
            self._processes.calls.append((Call(value[0]), len(attached)))
            if self._processes.kills_before:
                self._processes.kill()
        super().send(value, attached)

    def receive(self) -> tuple[Any, list[memoryview]]:
        answer = super().receive()
        if self._processes.kills_after:
            self._processes.kill()
            raise ConnectionResetError
        return answer


class ProcessCase(SqliteFiles, TestCase):
    """A backend of which a process writes."""

    is_apart = True
    backend: SqliteBackend
    now = NOW + 100 * SECOND

    def setUp(self) -> None:
        self.processes = WriterProcesses()
        self.means = self.processes.means

    def open_announcing(self, **limits: int) -> None:
        """Open the backend, which announces what it may by these limits."""
        self.sizes = Sizes(announcing=AnnouncingLimits(**limits))
        self.backend = self.open()

    def rows(self) -> list[str]:
        """The texts of all events, in their order."""
        return [text for (text,) in self.sql("SELECT field FROM alex_events ORDER BY id")]

    def offer(self, texts: str) -> Deferred[None]:
        """Write messages as the storage service does."""
        batch = messages(texts)
        self.backend.prepare(batch)
        return self.backend.write(batch)
