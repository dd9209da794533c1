"""How the daemon and its processes that write and read talk: values, one after the other, over a socket."""

from __future__ import annotations

import marshal
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

_ROOT: Final = Path(__file__).resolve().parents[2]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
_HEADER: Final = 8
#: Bytes that the kernel is asked to take before whoever sends has to wait.
_BUFFER: Final = 1 << 20
_READ: Final = 1 << 16
#: Those that are sent to the daemon: whoever sends one to its group or its unit sends it to the process too.
SIGNALS: Final = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
#: That may be sent with one call.
_MOST_BUFFERS: Final = 1000


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends, of which none is inherited by accident."""
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return ends


def start(
    module: str, spawn: Spawn = subprocess.Popen, pass_fds: Sequence[int] = ()
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A process that runs a module, with the other end of ours as its standard input; raises OSError.

    :param spawn: starts a process, as subprocess.Popen does.
    :param pass_fds: descriptors that it has as well.
    """
    ours, theirs = pair()
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with theirs:
        # It inherits what this thread holds back, until it is ready to ignore it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process = spawn(
                [sys.executable, "-m", module],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={**os.environ, "PYTHONPATH": path},
                pass_fds=pass_fds,
            )
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return process, ours


#: What is sent are numbers, strings, and tuples, lists and dictionaries of them. It takes less than a tenth
#: of a microsecond for a message, and both ends are of the same version.
pack: Final[Callable[[Any], bytes]] = marshal.dumps
unpack: Final[Callable[[bytes | memoryview], Any]] = marshal.loads
#: The type of numbers that are packed as an array, which takes half as long.
NUMBERS: Final = "I"
_Received = TypeVar("_Received", bytes, int)


class Channel:
    """One end. It blocks; raises OSError if the other end is gone.

    Each end sends, and then waits for the answer, if there is to be one. As few calls as possible are made
    for that: after each of them, a thread has to wait for the interpreter lock.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""  # of what was received already

    def send(self, value: object, attached: Sequence[bytes] = ()) -> None:
        """Send a value, and with it some bytes that need not be packed again."""
        data = pack((value, [*map(len, attached)]))
        size = len(data) + sum(map(len, attached))
        buffers = [size.to_bytes(_HEADER, "little"), data, *attached]
        if len(buffers) > _MOST_BUFFERS:
            buffers = [b"".join(buffers)]
        sent = self._end.sendmsg(buffers)
        if sent < _HEADER + size:
            self._end.sendall(b"".join(buffers)[sent:])

    def receive(self) -> tuple[Any, list[memoryview]]:
        """The next value and what is attached; raises ConnectionError if there is none any more."""
        data, self._rest = self._rest, b""
        while len(data) < _HEADER:
            data += self._some(self._end.recv(_READ))
        size = _HEADER + int.from_bytes(data[:_HEADER], "little")
        view = memoryview(data)[:size]
        if len(data) > size:
            self._rest = data[size:]
        elif len(data) < size:
            whole, position = bytearray(size), len(data)
            whole[:position] = data
            view = memoryview(whole)
            while position < size:
                position += self._some(self._end.recv_into(view[position:]))
        value, sizes = unpack(view[_HEADER:])
        ends = [*accumulate(sizes, initial=size - sum(sizes))]
        return value, [view[start:end] for start, end in pairwise(ends)]

    @staticmethod
    def _some(received: _Received) -> _Received:
        if not received:
            raise ConnectionResetError("the other end is closed")
        return received

    def close(self) -> None:
        """Close our end."""
        self._end.close()
