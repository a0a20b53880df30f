-- submissions: of feeds that compare records by their local time as it was sent: which records were submitted for a time.
--   series   of the record's first required field
--   local    at is the local time as it was sent, as if it were UTC; else it is the instant
--   at       ns since the epoch
--   time     the instant of the record
--   one row for every record that passed the rules, at its local time; and of a duplicate, which has no points, one more at
--   its instant. Rows with seq <= deleted_seq of the series count no more; rows expire as the points of the feed do
CREATE TABLE submissions (
    tenant LowCardinality(String),
    series UInt64,
    local Bool,
    at Int64 CODEC(DoubleDelta, ZSTD),
    seq UInt64 CODEC(DoubleDelta, ZSTD),
    idx UInt32 CODEC(DoubleDelta, ZSTD),
    time DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    received_at DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD)
) ENGINE = ReplacingMergeTree
ORDER BY (tenant, series, local, at, seq, idx)
SETTINGS index_granularity = 2048, fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 60;
