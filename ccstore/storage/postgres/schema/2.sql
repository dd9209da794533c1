-- Version 2 of the PostgreSQL schema: what has expired stays so. Views that were made before are made anew at
-- the start, since they do not look at this.

-- How long events are kept, in nanoseconds, since a daemon last looked for expired ones. The views go by it.
CREATE TABLE ccstore_retention (nanoseconds bigint NOT NULL);
INSERT INTO ccstore_retention VALUES (9223372036854775807);

-- Of the events with ids below "below" those at or before cutoff have expired, however long events are kept now.
CREATE TABLE ccstore_expired (below bigint NOT NULL, cutoff bigint NOT NULL);
