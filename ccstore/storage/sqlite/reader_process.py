"""A process that reads, on its own side: ``python -m ccstore.storage.sqlite.reader_process``.

It has the other end of its standard input's socket for a master, and ends when that does.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from ccstore.storage.dbfile.sql import set_pragmas
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.process_channel import SIGNALS, Channel
from ccstore.storage.sqlite.process_errors import pack_error
from ccstore.storage.sqlite.reader import Reader, ReadingConnection

#: How often SQLite asks whether to go on: each time takes a microsecond here.
_STEPS: Final = 50_000


class _Server:
    """Answers questions, one after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._number = 0  # of the question that is being answered

    def run(self) -> None:
        (path, pragmas, statements, niceness), (dialect,) = self._channel.receive()
        os.nice(niceness)
        reader = Reader(pickle.loads(dialect), is_alone=True)
        try:
            opened = _open(Path(path), pragmas, statements)
        except sqlite3.Error as error:
            self._channel.send(pack_error(error))
            return
        with closing(opened.connection):
            self._channel.send(None)
            while True:
                (self._number, seconds), questions = self._channel.receive()
                if questions:
                    self._answer(reader, opened, pickle.loads(questions[0]), seconds)

    def _answer(self, reader: Reader, connection: ReadingConnection, question: Any, seconds: float) -> None:
        asking = Asking(seconds, self._is_unwanted, progress_steps=_STEPS)
        error: tuple[Any, ...] | None = None
        answer = b""
        try:
            answer = pickle.dumps(reader.read(connection, question, asking), pickle.HIGHEST_PROTOCOL)
        except Exception as failed:
            error = pack_error(failed)
        self._channel.send(error, [answer])

    def _is_unwanted(self) -> bool:
        """While a question is being answered, there is nothing to be said but that nobody waits for it."""
        if not self._channel.has_more:
            return False
        try:
            (number, _), _ = self._channel.receive()
        except OSError:
            return True
        return bool(number == self._number)


def _open(path: Path, pragmas: dict[str, str], statements: int) -> ReadingConnection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        cached_statements=statements,
    )
    set_pragmas(connection, pragmas)
    return ReadingConnection(connection)


def main() -> None:
    """Serve until the daemon is gone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=0) as end, suppress(ConnectionError):
        _Server(Channel(end)).run()


if __name__ == "__main__":
    main()
