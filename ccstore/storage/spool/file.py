"""What is done with the file; all of it runs in one thread."""

from __future__ import annotations

import json
import secrets
import sqlite3
from typing import Final

from attrs import frozen
from twisted.logger import Logger

from ccstore.batch import Batch
from ccstore.interfaces import StoreError, StoreUnavailable
from ccstore.storage.dbfile.schema import Schema, scripts
from ccstore.storage.dbfile.sql import transaction
from ccstore.storage.spool.packing import newest, pack, unpack

#: The spool; its id is "ccsp".
SPOOL: Final = Schema(
    0x63637370, scripts("ccstore.storage.spool", 1), "it is another program's database: give another path"
)
#: What a row takes besides its data.
_ROW_SIZE: Final = 64


@frozen
class Sizes:
    """How much is done with the file at a time.

    :ivar group_batches: of a group; ``group_size`` is the same in bytes, unless a single batch has more.
    :ivar vacuum_pages: given back to the file system in one transaction.
    """

    group_batches: int = 512
    group_size: int = 8 << 20
    vacuum_pages: int = 2000


#: Those of a daemon.
SIZES: Final = Sizes()


@frozen(eq=False)
class Group:
    """Batches that are sent together.

    :ivar id: the batch id that the database is given.
    :ivar last: the number of the last of them.
    :ivar count: the messages that go with them, even if nothing can be read any more.
    """

    id: int
    last: int
    count: int
    messages: Batch


