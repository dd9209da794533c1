"""Datagrams that the kernel had no room for, as it counts them itself."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ccstore.pipeline.intake import Intake

#: Where Linux says it, for IPv4 and IPv6.
TABLES: Final = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
#: Seconds between two looks.
_LOOK_EVERY: Final = 10.0


class KernelDrops:
    """Keeps an eye on the kernel's counter, and says when it has grown.

    :param tables: where the counters are.
    :ivar count: datagrams of all ports that there were; None where the kernel does not tell.
    """

    def __init__(self, intake: Intake, tables: Iterable[Path] = TABLES) -> None:
        self._intake = intake
        self._tables = tables
        self._of_closed = 0  # of ports that were left
        self._looked_at = 0.0
        self.count: int | None = None

    def look_now_and_then(self, handle: socket.socket) -> None:
        """See to the counter of a port, but not again and again."""
        if self._intake.clock.seconds() - self._looked_at > _LOOK_EVERY:
            self.look(handle)

    def look(self, handle: socket.socket) -> None:
        """See what the kernel had no room for, and say so."""
        self._looked_at = self._intake.clock.seconds()
        before, drops = self.count, kernel_drops(handle, self._tables)
        self.count = None if drops is None else self._of_closed + drops
        if self.count and self.count > (before or 0):
            self._intake.warn(
                "kernel",
                self._intake.account.name,
                f"the kernel has dropped {self.count} datagrams so far, the receive buffer was full",
            )

    def leave(self, handle: socket.socket) -> None:
        """Look for the last time, since the port is about to be closed."""
        self.look(handle)
        self._of_closed += kernel_drops(handle, self._tables) or 0


def kernel_drops(handle: socket.socket, tables: Iterable[Path] = TABLES) -> int | None:
    """Datagrams the kernel dropped because the receive buffer was full; None where it does not tell.

    See the columns of ``/proc/net/udp``: the tenth is the socket's inode, the last the drops.
    """
    inode = str(os.fstat(handle.fileno()).st_ino)
    for table in tables:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if len(columns) > 12 and columns[9] == inode:
                return int(columns[-1])
    return None
