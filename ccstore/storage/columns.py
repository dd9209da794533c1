"""How the columns of messages are called, in every database and in the views that sites read."""

from __future__ import annotations

from typing import Final

from ccstore.query import STREAM_LABELS

#: Columns of a stream after its cluster and kind, in the order of :attr:`ccstore.message.Series.stream`.
STREAM_COLUMNS: Final = ("name", "hostname", "type", "typeid", "stype", "stypeid")
#: Columns of a stream, in the order of :data:`ccstore.message.StreamKey`.
KEY_COLUMNS: Final = ("cluster", "kind", *STREAM_COLUMNS)
#: The column of each label that has one.
LABEL_COLUMNS: Final = dict(zip(STREAM_LABELS, KEY_COLUMNS, strict=True))
#: Columns of a hold behind its id, in the order of :meth:`ccstore.keeping.Hold.pack`.
HOLD_COLUMNS: Final = ("streams", "begins_at", "ends_at", "match", "reason", "who", "created_at")
#: The order of the streams whose messages are packed together: those of a host are in one block.
BLOCK_ORDER: Final = "cluster, hostname, name, type, typeid, stype, stypeid, id"
