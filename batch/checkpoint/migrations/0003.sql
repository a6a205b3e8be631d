-- The number of the last event before a task that had a result was taken up again:
-- attempts up to it, and what came of them, are of an earlier round.
ALTER TABLE task ADD COLUMN taken BIGINT NOT NULL DEFAULT 0;
