-- Version 4 of the SQLite schema.

-- Packed segments. How many blocks a segment has instead of a table of rows; 0 if it has its rows.
ALTER TABLE segment ADD COLUMN packed INTEGER NOT NULL DEFAULT 0;

-- What is known of a block without its columns; see PackedBlock in ccstore/storage/blocks/block_format.py.
-- Eight blocks, of consecutive numbers, have the messages of the same time; from each eight to the next it goes on.
CREATE TABLE block (
    segment INTEGER NOT NULL,
    number INTEGER NOT NULL,  -- from 0
    rows INTEGER NOT NULL,
    first_time INTEGER NOT NULL,
    last_time INTEGER NOT NULL,
    min_id INTEGER NOT NULL,
    max_id INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    streams BLOB NOT NULL,
    PRIMARY KEY (segment, number)
) WITHOUT ROWID;
-- The other columns of a block, each compressed by itself.
CREATE TABLE block_columns (
    segment INTEGER NOT NULL,
    number INTEGER NOT NULL,
    times BLOB NOT NULL,
    ids BLOB NOT NULL,
    lengths BLOB NOT NULL,
    tag_codes BLOB NOT NULL,
    tags BLOB NOT NULL,
    texts BLOB NOT NULL,
    PRIMARY KEY (segment, number)
);

-- The words of 32 blocks each, by which is found which of them may have a text; see Chunk in
-- ccstore/storage/blocks/vocabulary.py. Where there are none, each block may have it.
CREATE TABLE vocabulary (
    segment INTEGER NOT NULL,
    part INTEGER NOT NULL,  -- the numbers of its blocks, divided by 32
    sort INTEGER NOT NULL,
    first BLOB NOT NULL,
    words BLOB NOT NULL,
    codes BLOB NOT NULL,
    masks BLOB NOT NULL,
    PRIMARY KEY (segment, part, sort, first)
);

-- How many messages a sealed segment has of each name and level; see PackedCensus in ccstore/storage/census.py.
-- A census without them is taken once more before long.
ALTER TABLE census ADD COLUMN levels BLOB;
ALTER TABLE census ADD COLUMN level_cells BLOB;
ALTER TABLE census ADD COLUMN level_edges BLOB;

-- Rules of retention, and holds.

-- After how many nanoseconds messages of a stream expire, where a rule says so; NULL is as all others of its kind.
ALTER TABLE stream ADD COLUMN keeps INTEGER;

-- Of a segment for messages that are kept when the others of theirs have expired: how long; -1 if they are held.
ALTER TABLE segment ADD COLUMN keeps INTEGER;

-- The rules by which that was decided: one row for each kind that a rule is about.
CREATE TABLE retention_rule (
    kind TEXT NOT NULL,
    nanoseconds INTEGER NOT NULL,
    streams TEXT NOT NULL,  -- see pack_streams in ccstore/keeping.py
    match TEXT NOT NULL
);

-- Of the messages of a stream with ids up to last_id those at or before cutoff have expired, by an earlier rule.
CREATE TABLE lapsed (stream_id INTEGER NOT NULL, last_id INTEGER NOT NULL, cutoff INTEGER NOT NULL);
CREATE INDEX lapsed_by_stream ON lapsed (stream_id);

-- What is not deleted until somebody releases it. Times are nanoseconds since the epoch, both included.
CREATE TABLE hold (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    streams TEXT NOT NULL,
    begins_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    match TEXT NOT NULL,
    reason TEXT NOT NULL,
    who TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

-- The same by stream: what of it had not expired when the hold began.
CREATE TABLE held (
    stream_id INTEGER NOT NULL,
    hold INTEGER NOT NULL,
    begins_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    PRIMARY KEY (stream_id, hold)
) WITHOUT ROWID;

-- Templates of messages. See PackedTemplates in ccstore/storage/template_counts.py; an hour may have several.
CREATE TABLE templates (
    segment INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    templates BLOB NOT NULL,
    figures BLOB NOT NULL,
    streams BLOB NOT NULL,
    places BLOB NOT NULL
);
CREATE INDEX templates_by_segment ON templates (segment, hour);
-- Segments whose messages have all been looked at, and by which version of the mask.
CREATE TABLE templates_taken (
    segment INTEGER PRIMARY KEY,
    mask INTEGER NOT NULL,
    is_told INTEGER NOT NULL  -- 0 if there are none, since they would be nearly as many as the messages
);
