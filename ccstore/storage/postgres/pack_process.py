"""A process that packs, on its own side: ``python -m ccstore.storage.postgres.pack_process``.

It has the other end of its standard input's socket for a master, and ends when that does: what it was at is
undone by the server.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
from contextlib import suppress

import psycopg2

from ccstore.errors import StoreError
from ccstore.storage.blocks.packed_numbers import Damaged
from ccstore.storage.postgres.block_counting import BlockCounter
from ccstore.storage.postgres.block_thinning import BlockThinner
from ccstore.storage.postgres.blocking_sql import BlockingSql
from ccstore.storage.postgres.database import Address, connected
from ccstore.storage.postgres.driver_errors import one_line
from ccstore.storage.postgres.log_packer import LogPacker
from ccstore.storage.postgres.pools import WRITING
from ccstore.storage.process_channel import SIGNALS, Channel


def main() -> None:
    """Pack as the daemon says, until it is gone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=0) as end, suppress(ConnectionError):
        _serve(Channel(end))


def _serve(channel: Channel) -> None:
    """Answer each time with how many messages were packed, why none could be, and whether this is the end."""
    (dsn, timeout, has_words, niceness), (sizes,) = channel.receive()
    os.nice(niceness)
    address = Address(dsn, {})
    try:
        address.parse()
        with connected(address, timeout) as connection:
            with connection.cursor() as cursor:
                cursor.execute(WRITING)
            sql, sizes = BlockingSql(connection), pickle.loads(sizes)
            packer = LogPacker(sql, sizes, has_words=has_words)
            thinner, counter = BlockThinner(sql, sizes.rest), BlockCounter(sql, sizes.blocks)
            while True:
                (before, now), _ = channel.receive()
                try:
                    rows = packer.step(before)
                except Damaged as error:
                    channel.send((None, str(error), False))
                    continue
                if rows is None and packer.is_alone() and (thinner.step(now) or counter.step()):
                    rows = 0
                channel.send((rows, "", False))
    except (psycopg2.Error, StoreError) as error:
        channel.send((None, one_line(error), True))


if __name__ == "__main__":
    main()
