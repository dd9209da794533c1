"""What the backend works with, so that a test can have something else."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from ccstore.storage.process_channel import Channel, Spawn
from ccstore.storage.sqlite.threads import ReactorThreads, Threads


@frozen
class Means:
    """Of a backend.

    :ivar connect: opens a connection that stays, as sqlite3.connect does.
    :ivar threads: makes threads for a reactor: how many at most, and their name.
    :ivar clock: the present time in seconds, which never goes back; for any thread.
    :ivar spawn: starts the process that writes, as subprocess.Popen does.
    :ivar open_channel: makes our end of the channel to it from a socket.
    """

    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    threads: Callable[[Any, int, str], Threads] = ReactorThreads
    clock: Callable[[], float] = time.monotonic
    spawn: Spawn = subprocess.Popen
    open_channel: Callable[[socket.socket], Channel] = Channel

    def connected(self, path: Path, access: str, statements: int) -> sqlite3.Connection:
        """A connection to a file that is there, for one thread at a time.

        :param access: ``rw`` or ``ro``.
        :param statements: that stay prepared.
        """
        return self.connect(
            # It must not make a file where there is none any more.
            f"{path.as_uri()}?mode={access}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=statements,
        )


#: Those of a daemon.
MEANS: Final = Means()
