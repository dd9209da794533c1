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
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

from ccstore.storage.dbfile.sql import set_pragmas
from ccstore.storage.process_channel import SIGNALS, Channel
from ccstore.storage.sqlite.asking import Asking
from ccstore.storage.sqlite.process_errors import pack_error
from ccstore.storage.sqlite.reader import Reader, ReadingConnection

#: How often SQLite asks whether there is still time: each time takes a microsecond here.
_STEPS: Final = 50_000


class _Server:
    """Answers questions, one after the other.

    A thread listens meanwhile: a question that nobody waits for any more is interrupted at once, whatever
    SQLite is doing. As it waits for the socket, it is in nobody's way.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._questions: SimpleQueue[tuple[Asking, Any] | None] = SimpleQueue()

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
            Thread(target=self._listen, daemon=True).start()
            while (asked := self._questions.get()) is not None:
                self._answer(reader, opened, *asked)

    def _listen(self) -> None:
        number, asking = 0, None
        with suppress(OSError):
            while True:
                (given, seconds), questions = self._channel.receive()
                if questions:
                    number, asking = given, Asking(seconds, progress_steps=_STEPS)
                    self._questions.put((asking, pickle.loads(questions[0])))
                elif asking is not None and given == number:
                    asking.give_up()
        # The daemon is gone.
        self._questions.put(None)
        if asking is not None:
            asking.give_up()

    def _answer(self, reader: Reader, connection: ReadingConnection, asking: Asking, question: Any) -> None:
        error: tuple[Any, ...] | None = None
        answer = b""
        try:
            answer = pickle.dumps(reader.read(connection, question, asking), pickle.HIGHEST_PROTOCOL)
        except Exception as failed:
            error = pack_error(failed)
        self._channel.send(error, [answer])


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
