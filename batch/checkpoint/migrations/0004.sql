-- How much earlier than its event says something may count at most, in
-- microseconds: so far was the clock set back while it mattered. What counts
-- earlier by now is taken for that.
ALTER TABLE clock ADD COLUMN set_back BIGINT NOT NULL DEFAULT 0;
UPDATE clock SET set_back = (SELECT MAX(back) FROM (SELECT 0 AS back
    UNION ALL SELECT a.over - a.counted FROM attempt a WHERE a.quota_key = clock.quota_key AND a.counted > 0
    UNION ALL SELECT h.until - h.effective FROM hold h WHERE h.quota_key = clock.quota_key AND h.effective > 0) AS moved);
