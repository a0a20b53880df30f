-- Queries and statements of a replay. (Deletions are entries of the log, too, and no payloads of data.) Offsets are
-- bound as a range and, with `sparse`, also as a list; without, the mill filters the rows. Times are ns since the epoch
-- (Int64).

-- name: replay_by_received
-- The payloads of a feed that were received in [start, end) and applied or set aside, with offsets up to `upto`.
SELECT seq, receipt, feed_version, state, bytes
FROM payloads FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND state IN ('applied', 'poison')
    AND format != 'deletion' AND seq <= {upto:UInt64}
    AND received_at >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
    AND received_at < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
ORDER BY seq

-- name: replay_by_receipt
-- The payloads of these receipts, with offsets up to `upto`.
SELECT seq, receipt, feed_version, state, bytes
FROM payloads FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND state != 'deleted'
    AND format != 'deletion' AND seq <= {upto:UInt64}
    AND receipt IN {receipts:Array(String)}
ORDER BY seq

-- name: replay_by_rejection
-- The payloads with rejected records that match, with offsets up to `upto`. Empty text: no filter.
SELECT seq, receipt, feed_version, state, bytes
FROM payloads FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND state != 'deleted' AND format != 'deletion'
    AND seq <= {upto:UInt64}
    AND seq IN (
        SELECT seq FROM rejections FINAL
        WHERE tenant = {tenant:String} AND feed = {feed:String} AND recovered_by = ''
            AND ({reason:String} = '' OR has(reasons, {reason:String}))
            AND ({receipt:String} = '' OR receipt = {receipt:String})
            AND received_at >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
            AND received_at < fromUnixTimestamp64Nano({end:Int64}, 'UTC'))
ORDER BY seq

-- name: replay_by_offset
-- The applied payloads at these offsets.
SELECT seq, receipt, feed_version, state, bytes
FROM payloads FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND state = 'applied' AND seq IN {seqs:Array(UInt64)}
ORDER BY seq

-- name: replay_applied
-- The offsets of all applied payloads of a feed from `low` to `high` (both included).
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND state = 'applied'
    AND seq BETWEEN {low:UInt64} AND {high:UInt64}

-- name: replay_applied_last
-- The payloads of all tenants with offsets above `after`, up to `upto`, that a replay applied last, and under which
-- version of the feed.
SELECT receipt, feed_version, toString(replay) AS replay
FROM payloads FINAL
WHERE seq > {after:UInt64} AND seq <= {upto:UInt64} AND replay != '' AND state = 'applied'

-- name: replay_superseded
-- The payloads with a duplicate that a record of these payloads superseded.
SELECT DISTINCT seq, winner_seq
FROM rejections FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND has(reasons, 'duplicate') AND recovered_by = ''
    AND winner_seq BETWEEN {low:UInt64} AND {high:UInt64}
    AND (NOT {sparse:Bool} OR winner_seq IN {seqs:Array(UInt64)})

-- name: replay_replaced
-- The values that these payloads replaced, and the values of these payloads that were replaced.
SELECT series, toUnixTimestamp64Nano(time) AS time_ns, seq, idx, by_seq, by_idx
FROM replaced FINAL
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND ((by_seq BETWEEN {low:UInt64} AND {high:UInt64} AND (NOT {sparse:Bool} OR by_seq IN {seqs:Array(UInt64)}))
        OR (seq BETWEEN {low:UInt64} AND {high:UInt64} AND (NOT {sparse:Bool} OR seq IN {seqs:Array(UInt64)})))

-- name: replay_rejections
-- All rejections of these payloads, recovered ones too.
SELECT seq, idx, receipt, toUnixTimestamp64Nano(received_at) AS received_ns,
    toUnixTimestamp64Nano(time) AS time_ns, CAST(reasons AS Array(String)) AS reasons, detail, record,
    rules_version, series, winner_seq, winner_idx, toString(recovered_by) AS recovered_by,
    toUnixTimestamp64Nano(recovered_at) AS recovered_ns
FROM rejections FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq BETWEEN {low:UInt64} AND {high:UInt64}
    AND (NOT {sparse:Bool} OR seq IN {seqs:Array(UInt64)})

-- name: replay_points
-- Every version of the points of these payloads.
SELECT series, toUnixTimestamp64Nano(time) AS time_ns, ordinal, seq, idx, value, version,
    toUnixTimestamp64Nano(received_at) AS received_ns
FROM points
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND seq BETWEEN {low:UInt64} AND {high:UInt64}
    AND (NOT {sparse:Bool} OR seq IN {seqs:Array(UInt64)})

-- name: replay_points_between
-- Every version of the points of these series in a range of time (both ends included).
SELECT series, toUnixTimestamp64Nano(time) AS time_ns, ordinal, seq, idx, value, version,
    toUnixTimestamp64Nano(received_at) AS received_ns
