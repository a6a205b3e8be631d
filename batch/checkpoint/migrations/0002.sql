-- The last id that a batch got. One is never given again, not even when its
-- batch was forgotten: whoever still knows it must not meet another batch.
CREATE TABLE batch_id (last BIGINT NOT NULL);
INSERT INTO batch_id SELECT COALESCE(MAX(id), 0) FROM batch;
