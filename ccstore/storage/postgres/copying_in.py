"""Copying another store into this one."""

from __future__ import annotations

from collections.abc import Mapping

from ccstore.batch import Batch
from ccstore.message import STORED_KINDS
from ccstore.storage.counting import count_messages
from ccstore.storage.postgres import packed_logs
from ccstore.storage.postgres.connections import Connections
from ccstore.storage.postgres.expiry import has_expired
from ccstore.storage.postgres.housekeeping import Housekeeping
from ccstore.storage.postgres.writer import Writer


class CopyingIn:
    """See :class:`ccstore.interfaces.ICopyTarget`."""

    def __init__(self, keeping: Connections, writer: Writer, housekeeping: Housekeeping) -> None:
        self._keeping = keeping
        self._writer = writer
        self._housekeeping = housekeeping

    async def prepare(self, log_times: tuple[int, int] | None) -> None:
        """See :meth:`ccstore.interfaces.ICopyTarget.prepare_copy`."""
        if log_times is not None:
            await self._housekeeping.cover_logs(*log_times)

    async def copied(self, source: str) -> Mapping[str, int]:
        """See :meth:`ccstore.interfaces.ICopyTarget.copied`."""
        async with self._keeping.connection() as link:
            rows = await link.execute("SELECT kind, last FROM ccstore_copied WHERE source = %s", source)
        return dict(rows)

    async def copy_in(self, messages: Batch, source: str, last: int) -> None:
        """See :meth:`ccstore.interfaces.ICopyTarget.copy_in`."""
        await self._writer.write(messages, position=(source, messages.series[0].kind, last))

    async def count(self) -> Mapping[tuple[str, str], int]:
        """See :meth:`ccstore.interfaces.ICopyTarget.count`."""
        found: dict[tuple[str, str], int] = {}
        async with self._keeping.connection() as link:
            for kind in STORED_KINDS:
                condition = f"NOT {has_expired(kind)}"
                statement = count_messages(f"ccstore_{kind}", "ccstore_stream", condition)
                packed = await packed_logs.count(link) if kind == "log" else {}
                counts = packed_logs.added(await link.execute(statement), packed)
                found |= {(cluster, kind): rows for cluster, rows in counts.items()}
        return found
