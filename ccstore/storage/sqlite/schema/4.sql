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

-- The words of packed messages, see ccstore/storage/blocks/vocabulary.py: a part has those of 32 blocks of consecutive
-- numbers. A part without any has no index, and all of its blocks are searched.
CREATE TABLE vocabulary (
    segment INTEGER NOT NULL,
    part INTEGER NOT NULL,  -- from 0
    sort INTEGER NOT NULL,
    first BLOB NOT NULL,
    words BLOB NOT NULL,
    codes BLOB NOT NULL,
    masks BLOB NOT NULL,
    PRIMARY KEY (segment, part, sort, first)
);

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
