-- The evidence of windows of several series: what of their points is doubtful or late, and why others have no points.

-- fragment: gap_points_judged
-- The series of a point, whether a rule flagged it, and whether it was late. `rollup_ns` and `late_ns` of each series: the
-- length of its feed's rollup windows, and how long after the begin of such a window a point of it is late.
p.series AS series, notEmpty(p.marks) AS is_flagged,
    toUnixTimestamp64Nano(p.received_at) - (toUnixTimestamp64Nano(p.time)
        - positiveModulo(toUnixTimestamp64Nano(p.time), if(arrayUniq({rollup_ns:Array(Int64)}) = 1,
            {rollup_ns:Array(Int64)}[1],
            transform(p.series, {series:Array(UInt64)}, {rollup_ns:Array(Int64)}, toInt64(1)))))
        > if(arrayUniq({late_ns:Array(Int64)}) = 1, {late_ns:Array(Int64)}[1],
            transform(p.series, {series:Array(UInt64)}, {late_ns:Array(Int64)}, toInt64(0))) AS is_late

-- name: gap_suspects
-- The series with a row that is flagged or late, also one that another row replaced: without FINAL, in a tenth of the time.
SELECT series
FROM (
    SELECT
        -- include: gap_points_judged
    FROM points AS p
    -- include: points_of_series_chosen
)
WHERE is_flagged OR is_late
GROUP BY series

-- name: gap_points
-- For each series and window (begins in ns, ascending, all of them) with such points: how many of its points a rule
-- flagged, and how many were late.
SELECT series, window AS ns, countIf(is_flagged) AS flagged, countIf(is_late) AS late
FROM (
    SELECT roundDown(toUnixTimestamp64Nano(p.time) - {closed_right:Int64}, {begins:Array(Int64)}) AS window,
        -- include: gap_points_judged
    -- include: points_of_series
)
WHERE is_flagged OR is_late
GROUP BY series, window

-- name: gap_facts
-- For each series and window (begins in ns, ascending, all of them): how many records were rejected (and not recovered),
-- how often a published value of it changed (of its points and of the rollup windows that begin in it), how many
-- published points were deleted, and whether a sealed rollup had points there.
SELECT series, roundDown(at, {begins:Array(Int64)}) AS ns, sum(rejected) AS rejected, sum(restated) AS restated,
    sum(deleted) AS deleted, sum(sealed) AS sealed
FROM (
    SELECT series_id AS series, toUnixTimestamp64Nano(assumeNotNull(time)) - {closed_right:Int64} AS at,
        toUInt64(1) AS rejected, toUInt64(0) AS restated, toUInt64(0) AS deleted, toUInt64(0) AS sealed
    FROM rejections FINAL
    ARRAY JOIN series AS series_id
    WHERE tenant = {tenant:String} AND feed IN {feeds:Array(String)} AND recovered_by = '' AND isNotNull(time)
      AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
      AND series_id IN {series:Array(UInt64)}
    UNION ALL
    SELECT series, toUnixTimestamp64Nano(time) - if(every_s = 0, {closed_right:Int64}, 0), 0,
        toUInt64(seq > transform(series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))),
        toUInt64(every_s = 0 AND why = 'deleted'), 0
    FROM changes FINAL
    WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
      AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
    UNION ALL
    SELECT series, toUnixTimestamp64Nano(window), 0, 0, 0, 1
    FROM rollups FINAL
    WHERE tenant = {tenant:String} AND sealed AND count > 0 AND series IN {series:Array(UInt64)}
      AND window >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
      AND window <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
)
GROUP BY series, ns

-- name: gap_polls
-- The results of the polls of feeds by the window in which they began, as evidence_polls has them.
SELECT toString(feed) AS feed, roundDown(toUnixTimestamp64Nano(started_at), {begins:Array(Int64)}) AS ns,
    countIf(result IN ('data', 'truncated')) AS data, countIf(result IN ('empty', 'unchanged')) AS empty,
    count() - data - empty AS failed
FROM polls FINAL
WHERE tenant = {tenant:String} AND feed IN {feeds:Array(String)}
  AND started_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND started_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
GROUP BY feed, ns

-- name: gap_doubts
-- The feeds of which something may have come for a range of time that left no trace by time and series: null values,
-- rejected records without a time or a series, payloads set aside, deleted, or not searchable by time.
SELECT DISTINCT toString(feed) AS feed
FROM (
    SELECT feed FROM payloads FINAL
    WHERE tenant = {tenant:String} AND feed IN {feeds:Array(String)}
      AND (state IN ('poison', 'deleted') OR state = 'applied' AND accepted > 0 AND isNull(nulls)
           OR nulls > 0 AND first_time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
              AND last_time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC'))
    UNION ALL
    SELECT feed FROM rejections FINAL
    WHERE tenant = {tenant:String} AND feed IN {feeds:Array(String)} AND recovered_by = ''
      AND (isNull(time) OR empty(series) AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
           AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC'))
)
