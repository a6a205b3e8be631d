-- The number of the last event before a cancel of some devices named the task's:
-- from then on no run calls it, unless it is taken up again.
ALTER TABLE task ADD COLUMN withdrawn BIGINT NOT NULL DEFAULT 0;
