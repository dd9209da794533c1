-- Version 3 of the PostgreSQL schema: what came in can be read in its order, that of the ids.

CREATE INDEX ccstore_event_by_id ON ccstore_event (id);
CREATE INDEX ccstore_log_by_id ON ccstore_log (id);
