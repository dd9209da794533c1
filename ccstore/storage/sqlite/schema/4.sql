-- Version 4 of the SQLite schema.

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
