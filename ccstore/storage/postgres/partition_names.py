"""Partitions and ids, as all who deal with them name them."""

from __future__ import annotations

from typing import Final

from attrs import frozen

#: The partition for clocks that are off.
DEFAULT: Final = "ccstore_event_default"
#: Ids below a block's number shifted by this much are of earlier batches.
BLOCK_BITS: Final = 20
#: Tables of packed logs, and the bytes of all of them.
_PACKED_TABLES: Final = [f"ccstore_packed_{name}" for name in ("block", "columns", "words", "census")]
PACKED_SIZE: Final = " + ".join([f"pg_total_relation_size('{table}')" for table in _PACKED_TABLES])


@frozen
class Partition:
    """Times from ``begins_at`` up to, and without, ``ends_at``."""

    id: int
    kind: str
    begins_at: int
    ends_at: int

    @property
    def table(self) -> str:
        """The name of its table."""
        return f"ccstore_{self.kind}_{self.id}"
