-- Version 1 of the SQLite schema. Segments (tables event_N and log_N) and views are made as they are needed.

-- What a message has in common with many others. cluster to stypeid are a key; a NULL is an absent tag.
CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    hostname TEXT,
    type TEXT,
    typeid TEXT,
    stype TEXT,
    stypeid TEXT,
    segment INTEGER NOT NULL  -- a segment that has it; newer ones may have it too, see SEGMENTS_PASSED
);
CREATE INDEX stream_by_key ON stream (cluster, kind, hostname, name, type, typeid, stype, stypeid);

-- The catalogue. The ids of a segment's messages begin behind first_id. Times are nanoseconds since the epoch.
CREATE TABLE segment (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    first_id INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    sealed_at INTEGER,  -- NULL while it is open, and so are the rest
    min_time INTEGER,
    max_time INTEGER,
    row_count INTEGER
);
CREATE INDEX segment_by_kind ON segment (kind, sealed_at);
