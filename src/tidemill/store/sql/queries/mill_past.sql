-- What the rules that need the past ask of the store: the accepted points of series as of a place in the log. A point
-- that another replaced since is in `replaced`. Without FINAL: every version that is still there is asked for.

-- name: mill_past
-- The points of these series from `start` to `stop` (both included) that were submitted before `before_seq`, each as
-- often as it was submitted. `gone`: of each series, up to which payload it was deleted.
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
WHERE seq > transform(series, {series:Array(UInt64)}, {gone:Array(UInt64)}, toUInt64(0))

-- name: mill_past_latest
-- Of each of these series the latest time of a value, at or after `since`, that was submitted before `before_seq`.
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
WHERE seq > transform(series, {series:Array(UInt64)}, {gone:Array(UInt64)}, toUInt64(0))
GROUP BY series