FROM points
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')

-- name: replay_counts_between
-- How many rows of points each of these series has in a range of time (both ends included).
SELECT series, count() AS n
FROM points
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
GROUP BY series

-- name: replay_windows
-- The current points in these windows.
SELECT series, toUnixTimestamp64Nano(time) AS time_ns, ordinal, seq, idx, value, version
FROM points FINAL
WHERE tenant = {tenant:String}
    AND (series, toStartOfInterval(time, toIntervalSecond({every_s:UInt32}))) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)},
            arrayMap(t -> fromUnixTimestamp64Nano(t, 'UTC'), {windows:Array(Int64)}))))
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: replay_published_at
-- The highest index of the change events at this offset.
SELECT max(idx) AS idx FROM changes WHERE tenant = {tenant:String} AND seq = {seq:UInt64}

-- name: replay_purge_points
-- Purges these points: of each the row of one record.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND (series, toUnixTimestamp64Nano(time), ordinal, seq, idx) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)}, {times:Array(Int64)}, {ordinals:Array(Int64)},
            {seqs:Array(UInt64)}, {idxs:Array(UInt32)})))

-- name: replay_purge_replaced
-- Purges these replaced values: of each the row of one record.
DELETE FROM replaced
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND (series, toUnixTimestamp64Nano(time), seq, idx) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)}, {times:Array(Int64)}, {seqs:Array(UInt64)},
            {idxs:Array(UInt32)})))

-- name: replay_purge_rejections
-- Purges the rejections of these payloads.
DELETE FROM rejections
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)}

-- name: replay_outcomes
-- Writes the new outcomes of these payloads; `reasons` are JSON objects; -1 and the least time: not known.
INSERT INTO payloads
SELECT * REPLACE (
    'applied' AS state,
    toUInt32(transform(seq, {seqs:Array(UInt64)}, {accepted:Array(UInt64)}, toUInt64(0))) AS accepted,
    toUInt32(transform(seq, {seqs:Array(UInt64)}, {rejected:Array(UInt64)}, toUInt64(0))) AS rejected,
    CAST(JSONExtract(transform(seq, {seqs:Array(UInt64)}, {reasons:Array(String)}, '{}'), 'Map(String, UInt32)'),
        'Map(LowCardinality(String), UInt32)') AS reasons,
    if(transform(seq, {seqs:Array(UInt64)}, {nulls:Array(Int64)}, toInt64(-1)) < 0, NULL,
        toUInt32(transform(seq, {seqs:Array(UInt64)}, {nulls:Array(Int64)}, toInt64(0)))) AS nulls,
    if(transform(seq, {seqs:Array(UInt64)}, {late:Array(Int64)}, toInt64(-1)) < 0, NULL,
        toUInt32(transform(seq, {seqs:Array(UInt64)}, {late:Array(Int64)}, toInt64(0)))) AS late,
    if(transform(seq, {seqs:Array(UInt64)}, {flagged:Array(Int64)}, toInt64(-1)) < 0, NULL,
        toUInt32(transform(seq, {seqs:Array(UInt64)}, {flagged:Array(Int64)}, toInt64(0)))) AS flagged,
    if(transform(seq, {seqs:Array(UInt64)}, {first_time:Array(Int64)}, toInt64(0)) < -9e18, NULL, fromUnixTimestamp64Nano(
        transform(seq, {seqs:Array(UInt64)}, {first_time:Array(Int64)}, toInt64(0)), 'UTC')) AS first_time,
    if(transform(seq, {seqs:Array(UInt64)}, {last_time:Array(Int64)}, toInt64(0)) < -9e18, NULL, fromUnixTimestamp64Nano(
        transform(seq, {seqs:Array(UInt64)}, {last_time:Array(Int64)}, toInt64(0)), 'UTC')) AS last_time,
    toUInt32(transform(seq, {seqs:Array(UInt64)}, {versions:Array(UInt64)}, toUInt64(0))) AS feed_version,
    {replay:String} AS replay,
    {version:UInt64} AS version)
FROM (
    SELECT * FROM payloads FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)})

-- name: replay_plan_replays
-- Every replay with a stored plan.
SELECT DISTINCT tenant, replay, feed FROM replay_plans

-- name: replay_plan_parts
-- The parts of a replay's plan.
SELECT name, part FROM replay_plans FINAL
WHERE tenant = {tenant:String} AND replay = {replay:String}
ORDER BY name, part

-- name: replay_plan_part
-- The content of one part of a replay's plan.
SELECT content FROM replay_plans
WHERE tenant = {tenant:String} AND replay = {replay:String} AND name = {name:String} AND part = {part:UInt32}
LIMIT 1

-- name: replay_plan_drop
-- Removes a replay's plan, from disk, too.
ALTER TABLE replay_plans DROP PARTITION ({tenant:String}, {replay:String})
