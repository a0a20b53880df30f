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
--   marks    reason codes of the rules that flagged the record (action `flag`): it is kept, and said to be doubtful
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
    attributes Map(LowCardinality(String), String),
    marks Array(LowCardinality(String))
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
--   feed_version  the version it was applied under last
--   replay   the replay that applied it last; empty: it was applied once, as it came
--   state    stored, applied, refused, poison, or deleted (then body is empty: the bytes are gone)
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
    replay LowCardinality(String),
    version UInt64,
    INDEX seq_range seq TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, receipt)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1;

-- rejections: a record that did not become points, with every reason. time is null where none could be read.
--   series    those that its points would have been of, where that is known (a record that broke the contract: none)
--   winner_*  of a duplicate: the payload and index that stands at this instant
--   recovered_by  the replay that made points of the record after all: it is no longer among the rejected
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
    series Array(UInt64),
    winner_seq UInt64,
    winner_idx UInt32,
    recovered_by LowCardinality(String),
    recovered_at Nullable(DateTime64(9, 'UTC')),
    version Int64 DEFAULT 0,
    INDEX time_range time TYPE minmax GRANULARITY 1
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
SETTINGS index_granularity = 2048, fsync_after_insert = 1, fsync_part_directory = 1;

-- rollups: aggregates of a series over one fixed window, recomputed from points, never incremented.
--   count    0: the window lost its points (a deleted series); answers leave it out
--   late     how many of its points were received after the window had ended for longer than the feed's `late_after`
--   restated_at  when a value that had been published was last changed (null: never)
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
    late UInt64 DEFAULT 0,
    restated_at Nullable(DateTime64(9, 'UTC')),
    sealed Bool,
    sealed_seq UInt64 DEFAULT 0,
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, series, every_s, window)
SETTINGS index_granularity = 2048, fsync_after_insert = 1, fsync_part_directory = 1;

-- changes: every published value that changed: a point that another replaced or that went, a rollup window restated.
--   key      what caused it: the payload (seq, idx) at which it was published, so that writing it twice changes nothing.
--            seq rises with the log, so that (seq, idx, series, every_s, time) is a cursor for whoever follows
--   every_s  0 for a point, else the width of the rollup window
--   old, new  of a window its mean; null: there was none, or there is none any more
--   why      replaced, overtaken, late, replay, deleted
--   cause_*  the payload that brought the new value (zero: none did)
CREATE TABLE changes (
    tenant LowCardinality(String),
    seq UInt64 CODEC(DoubleDelta, ZSTD),
    idx UInt32,
    series UInt64,
    every_s UInt32,
    time DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    feed LowCardinality(String),
    old Nullable(Float64),
    new Nullable(Float64),
    old_count UInt64,
    new_count UInt64,
    why LowCardinality(String),
    cause_seq UInt64,
    cause_idx UInt32,
    replay LowCardinality(String),
    changed_at DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    version UInt64,
    INDEX series_set series TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX time_range time TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, seq, idx, series, every_s, time)
SETTINGS index_granularity = 2048, fsync_after_insert = 1, fsync_part_directory = 1;

-- deletions: what was deleted on request, so that neither a replay nor a second application brings it back.
--   seq      its place in the log: what was submitted later is not concerned
--   kind     series, range, feed or payload; selector: what was asked for, as JSON
--   applied_at  since when it is in no answer (0: it is being applied)
--   erased_at  when the bytes were gone from disk, log included (null: not yet); erase_by: when they must be
--   payloads   those that lost their bytes; payloads_kept: those that hold other records, too, and kept them
--   version    rises from being applied to applied to erased
CREATE TABLE deletions (
    tenant LowCardinality(String),
    id String,
    seq UInt64,
    kind LowCardinality(String),
    feed LowCardinality(String),
    selector String,
    requested_at DateTime64(9, 'UTC'),
    applied_at DateTime64(9, 'UTC'),
    erase_by DateTime64(9, 'UTC'),
    erased_at Nullable(DateTime64(9, 'UTC')),
    points UInt64,
    records UInt64,
    payloads UInt64,
    payloads_kept UInt64,
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- deleted_records: records that were deleted while their payload kept its bytes, and records that had lost to a deleted
-- one: applied again or replayed they make no points.
--   series    0: the whole record, else only its point of this series
--   deletion  the place of the deletion in the log
--   reasons   of a record that was rejected: its outcome stays, though the ledger has lost it
CREATE TABLE deleted_records (
    tenant LowCardinality(String),
    feed LowCardinality(String),
    seq UInt64 CODEC(DoubleDelta, ZSTD),
    idx UInt32 CODEC(DoubleDelta, ZSTD),
    series UInt64,
    deletion UInt64,
    reasons Array(LowCardinality(String))
) ENGINE = ReplacingMergeTree
ORDER BY (tenant, feed, seq, idx, series, deletion)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- polls: one row for each poll of a source. By feed and time: the newest of one feed, and those of a stretch of time.
--   status    0: no answer over HTTP
--   records   as counted at a glance; 0 also for what cannot be counted
--   receipt   empty unless the answer was taken
--   next_due  when the source was to be polled next, as known when the row was written (null: it was being stopped)
CREATE TABLE polls (
    tenant LowCardinality(String),
    feed LowCardinality(String),
    item String,
    started_at DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    result LowCardinality(String),
    status UInt16,
    latency_ms Float64,
    bytes UInt64,
    records UInt64,
    sha256 FixedString(32),
    receipt String,
    detail String,
    next_due Nullable(DateTime64(9, 'UTC'))
) ENGINE = ReplacingMergeTree
ORDER BY (tenant, feed, started_at, item)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
