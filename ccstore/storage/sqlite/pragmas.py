"""What the connections to the database are told."""

from __future__ import annotations

from typing import Final

from ccstore.storage.dbfile.sql import PAGE_SIZE

#: Bytes of the write-ahead log at which there is a checkpoint: with 4 MB, that was half of the time.
_LOG_SIZE: Final = 16 << 20
#: Prepared statements of a connection that writes. Those that insert many rows have half a megabyte, and
#: every segment has its own.
STATEMENTS_HELD: Final = 32
#: What every connection sets, unless the configuration has something else.
PRAGMAS: Final = {
    "busy_timeout": "5000",
    "synchronous": "FULL",
    # Some systems have it otherwise: what expires would be overwritten, and that twice, which takes as much
    # of the disk as what comes in.
    "secure_delete": "OFF",
    "cache_size": "-16384",
    "wal_autocheckpoint": str(_LOG_SIZE // PAGE_SIZE),
}
#: The same for whoever writes, who seldom looks at a page again.
WRITER_PRAGMAS: Final = {**PRAGMAS, "cache_size": "-4096"}
