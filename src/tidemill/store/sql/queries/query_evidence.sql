-- The evidence of a page of rollup windows: what a window should have held, and what became of the rest.

-- name: evidence_spacing
-- The usual time from one point to the next of each of these series: the median spacing of its last 1,000 points in a
-- stretch of time. No row for one with fewer than three points there.
SELECT series, toInt64(arrayReduce('quantileExact', spacings)) AS spacing_ns
FROM (
    SELECT series,
        arrayFilter(d -> d > 0, arrayPopFront(arrayDifference(arraySort(groupArray(ns))))) AS spacings
    FROM (
        SELECT series, toUnixTimestamp64Nano(time) AS ns
        FROM points FINAL
        WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
          AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
          AND isNotNull(value)
        ORDER BY series, time DESC
        LIMIT 1000 BY series)
    GROUP BY series)
WHERE length(spacings) >= 2

-- name: evidence_rejected
-- How many records of these series were rejected in each window, and have not been recovered.
SELECT one AS series, toUnixTimestamp64Nano(assumeNotNull(time))
        - positiveModulo(toUnixTimestamp64Nano(assumeNotNull(time)), {every_ns:Int64}) AS window_ns,
    count() AS n
FROM rejections FINAL
ARRAY JOIN series AS one
WHERE tenant = {tenant:String} AND feed = {feed:String} AND recovered_by = '' AND isNotNull(time)
  AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
  AND one IN {series:Array(UInt64)}
GROUP BY one, window_ns

-- name: evidence_polls
-- What came of the polls of a feed's source, by the window in which they began. Failed: anything but an answer that says
-- what there is.
SELECT toUnixTimestamp64Nano(started_at) - positiveModulo(toUnixTimestamp64Nano(started_at), {every_ns:Int64}) AS window_ns,
    count() AS polls, countIf(result IN ('data', 'truncated')) AS data, countIf(result IN ('empty', 'unchanged')) AS empty,
    count() - data - empty AS failed
FROM polls FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String}
  AND started_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND started_at < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
GROUP BY window_ns
