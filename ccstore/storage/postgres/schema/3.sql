-- Version 3 of the PostgreSQL schema: what came in can be read in its order, that of the ids, and what is of a
-- time without all else. Both rise as rows are added, so a summary of some pages at a time will do; a B-tree costs
-- 29 bytes a row, and time to write.

CREATE INDEX ccstore_event_by_id ON ccstore_event USING brin (id, time) WITH (autosummarize = on);
CREATE INDEX ccstore_log_by_id ON ccstore_log USING brin (id, time) WITH (autosummarize = on);
