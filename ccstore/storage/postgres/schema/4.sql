-- Version 4 of the PostgreSQL schema.

-- Rules of retention, and holds.

-- After how many nanoseconds messages of a stream expire, where a rule says so; NULL is as all others of its kind.
ALTER TABLE ccstore_stream ADD COLUMN keeps bigint;

-- The rules by which that was decided: one row for each kind that a rule is about.
CREATE TABLE ccstore_retention_rule (
    kind text NOT NULL,
    nanoseconds bigint NOT NULL,
    streams text NOT NULL,  -- see pack_streams in ccstore/keeping.py
    match text NOT NULL
);

-- Of the messages of a stream with ids up to last_id those at or before cutoff have expired, by an earlier rule.
CREATE TABLE ccstore_lapsed (stream_id bigint NOT NULL, last_id bigint NOT NULL, cutoff bigint NOT NULL);
CREATE INDEX ccstore_lapsed_by_stream ON ccstore_lapsed (stream_id);

-- What is not deleted until somebody releases it. Times are nanoseconds since the epoch, both included.
CREATE TABLE ccstore_hold (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    streams text NOT NULL,
    begins_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    match text NOT NULL,
    reason text NOT NULL,
    who text NOT NULL,
    created_at bigint NOT NULL
);

-- The same by stream: what of it had not expired when the hold began.
CREATE TABLE ccstore_held (
    stream_id bigint NOT NULL,
    hold bigint NOT NULL,
    begins_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    PRIMARY KEY (stream_id, hold)
);
