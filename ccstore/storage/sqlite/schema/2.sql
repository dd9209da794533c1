-- Version 2 of the SQLite schema: what has expired stays so, and events that came late have segments of their own.

-- How long events are kept, in nanoseconds, since the daemon last looked for expired ones. The views go by it.
CREATE TABLE retention (nanoseconds INTEGER NOT NULL);
INSERT INTO retention VALUES (9223372036854775807);

-- Of the events with ids up to last_id those at or before cutoff have expired, however long events are kept now.
CREATE TABLE expired (last_id INTEGER NOT NULL, cutoff INTEGER NOT NULL);

-- Of a segment of events that came late: it has times from begins_at up to, and without, ends_at. Else NULL.
ALTER TABLE segment ADD COLUMN begins_at INTEGER;
ALTER TABLE segment ADD COLUMN ends_at INTEGER;
