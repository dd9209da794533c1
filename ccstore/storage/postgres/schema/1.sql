-- Version 1 of the PostgreSQL schema. Partitions (ccstore_event_N, ccstore_log_N) and views are made as they
-- are needed. Times are nanoseconds since the epoch.

CREATE TABLE ccstore_schema (version integer NOT NULL);

-- What a message has in common with many others. A NULL is an absent tag, and no two of those are equal to a
-- unique index, so the key is a hash of all columns from cluster to stypeid.
CREATE TABLE ccstore_stream (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key uuid NOT NULL CONSTRAINT ccstore_stream_key UNIQUE,
    cluster text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    hostname text,
    type text,
    typeid text,
    stype text,
    stypeid text,
    used bigint NOT NULL  -- the time of a write that has it; later ones may have it too, see streams.py
);
-- An index takes no value of any length.
CREATE INDEX ccstore_stream_by_host ON ccstore_stream (cluster, kind, left(hostname, 64), left(name, 64));

CREATE TABLE ccstore_event (
    id bigint NOT NULL,
    stream bigint NOT NULL,
    time bigint NOT NULL,
    text text NOT NULL,
    othertags text
) PARTITION BY RANGE (time);
CREATE INDEX ccstore_event_by_stream ON ccstore_event (stream, time, id);
-- For clocks that are off.
CREATE TABLE ccstore_event_default PARTITION OF ccstore_event DEFAULT;

CREATE TABLE ccstore_log (
    id bigint NOT NULL,
    stream bigint NOT NULL,
    time bigint NOT NULL,
    text text NOT NULL,
    othertags text
) PARTITION BY RANGE (time);
CREATE INDEX ccstore_log_by_stream ON ccstore_log (stream, time, id);
CREATE TABLE ccstore_log_default PARTITION OF ccstore_log DEFAULT;

-- The partitions besides the default ones: times from begins_at up to, and without, ends_at.
CREATE TABLE ccstore_partition (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    begins_at bigint NOT NULL,
    ends_at bigint NOT NULL
);

-- Each batch takes a block of 2^20 ids, so that they rise in the order of arrival.
CREATE SEQUENCE ccstore_block;

-- Batches that are committed, so that one whose commit was not heard of can be told from one that is lost.
CREATE TABLE ccstore_batch (
    id bigint PRIMARY KEY,
    instance text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);

-- How far other stores have been copied into this one: the id there of the last message that is here.
CREATE TABLE ccstore_copied (
    source text NOT NULL,
    kind text NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (source, kind)
);

-- Ids below id arrived before arrived_at: by that go events whose own time cannot be trusted.
CREATE TABLE ccstore_mark (
    arrived_at bigint NOT NULL,
    id bigint NOT NULL
);
