-- The tables of a store. Everything written is keyed so that writing it twice changes nothing; reads use FINAL.
-- fsync on every part: the mill moves its position in the log only after an insert is durable.
-- No engine TTL anywhere: retention is a job of ours, so that a clock that jumps cannot empty the house.

-- points: one value of one series at one instant.
--   key      the question asked most: one tenant's series over a range of time
--   ordinal  0 where a feed lets one point an instant; (seq, index) where it keeps all (telemetry: whole seconds)
--   version  +(seq, index) for last wins, -(seq, index) for first wins: order of application does not matter
--   value    null is a sample that is present but missing
--   flags    of a local time: bit 0 it was twice, taken as the earlier; bit 1 as the later; bit 2 it never was, shifted
--   attributes  texts of the record that are no part of the identity: the row that stands brings its own. Mostly empty
--   granules of 2,048 rows: duplicates and lineage look up single instants
CREATE TABLE points (
    tenant LowCardinality(String),
    series UInt64,
    time DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    ordinal Int64 CODEC(ZSTD),
    value Nullable(Float64) CODEC(Gorilla, ZSTD),
    version Int64 CODEC(DoubleDelta, ZSTD),
    seq UInt64 CODEC(DoubleDelta, ZSTD),
    idx UInt32 CODEC(DoubleDelta, ZSTD),
    flags UInt8 CODEC(ZSTD),
    received_at DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    attributes Map(LowCardinality(String), String)
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, series, time, ordinal)
SETTINGS index_granularity = 2048, fsync_after_insert = 1, fsync_part_directory = 1;

-- series: what a series is. Points with seq <= deleted_seq are gone from every answer at once (and soon from disk).
--   version  the seq of the payload that wrote the row: metadata of the last writer stays
CREATE TABLE series (
    tenant LowCardinality(String),
    series UInt64,
    feed LowCardinality(String),
    name String,
    field LowCardinality(String),
    tags Map(String, String),
    unit String,
    description String,
    deleted_seq UInt64,
    deleted Bool,
    created_at DateTime64(9, 'UTC'),
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, series)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1;

-- payloads: the bytes as they came, and what became of them. Text ids of UUIDv7 sort by time of receipt.
--   version  rises when the outcome changes (a point that lost a duplicate contest later, a replay)
CREATE TABLE payloads (
    tenant LowCardinality(String),
    receipt String CODEC(ZSTD),
    seq UInt64 CODEC(DoubleDelta, ZSTD),
    feed LowCardinality(String),
    feed_version UInt32,
    received_at DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    format LowCardinality(String),
    bytes UInt64,
    sha256 FixedString(32),
    state LowCardinality(String),
    accepted UInt32,
    rejected UInt32,
    reasons Map(LowCardinality(String), UInt32),
    faults String CODEC(ZSTD),
    body String CODEC(ZSTD(3)),
    version UInt64,
    INDEX seq_range seq TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, receipt)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1;

-- rejections: a record that did not become points, with every reason. time is null where none could be read.
--   winner_*  of a duplicate: the payload and index that stands at this instant
--   version   of a duplicate -(winner_seq, winner_idx), else 0: whatever the order, the first submitted is the winner
CREATE TABLE rejections (
    tenant LowCardinality(String),
    feed LowCardinality(String),
    seq UInt64 CODEC(DoubleDelta, ZSTD),
    idx UInt32,
    receipt String CODEC(ZSTD),
    received_at DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    time Nullable(DateTime64(9, 'UTC')),
    reasons Array(LowCardinality(String)),
    detail String CODEC(ZSTD),
    record String CODEC(ZSTD),
    rules_version UInt32,
    winner_seq UInt64,
    winner_idx UInt32,
    version Int64 DEFAULT 0
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, feed, seq, idx)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1;

-- replaced: every value that stood at an instant and does so no more (last wins).
--   version  -(by_seq, by_idx): the nearest successor is the one that replaced it, also when it is applied again
CREATE TABLE replaced (
    tenant LowCardinality(String),
    series UInt64,
    time DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    seq UInt64,
    idx UInt32,
    value Nullable(Float64),
    by_seq UInt64,
    by_idx UInt32,
    received_at DateTime64(9, 'UTC'),
    version Int64 DEFAULT 0
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, series, time, seq, idx)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- rollups: aggregates of a series over one fixed window, recomputed from points, never incremented.
--   count    0: the window lost its points (a deleted series); answers leave it out
--   sealed   its points are past retention: the row is final. sealed_seq: the last payload that could count for it
--   version  rises with every recomputation
CREATE TABLE rollups (
    tenant LowCardinality(String),
    series UInt64,
    every_s UInt32,
    window DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    count UInt64,
    mean Float64,
    min Float64,
    max Float64,
    sum Float64,
    sealed Bool,
    sealed_seq UInt64 DEFAULT 0,
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, series, every_s, window)
SETTINGS index_granularity = 2048, fsync_after_insert = 1, fsync_part_directory = 1;

-- polls: one row for each poll of a source.
CREATE TABLE polls (
    tenant LowCardinality(String),
    feed LowCardinality(String),
    item String,
    started_at DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    result LowCardinality(String),
    status UInt16,
    latency_ms Float64,
    bytes UInt64,
    sha256 FixedString(32),
    receipt String,
    detail String
) ENGINE = ReplacingMergeTree
ORDER BY (tenant, feed, item, started_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
