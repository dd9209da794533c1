-- Whether a text of the segment has a NUL in it, behind which LIKE does not look: 0 is that none has, and
-- NULL that nobody knows.
ALTER TABLE segment ADD COLUMN has_nul INTEGER;