class SpoolFile:
    """The file.

    :param max_size: bytes of packed messages that it holds at most.
    :ivar messages: that are in it, with ``size`` bytes.
    :ivar unreadable: messages of damaged batches.
    """

    log = Logger()

    def __init__(self, max_size: int, sizes: Sizes = SIZES) -> None:
        self.max_size = max_size
        self._sizes = sizes
        self._last_sent = 0  # the last batch that is being sent
        self.messages = 0
        self.size = 0
        self.unreadable = 0

    def load(self, connection: sqlite3.Connection) -> None:
        """Look at what is there; raises :class:`StoreError` if it is damaged."""
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StoreError(f"it is damaged ({' '.join(found.split())}): move it away, and start again")
        found = connection.execute(f"SELECT total(messages), total(size + {_ROW_SIZE}) FROM batch")
        self.messages, self.size = map(int, found.fetchone())
        self.unreadable = int(connection.execute("SELECT total(messages) FROM unreadable").fetchone()[0])

    def append(self, connection: sqlite3.Connection, messages: Batch, batch_id: int | None) -> int:
        """Put a batch behind the others, on disk, and give its number.

        Raises :class:`StoreUnavailable` if there is no room.
        """
        data = pack(messages)
        size = len(data) + _ROW_SIZE
        if self.size + size > self.max_size:
            raise StoreUnavailable(f"the spool is full: it has {self.size} of {self.max_size} bytes")
        with transaction(connection):
            (number,) = connection.execute(
                "INSERT INTO batch (batch_id, messages, newest, size, data) VALUES (?, ?, ?, ?, ?) "
                "RETURNING id",
                (batch_id, len(messages), newest(messages), len(data), data),
            ).fetchone()
        self.messages += len(messages)
        self.size += size
        return int(number)

    def take_back(self, connection: sqlite3.Connection, number: int) -> None:
        """Forget a batch that has just been put in."""
        with transaction(connection):
            self._delete(connection, "id = ?", number)

    # -- what is sent

    def head(self, connection: sqlite3.Connection, most: int) -> Group | None:
        """The group to be sent next; None if all is sent. It stays the same until it is discarded.

        :param most: messages that it has, unless a single batch has more.
        """
        while True:
            chosen = self._choose(connection, most)
            if chosen is None:
                return None
            batch_id, last = chosen
            messages, count = self._read(connection, last)
            if count:
                self._last_sent = last
                return Group(batch_id, last, count, messages)
            # All of them were unreadable.
            with transaction(connection):
                connection.execute("DELETE FROM sending")

    def _choose(self, connection: sqlite3.Connection, most: int) -> tuple[int, int] | None:
        begun: tuple[int, int] | None = connection.execute("SELECT batch_id, last FROM sending").fetchone()
        if begun is not None:
            return begun
        # In one row: each step of a statement waits for the interpreter lock.
        (found,) = connection.execute(
            "SELECT json_group_array(json_array(id, batch_id, messages, size)) FROM "
            "(SELECT id, batch_id, messages, size FROM batch ORDER BY id LIMIT ?)",
            (self._sizes.group_batches,),
        ).fetchone()
        rows = json.loads(found)
        if not rows:
            return None
        last, batch_id, total, total_size = rows[0]
        if batch_id is not None:
            return batch_id, last
        for number, tried, messages, size in rows[1:]:
            total += messages
            total_size += size
            if tried is not None or total > most or total_size > self._sizes.group_size:
                break
            last = number
        batch_id = -1 - secrets.randbits(62)
        with transaction(connection):
            connection.execute("INSERT INTO sending (batch_id, last) VALUES (?, ?)", (batch_id, last))
        return batch_id, last

    def _read(self, connection: sqlite3.Connection, last: int) -> tuple[Batch, int]:
        """The messages of all batches up to this one, and their number."""
        (found,) = connection.execute(
            "SELECT json_group_array(json_array(id, messages)) FROM "
            "(SELECT id, messages FROM batch WHERE id <= ? ORDER BY id)",
            (last,),
        ).fetchone()
        rows = json.loads(found)
        if len(rows) == 1:
            parts = [connection.execute("SELECT data FROM batch WHERE id = ?", (rows[0][0],)).fetchone()[0]]
        elif rows:
            (text,) = connection.execute(
                "SELECT group_concat(part, ' ') FROM "
                "(SELECT hex(data) AS part FROM batch WHERE id <= ? ORDER BY id)",
                (last,),
            ).fetchone()
            parts = [bytes.fromhex(part) for part in text.split(" ")]
        else:
            parts = []
        batch = Batch()
        total = 0
        for (number, count), data in zip(rows, parts, strict=True):
            try:
                batch.extend(unpack(data))
            except ValueError as error:
                self._set_aside(connection, number, str(error))
            else:
                total += count
        return batch, total

    def _set_aside(self, connection: sqlite3.Connection, number: int, why: str) -> None:
        with transaction(connection):
            connection.execute(
                "INSERT INTO unreadable SELECT id, messages, data FROM batch WHERE id = ?", (number,)
            )
            messages = self._delete(connection, "id = ?", number)
        self.unreadable += messages
        self.log.error(
            "{messages} messages in the spool cannot be read, and are not sent: {why}; they stay in its table"
            " unreadable, with id {number}",
            messages=messages,
            why=why,
            number=number,
        )

    def discard(self, connection: sqlite3.Connection, group: Group) -> None:
        """Forget what has been sent."""
        with transaction(connection):
            self._delete(connection, "id <= ?", group.last)
            connection.execute("DELETE FROM sending")

    def expire(self, connection: sqlite3.Connection, cutoff: int) -> int:
        """Drop batches that have nothing but events at or before the cutoff; how many messages that were.

        What may be in the database already stays, until it is known what became of it.
        """
        condition = (
            "newest <= ? AND id > max(?, coalesce((SELECT last FROM sending), 0)) AND batch_id IS NULL"
        )
        with transaction(connection):
            return self._delete(connection, condition, cutoff, self._last_sent)

    def _delete(self, connection: sqlite3.Connection, condition: str, *parameters: int) -> int:
        """Delete batches; how many messages that were."""
        found = connection.execute(
            f"SELECT total(messages), total(size + {_ROW_SIZE}) FROM batch WHERE {condition}", parameters
        )
        messages, size = map(int, found.fetchone())
        connection.execute(f"DELETE FROM batch WHERE {condition}", parameters)
        self.messages -= messages
        self.size -= size
        return messages

    def give_back(self, connection: sqlite3.Connection) -> bool:
        """Give free pages back to the file system, if all of them are; True if there are more."""
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        if self.messages or not free:
            return False
        # It gives back a page at each step, and executescript() is what goes on to the last.
        connection.executescript(f"PRAGMA incremental_vacuum({self._sizes.vacuum_pages})")
        return bool(free > self._sizes.vacuum_pages)
