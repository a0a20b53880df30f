-- replay_differences: what a replay changes, or would change, row by row: at most a million rows of each kind, those with
-- the largest change first. Written when a replay is concluded, of the newest replays of a tenant; dropped when
-- something of the feed is deleted.
--   kind     `windows`, `points`, or `records`
--   row      the place in the order of its kind, from 0
--   series, time, every_s  of a window (its begin) or of a point; of a record, time is its instant (null: it has none)
--   old, new  the mean of a window or the value of a point (null: none), old_count and new_count its points
--   receipt, idx  of a record; old_reasons and new_reasons are empty where it is, or would be, accepted
--   one partition for each replay, so that dropping it takes the bytes from disk at once
CREATE TABLE replay_differences (
    tenant LowCardinality(String),
    replay String,
    feed LowCardinality(String),
    kind LowCardinality(String),
    row UInt64 CODEC(DoubleDelta, ZSTD),
    series UInt64,
    time Nullable(DateTime64(9, 'UTC')),
    every_s UInt32,
    old Nullable(Float64),
    new Nullable(Float64),
    old_count UInt64,
    new_count UInt64,
    receipt String CODEC(ZSTD),
    idx UInt32,
    old_reasons Array(LowCardinality(String)),
    new_reasons Array(LowCardinality(String))
) ENGINE = ReplacingMergeTree
PARTITION BY (tenant, replay)
ORDER BY (tenant, replay, kind, row)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
