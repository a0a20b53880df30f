-- Rollup windows: their values by the current points, their published values, and their values without deleted points.
-- Windows are bound as begins in ns, side by side with their series.

-- fragment: window_aggregate_names
-- The aggregates of a rollup window: every column of table `rollups` that follows from the values in it.
count, mean, min, max, sum

-- fragment: window_aggregates
-- The same, computed from `value` of the points that stand in a window; zeros where no point has one. A mean is never
-- outside what it is the mean of, as rounding would have it (three times 1.4).
count(value) AS count,
if(count = 0, 0, least(greatest(sum / count, min), max)) AS mean,
ifNull(min(value), 0) AS min,
ifNull(max(value), 0) AS max,
ifNull(sumKahan(value), 0) AS sum

-- name: mill_window_values
-- Windows as the points that stand make them; one without a point has no row. The set of windows prunes by primary key:
-- rounding a time down is monotonic. Late is a point that was received more than `late_ns` after the begin of its window.
SELECT series, toUnixTimestamp64Nano(toDateTime64(begin, 9, 'UTC')) AS window_ns,
    -- include: window_aggregates
    ,
    countIf(isNotNull(value) AND toUnixTimestamp64Nano(received_at)
        - toUnixTimestamp64Nano(toDateTime64(begin, 9, 'UTC')) > {late_ns:Int64}) AS late
FROM points FINAL
WHERE tenant = {tenant:String}
    AND (series, toStartOfInterval(time, toIntervalSecond({every_s:UInt32}))) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)},
            arrayMap(t -> fromUnixTimestamp64Nano(t, 'UTC'), {windows:Array(Int64)}))))
    AND seq > transform(series, {deleted_series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))
GROUP BY series, toStartOfInterval(time, toIntervalSecond({every_s:UInt32})) AS begin
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: mill_window_rows
-- Windows as they are published.
SELECT series, toUnixTimestamp64Nano(window) AS window_ns, late,
    toUnixTimestamp64Nano(restated_at) AS restated_ns, sealed, sealed_seq,
    -- include: window_aggregate_names
FROM rollups FINAL
WHERE tenant = {tenant:String} AND every_s = {every_s:UInt32}
    AND (series, window) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)},
            arrayMap(w -> fromUnixTimestamp64Nano(w, 'UTC'), {windows:Array(Int64)}))))

-- name: mill_announced_windows
-- The last announced change of each of these windows, by payloads from `from_seq` on.
SELECT series, toUnixTimestamp64Nano(time) AS window_ns, argMax(tuple(new), (seq, idx)).1 AS mean,
    argMax(new_count, (seq, idx)) AS count, toUnixTimestamp64Nano(argMax(changed_at, (seq, idx))) AS changed_ns
FROM changes FINAL
WHERE tenant = {tenant:String} AND seq >= {from_seq:UInt64} AND every_s = {every_s:UInt32}
    AND (series, time) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)},
            arrayMap(w -> fromUnixTimestamp64Nano(w, 'UTC'), {windows:Array(Int64)}))))
GROUP BY series, time

-- name: mill_announced_points
-- The announced changes of points by these payloads (those of replays are left out).
SELECT seq, idx, series, toUnixTimestamp64Nano(time) AS time_ns, old, new, old_count, new_count, toString(why) AS why
FROM changes FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND every_s = 0 AND feed = {feed:String} AND replay = ''

-- name: mill_highest_change
-- The highest offset from `low` to `high` in the log (both included) that has a change event.
SELECT max(c.seq) AS seq FROM changes AS c WHERE c.seq >= {low:UInt64} AND c.seq <= {high:UInt64}

-- name: mill_purge_payload_changes
-- Purges the change events of one payload.
DELETE FROM changes
WHERE tenant = {tenant:String} AND seq = {seq:UInt64} AND
    -- include: owned

-- name: mill_rollups_without_payload
-- Recompute the windows that hold points of one payload as if these were not there. Before they go: then a crash
-- between leaves what says which windows they are. Sealed windows stay.
INSERT INTO rollups (tenant, series, every_s, window, late, restated_at, sealed, sealed_seq, version,
    -- include: window_aggregate_names
)
WITH
    hit AS (
        SELECT DISTINCT p.series AS series, e.every_s AS every_s, p.t - positiveModulo(p.t, e.every_s * 1000000000) AS begin
        FROM (
            SELECT series, toUnixTimestamp64Nano(time) AS t FROM points
            WHERE
                -- include: owned_or_refused
                AND tenant = {tenant:String} AND seq = {seq:UInt64}) AS p
        INNER JOIN (SELECT series, every_s FROM rollups FINAL WHERE tenant = {tenant:String} AND NOT sealed
            GROUP BY series, every_s) AS e ON p.series = e.series),
    published AS (
        SELECT series, every_s, toUnixTimestamp64Nano(window) AS begin, restated_at
        FROM rollups FINAL
        WHERE tenant = {tenant:String} AND series IN (SELECT series FROM hit) AND isNotNull(restated_at)),
    rest AS (
        SELECT series, toUnixTimestamp64Nano(time) AS t, tupleElement(argMax(tuple(value), version), 1) AS value,
            toUnixTimestamp64Nano(argMax(received_at, version)) AS received
        FROM points
        WHERE tenant = {tenant:String} AND seq != {seq:UInt64} AND series IN (SELECT series FROM hit)
            AND (tenant, series, seq) NOT IN (
                SELECT q.tenant, q.series, q.seq FROM points AS q
                INNER JOIN (SELECT series, deleted_seq FROM series FINAL
                    WHERE tenant = {tenant:String} AND deleted_seq > 0) AS d ON q.series = d.series
                WHERE q.tenant = {tenant:String} AND q.seq <= d.deleted_seq)
        GROUP BY series, time, ordinal)
SELECT {tenant:String}, h.series, h.every_s, fromUnixTimestamp64Nano(h.begin, 'UTC'),
    countIf(isNotNull(value) AND r.received - h.begin > h.every_s * 1000000000 + {late_ns:Int64}), any(o.restated_at),
    false, 0, {version:UInt64},
    -- include: window_aggregates
FROM hit AS h
LEFT JOIN rest AS r ON h.series = r.series AND h.begin = r.t - positiveModulo(r.t, h.every_s * 1000000000)
LEFT JOIN published AS o ON h.series = o.series AND h.every_s = o.every_s AND h.begin = o.begin
GROUP BY h.series, h.every_s, h.begin
SETTINGS join_use_nulls = 1

-- name: mill_empty_rollups
-- The rollups of deleted series: every window gets a row without points (its aggregates
-- are their defaults, 0), and is sealed no more: the series begins anew.
INSERT INTO rollups (tenant, series, every_s, window, sealed, sealed_seq, version)
SELECT tenant, series, every_s, window, false, 0, {version:UInt64}
FROM rollups FINAL
WHERE
    -- include: owned_or_refused
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND (count > 0 OR sealed)
