-- payloads: which instants the records of a payload have, and how many of their values are null, so that a record which
-- left no point (all of its values are null, or its points are past retention) is found in the bytes of its payload.
--   nulls       null or absent values of its well-formed records, also of those that a rule rejected
--   first_time, last_time  the earliest and the latest instant of these records
--   null        the payload was applied before these columns were there, has no such record, or its bytes are deleted
ALTER TABLE payloads ADD COLUMN IF NOT EXISTS nulls Nullable(UInt32) CODEC(ZSTD) AFTER reasons;
ALTER TABLE payloads ADD COLUMN IF NOT EXISTS first_time Nullable(DateTime64(9, 'UTC')) CODEC(DoubleDelta, ZSTD) AFTER nulls;
ALTER TABLE payloads ADD COLUMN IF NOT EXISTS last_time Nullable(DateTime64(9, 'UTC')) CODEC(DoubleDelta, ZSTD) AFTER first_time;
ALTER TABLE payloads ADD INDEX IF NOT EXISTS first_time_range first_time TYPE minmax GRANULARITY 1;
ALTER TABLE payloads ADD INDEX IF NOT EXISTS last_time_range last_time TYPE minmax GRANULARITY 1;
