-- Version 5 of the PostgreSQL schema.

-- Older logs, packed: see ccstore/storage/blocks/block_format.py for what is in a block.

-- Blocks that share a number, as many as one index of words is worth. They have any times of logs.
CREATE TABLE ccstore_packed (
    segment bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rows bigint NOT NULL,
    blocks integer NOT NULL,    -- the number of the next one
    indexed integer NOT NULL,   -- parts of them whose words are in ccstore_packed_words, or never will be
    first_time bigint NOT NULL,
    last_time bigint NOT NULL,
    max_id bigint NOT NULL
);

-- What is known of a block without its columns.
CREATE TABLE ccstore_packed_block (
    segment bigint NOT NULL,
    number integer NOT NULL,
    rows integer NOT NULL,
    first_time bigint NOT NULL,
    last_time bigint NOT NULL,
    min_id bigint NOT NULL,
    max_id bigint NOT NULL,
    streams bytea NOT NULL,
    checksum bigint NOT NULL,
    PRIMARY KEY (segment, number)
);

-- The rest. Each is stored by itself, so that one is read without the others; they are compressed already.
CREATE TABLE ccstore_packed_columns (
    segment bigint NOT NULL,
    number integer NOT NULL,
    times bytea NOT NULL,
    ids bytea NOT NULL,
    lengths bytea NOT NULL,
    tag_codes bytea NOT NULL,
    tags bytea NOT NULL,
    texts bytea NOT NULL,
    PRIMARY KEY (segment, number)
);

-- Which words there are, by parts of so many blocks: see ccstore/storage/blocks/vocabulary.py.
CREATE TABLE ccstore_packed_words (
    segment bigint NOT NULL,
    part integer NOT NULL,
    place integer NOT NULL,
    sort integer NOT NULL,
    first bytea NOT NULL,
    words bytea NOT NULL,
    codes bytea NOT NULL,
    masks bytea NOT NULL,
    PRIMARY KEY (segment, part, place)
);

-- How many messages each stream has in each hour of a segment that is full: see ccstore/storage/census.py.
CREATE TABLE ccstore_packed_census (
    segment bigint PRIMARY KEY,
    first bigint NOT NULL,
    last bigint NOT NULL,
    streams bytea NOT NULL,
    totals bytea NOT NULL,
    oldest bytea NOT NULL,
    newest bytea NOT NULL,
    cells bytea,
    names bytea NOT NULL,
    name_cells bytea,
    levels bytea,
    level_cells bytea,
    level_edges bytea
);

ALTER TABLE ccstore_packed_block ALTER streams SET STORAGE EXTERNAL;
ALTER TABLE ccstore_packed_columns
    ALTER times SET STORAGE EXTERNAL, ALTER ids SET STORAGE EXTERNAL, ALTER lengths SET STORAGE EXTERNAL,
    ALTER tag_codes SET STORAGE EXTERNAL, ALTER tags SET STORAGE EXTERNAL, ALTER texts SET STORAGE EXTERNAL;
ALTER TABLE ccstore_packed_words
    ALTER words SET STORAGE EXTERNAL, ALTER codes SET STORAGE EXTERNAL, ALTER masks SET STORAGE EXTERNAL;
ALTER TABLE ccstore_packed_census
    ALTER streams SET STORAGE EXTERNAL, ALTER totals SET STORAGE EXTERNAL, ALTER oldest SET STORAGE EXTERNAL,
    ALTER newest SET STORAGE EXTERNAL, ALTER cells SET STORAGE EXTERNAL, ALTER names SET STORAGE EXTERNAL,
    ALTER name_cells SET STORAGE EXTERNAL, ALTER levels SET STORAGE EXTERNAL,
    ALTER level_cells SET STORAGE EXTERNAL, ALTER level_edges SET STORAGE EXTERNAL;
