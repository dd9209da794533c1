-- Version 1 of the spool.

-- Batches in the order of their arrival.
CREATE TABLE batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    batch_id INTEGER,  -- of one that may be in the database already; NULL if it was not sent there before
    messages INTEGER NOT NULL,
    newest INTEGER NOT NULL,  -- when the last of them expires: a time in ns, the largest number for a log
    size INTEGER NOT NULL,  -- bytes of data
    data BLOB NOT NULL  -- see packing.py
);

-- At most one row: batches up to last are being sent, together, under this id.
CREATE TABLE sending (
    batch_id INTEGER NOT NULL,
    last INTEGER NOT NULL
);

-- Batches that could not be read, for whoever can; nothing here is sent.
CREATE TABLE unreadable (
    id INTEGER PRIMARY KEY,
    messages INTEGER NOT NULL,
    data BLOB NOT NULL
);
