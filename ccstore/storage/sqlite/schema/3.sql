-- Version 3 of the SQLite schema: how many messages of each stream a sealed segment has in each hour.

-- See PackedCensus in ccstore/storage/census.py. A segment that has none yet gets it before long.
CREATE TABLE census (
    segment INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    streams BLOB NOT NULL,
    totals BLOB NOT NULL,
    oldest BLOB NOT NULL,
    newest BLOB NOT NULL,
    cells BLOB,
    names BLOB NOT NULL,
    name_cells BLOB
);
