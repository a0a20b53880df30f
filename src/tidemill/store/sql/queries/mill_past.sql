-- Queries for rules that look back: the accepted points of series as of an offset of the log. A point that was replaced
-- since is in `replaced`. Without FINAL: every version that is still stored is wanted.

-- name: mill_past
-- The points of these series from `start` to `stop` (both included) with offsets below `before_seq`, each as often as
-- it was submitted. `deleted_seqs`: for each series the offset up to which it was deleted.
SELECT series, toUnixTimestamp64Nano(at) AS time, seq, idx, value
FROM (
    SELECT series, time AS at, seq, idx, value
    FROM points
    WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
        AND points.time >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
        AND points.time <= fromUnixTimestamp64Nano({stop:Int64}, 'UTC')
        AND seq < {before_seq:UInt64}
    UNION ALL
    SELECT series, time AS at, seq, idx, value
    FROM replaced
    WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
        AND replaced.time >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
        AND replaced.time <= fromUnixTimestamp64Nano({stop:Int64}, 'UTC')
        AND seq < {before_seq:UInt64})
WHERE seq > transform(series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))

-- name: mill_past_rejected
-- The times of records of these series, from `start` to `stop` (both included), with offsets below `before_seq`, that
-- are rejected for reasons all of which are among `codes`. With FINAL: a record that a replay recovered is no longer.
SELECT id AS series, toUnixTimestamp64Nano(assumeNotNull(time)) AS time, seq
FROM rejections FINAL
ARRAY JOIN rejections.series AS id
WHERE tenant = {tenant:String} AND feed = {feed:String} AND id IN {series:Array(UInt64)}
    AND rejections.time >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
    AND rejections.time <= fromUnixTimestamp64Nano({stop:Int64}, 'UTC')
    AND seq < {before_seq:UInt64} AND recovered_by = ''
    AND notEmpty(reasons) AND hasAll({codes:Array(String)}, CAST(reasons AS Array(String)))
    AND seq > transform(id, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))

-- name: mill_past_latest
-- For each of these series the latest time, at or after `since`, of a value with an offset below `before_seq`.
SELECT series, toUnixTimestamp64Nano(max(at)) AS time
FROM (
    SELECT series, time AS at, seq
    FROM points
    WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
        AND points.time >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')
        AND seq < {before_seq:UInt64} AND value IS NOT NULL
    UNION ALL
    SELECT series, time AS at, seq
    FROM replaced
    WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
        AND replaced.time >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')
        AND seq < {before_seq:UInt64} AND value IS NOT NULL)
WHERE seq > transform(series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))
GROUP BY series
