"""How the columns of messages are called, in every database and in the views that sites read."""

from __future__ import annotations

from typing import Final

from ccstore.query import STREAM_LABELS

#: Columns of a stream after its cluster and kind, in the order of :attr:`ccstore.message.Series.stream`.
STREAM_COLUMNS: Final = ("name", "hostname", "type", "typeid", "stype", "stypeid")
#: The column of each label that has one.
LABEL_COLUMNS: Final = dict(zip(STREAM_LABELS, ("cluster", "kind", *STREAM_COLUMNS), strict=True))
