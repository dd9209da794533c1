"""The process that writes, as the daemon has it: started, asked, told, and ended.

To decode and to write at the same time takes two processes: two threads of one would wait for each other's
interpreter lock. Queries stay in the daemon; SQLite lets several processes use a file.
"""

from __future__ import annotations

import socket
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import evolve

from ccstore.storage import process_channel
from ccstore.storage.dbfile.sql import Say
from ccstore.storage.process_channel import Channel, Spawn
from ccstore.storage.sqlite.process_errors import unpack_error
from ccstore.storage.sqlite.writer import State
from ccstore.storage.sqlite.writer_calls import Call, Opening

#: Seconds that the process may take to end when there is nothing left to do.
_PATIENCE: Final = 10.0


class ProcessEnded(sqlite3.OperationalError):
    """There is no process that writes, and nobody told it to end. The next request starts another one."""


class WriterProcess:
    """The process, and what there is to ask it for.

    :param opening: what it is told first; it is given the present time.
    :param say: gets what it tells people.
    :param lock: gives the descriptor of the file's lock, which the process holds as well: if the daemon is
        killed it may still be writing.
    :param spawn: starts a process, as subprocess.Popen does.
    :param open_channel: makes our end of the channel from a socket.
    :ivar state: that of its writer, after the last answer.
    :ivar starts: how often it was started.
    """

    def __init__(
        self,
        opening: Opening,
        now: Callable[[], int],
        lock: Callable[[], int],
        say: Say,
        spawn: Spawn = subprocess.Popen,
        open_channel: Callable[[socket.socket], Channel] = Channel,
    ) -> None:
        self._opening = opening
        self._now = now
        self._lock = lock
        self._say = say
        self._spawn = spawn
        self._open_channel = open_channel
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self.state = State()
        self.starts = 0

    @property
    def is_running(self) -> bool:
        """It was started, and has not ended as far as is known."""
        return self._channel is not None

    def start(self) -> None:
        """Start it if it does not run, and open the file.

        Raises sqlite3.Error or :class:`StoreError` if the file cannot be opened, and :class:`ProcessEnded` if
        there can be no such process.
        """
        if self._channel is not None:
            return
        try:
            self._process, ours = process_channel.start(
                "ccstore.storage.sqlite.writer_process", self._spawn, [self._lock()]
            )
        except OSError as error:
            raise ProcessEnded(f"cannot start a process that writes: {error}") from None
        self._channel = self._open_channel(ours)
        self.starts += 1
        try:
            self._ask(evolve(self._opening, now=self._now()).pack())
        except BaseException:
            self.close()
            raise

    def retain(self, retention: int, rules: Sequence[Any]) -> None:
        """Whichever process is started from now on lets events expire after so many nanoseconds.

        :param rules: as they are sent.
        """
        self._opening = evolve(self._opening, retention=retention, rules=rules)

    def ask(self, call: Call, *arguments: object, attached: Sequence[bytes] = ()) -> Any:
        """Have something done; raises what was raised there, or :class:`ProcessEnded`."""
        self.start()
        return self._ask((call.value, self._now(), *arguments), attached)

    def tell(self, call: Call, *arguments: object, attached: Sequence[bytes] = ()) -> bool:
        """Have something done to which there is no answer; False if there is nobody to do it."""
        if self._channel is None:
            return False
        try:
            self._channel.send((call.value, self._now(), *arguments), attached)
        except OSError:
            return False  # whoever waits for an answer will be told
        return True

    def _ask(self, request: tuple[Any, ...], attached: Sequence[bytes] = ()) -> Any:
        assert self._channel is not None
        try:
            self._channel.send(request, attached)
            (error, result, state, said), _ = self._channel.receive()
        except OSError:
            raise ProcessEnded(f"the process that writes has ended, with status {self.close()}") from None
        self.state = State._make(state)
        for text in said:
            self._say(text)
        if error is not None:
            raise unpack_error(*error)
        return result

    def kill(self) -> None:
        """End it at once, so that it does not close the file."""
        if self._process is not None:
            self._process.kill()
        self.close()

    def close(self) -> int | None:
        """Let it end, after what it is doing now; returns its exit status."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is None:
            return None
        process, self._process = self._process, None
        try:
            return process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
