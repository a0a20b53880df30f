-- The evidence of a page of rollup windows: how many points were to be expected, and why some are missing.

-- name: evidence_spacing
-- The usual time from one point to the next of each of these series: the median spacing of its last 1,000 points in a
-- range of time, which begins at `first`, or later as `firsts` (ns) of each series say. No row for a series with fewer than three points there.
SELECT series, toInt64(arrayReduce('quantileExact', spacings)) AS spacing_ns
FROM (
    SELECT series,
        arrayFilter(d -> d > 0, arrayPopFront(arrayDifference(arraySort(groupArray(ns))))) AS spacings
    FROM (
        SELECT series, toUnixTimestamp64Nano(time) AS ns
        FROM points FINAL
        WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
          AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
          AND (arrayUniq({firsts:Array(Int64)}) = 1 OR toUnixTimestamp64Nano(time)
              >= transform(series, {series:Array(UInt64)}, {firsts:Array(Int64)}, {first:Int64}))
          AND isNotNull(value)
        ORDER BY series, time DESC
        LIMIT 1000 BY series)
    GROUP BY series)
WHERE length(spacings) >= 2

-- name: evidence_rejected
-- How many records of these series were rejected in each window, and have not been recovered.
SELECT series_id AS series, toUnixTimestamp64Nano(assumeNotNull(time))
        - positiveModulo(toUnixTimestamp64Nano(assumeNotNull(time)), {every_ns:Int64}) AS window_ns,
    count() AS n
FROM rejections FINAL
ARRAY JOIN series AS series_id
WHERE tenant = {tenant:String} AND feed = {feed:String} AND recovered_by = '' AND isNotNull(time)
  AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
  AND series_id IN {series:Array(UInt64)}
GROUP BY series_id, window_ns

-- name: evidence_polls
-- The results of the polls of a feed's source, by the window in which they began. A poll failed unless the source
-- answered with data, or that there is none.
SELECT toUnixTimestamp64Nano(started_at) - positiveModulo(toUnixTimestamp64Nano(started_at), {every_ns:Int64}) AS window_ns,
    count() AS polls, countIf(result IN ('data', 'truncated')) AS data, countIf(result IN ('empty', 'unchanged')) AS empty,
    count() - data - empty AS failed
FROM polls FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String}
  AND started_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND started_at < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
GROUP BY window_ns
