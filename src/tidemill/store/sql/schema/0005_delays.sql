-- delay_ns: how long after its instant a point was received. Null for points that were stored before there was this column.
ALTER TABLE points ADD COLUMN IF NOT EXISTS delay_ns Nullable(Int64) CODEC(DoubleDelta, ZSTD);
