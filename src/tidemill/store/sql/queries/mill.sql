-- What the mill asks of the store and tells it. Times are bound and answered as ns since the epoch (Int64).
-- (`time_ns`, not `time`: an alias would hide the column from WHERE.)
-- Look-ups by exact key go without FINAL: they return few rows, and the mill picks the one that stands.

-- name: mill_highest
-- The highest payload that the store knows of, and the highest version that anything of ours was given.
SELECT
    (SELECT max(seq) FROM payloads) AS seq,
    greatest((SELECT max(version) FROM payloads), (SELECT max(version) FROM rollups)) AS version

-- name: mill_series
-- What the store knows of these series.
SELECT series, feed, name, unit, description, deleted, deleted_seq, version,
    toUnixTimestamp64Nano(created_at) AS created_ns
FROM series FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}

-- name: mill_latest
-- The latest instant of each of these series, if it has any at or after `since`.
SELECT series, toUnixTimestamp64Nano(max(time)) AS latest
FROM points
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND time >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')
GROUP BY series

-- name: mill_sealed_until
-- The latest sealed window of each of these series that has one. FINAL: a window of a deleted series is sealed no more.
SELECT series, toUnixTimestamp64Nano(max(window)) AS sealed_until
FROM rollups FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND sealed
GROUP BY series

-- name: mill_sealed
-- Which of these windows are sealed, and the last payload that could count for each.
SELECT series, toUnixTimestamp64Nano(window) AS window_ns, sealed_seq
FROM rollups FINAL
WHERE tenant = {tenant:String} AND every_s = {every_s:UInt32} AND sealed
    AND (series, window) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)},
            arrayMap(w -> fromUnixTimestamp64Nano(w, 'UTC'), {windows:Array(Int64)}))))

-- name: mill_standing
-- Every version of the points at these instants.
SELECT series, toUnixTimestamp64Nano(time) AS time_ns, ordinal, seq, idx, value, version,
    toUnixTimestamp64Nano(received_at) AS received_ns
FROM points
WHERE tenant = {tenant:String}
    AND (series, time) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)},
            arrayMap(t -> fromUnixTimestamp64Nano(t, 'UTC'), {times:Array(Int64)}))))

-- name: mill_payloads
-- The payloads at these places, with their bytes in hexadecimal.
SELECT seq, receipt, feed_version, format, state, toUnixTimestamp64Nano(received_at) AS received_ns, hex(body) AS body
FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)}

-- name: mill_applied
-- Which of these payloads were applied already.
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state = 'applied'

-- name: mill_settled
-- The records of these payloads that lost to a duplicate or came too late for their window (recovered ones did not).
SELECT seq, idx, reasons, detail, winner_seq, winner_idx
FROM rejections FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)}
    AND hasAny(reasons, ['duplicate', 'window_sealed']) AND recovered_by = ''

-- name: mill_repoint
-- Duplicates of a record that now lost itself become duplicates of the one it lost to.
INSERT INTO rejections
SELECT * REPLACE (
    {winner_seqs:Array(UInt64)}[place] AS winner_seq,
    {winner_idxs:Array(UInt32)}[place] AS winner_idx,
    -toInt64(bitOr(bitShiftLeft({winner_seqs:Array(UInt64)}[place], 20), {winner_idxs:Array(UInt32)}[place])) AS version)
FROM (
    SELECT *
    FROM rejections FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq >= arrayMin({seqs:Array(UInt64)})
        AND has(reasons, 'duplicate')
        AND has(arrayZip({seqs:Array(UInt64)}, {idxs:Array(UInt32)}), (winner_seq, winner_idx)))
ARRAY JOIN [indexOf(arrayZip({seqs:Array(UInt64)}, {idxs:Array(UInt32)}), (winner_seq, winner_idx))] AS place

-- name: mill_restate
-- Count the outcome of applied payloads again, from the rejections that there are now.
INSERT INTO payloads
SELECT tenant, receipt, seq, feed, feed_version, received_at, format, bytes, sha256, state,
    toUInt32(accepted + rejected - r.n), toUInt32(r.n), r.by_reason, faults, body, replay, {version:UInt64}
FROM (
    SELECT * FROM payloads FINAL
    WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state = 'applied') AS p
INNER JOIN (
    SELECT seq AS of, count() AS n,
        CAST(sumMap(reasons, arrayMap(x -> toUInt32(1), reasons)), 'Map(LowCardinality(String), UInt32)') AS by_reason
    FROM rejections FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)} AND recovered_by = ''
    GROUP BY seq) AS r ON p.seq = r.of

-- name: mill_rollups
-- Recompute windows from the points that stand. The set of windows prunes by primary key: rounding a time down is
-- monotonic. No join with the windows asked for: it doubles the cost, and a window never loses its last point here.
-- A mean is never outside what it is the mean of, as rounding would have it (three times 1.4).
INSERT INTO rollups (tenant, series, every_s, window, count, mean, min, max, sum, sealed, sealed_seq, version)
SELECT {tenant:String}, series, {every_s:UInt32}, begin, n, if(n = 0, 0, least(greatest(total / n, low), high)), low, high,
    total, {sealed_seq:UInt64} > 0, {sealed_seq:UInt64}, {version:UInt64}
FROM (
    SELECT series, toStartOfInterval(time, toIntervalSecond({every_s:UInt32})) AS begin,
        count(value) AS n, ifNull(min(value), 0) AS low, ifNull(max(value), 0) AS high,
        ifNull(sumKahan(value), 0) AS total
    FROM points FINAL
    WHERE tenant = {tenant:String}
        AND (series, toStartOfInterval(time, toIntervalSecond({every_s:UInt32}))) IN (
            SELECT arrayJoin(arrayZip({series:Array(UInt64)},
                arrayMap(t -> fromUnixTimestamp64Nano(t, 'UTC'), {windows:Array(Int64)}))))
        AND seq > transform(series, {deleted_series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))
    GROUP BY series, begin)
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: mill_rollups_without
-- Recompute the windows that hold points of one payload as if these were not there. Before they go: then a crash
-- between leaves what says which windows they are. Sealed windows stay.
INSERT INTO rollups (tenant, series, every_s, window, count, mean, min, max, sum, sealed, sealed_seq, version)
WITH
    hit AS (
        SELECT DISTINCT p.series AS series, e.every_s AS every_s, p.t - positiveModulo(p.t, e.every_s * 1000000000) AS begin
        FROM (SELECT series, toUnixTimestamp64Nano(time) AS t FROM points
            WHERE tenant = {tenant:String} AND seq = {seq:UInt64}) AS p
        INNER JOIN (SELECT series, every_s FROM rollups FINAL WHERE tenant = {tenant:String} AND NOT sealed
            GROUP BY series, every_s) AS e ON p.series = e.series),
    rest AS (
        SELECT series, toUnixTimestamp64Nano(time) AS t, tupleElement(argMax(tuple(value), version), 1) AS value
        FROM points
        WHERE tenant = {tenant:String} AND seq != {seq:UInt64} AND series IN (SELECT series FROM hit)
            AND (tenant, series, seq) NOT IN (
                SELECT q.tenant, q.series, q.seq FROM points AS q
                INNER JOIN (SELECT series, deleted_seq FROM series FINAL
                    WHERE tenant = {tenant:String} AND deleted_seq > 0) AS d ON q.series = d.series
                WHERE q.tenant = {tenant:String} AND q.seq <= d.deleted_seq)
        GROUP BY series, time, ordinal)
SELECT {tenant:String}, h.series, h.every_s, fromUnixTimestamp64Nano(h.begin, 'UTC'), count(r.value),
    ifNull(avg(r.value), 0), ifNull(min(r.value), 0), ifNull(max(r.value), 0), ifNull(sum(r.value), 0),
    false, 0, {version:UInt64}
FROM hit AS h
LEFT JOIN rest AS r ON h.series = r.series AND h.begin = r.t - positiveModulo(r.t, h.every_s * 1000000000)
GROUP BY h.series, h.every_s, h.begin
SETTINGS join_use_nulls = 1

-- name: mill_withdraw_points
-- Remove the points of one payload from disk.
DELETE FROM points WHERE tenant = {tenant:String} AND seq = {seq:UInt64}

-- name: mill_withdraw_rejections
-- Remove what was said of the records of one payload.
DELETE FROM rejections WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq = {seq:UInt64}

-- name: mill_points_of
-- How many points one payload left.
SELECT count() AS n FROM points WHERE tenant = {tenant:String} AND seq = {seq:UInt64}

-- name: mill_empty_rollups
-- The rollups of deleted series: every window gets a row with count 0, and is sealed no more: the series begins anew.
INSERT INTO rollups (tenant, series, every_s, window, count, mean, min, max, sum, sealed, sealed_seq, version)
SELECT tenant, series, every_s, window, 0, 0, 0, 0, 0, false, 0, {version:UInt64}
FROM rollups FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND (count > 0 OR sealed)

-- name: mill_deleted
-- Deleted series whose points are still on disk.
SELECT tenant, series, deleted_seq
FROM (SELECT tenant, series, deleted_seq FROM series FINAL WHERE deleted_seq > 0) AS gone
WHERE (tenant, series) IN (
    SELECT p.tenant, p.series
    FROM points AS p
    INNER JOIN (SELECT tenant, series, deleted_seq FROM series FINAL WHERE deleted_seq > 0) AS d
        ON p.tenant = d.tenant AND p.series = d.series
    WHERE (p.tenant, p.series) IN (SELECT tenant, series FROM series WHERE deleted_seq > 0) AND p.seq <= d.deleted_seq)
ORDER BY tenant, series
LIMIT {limit:UInt32}

-- name: mill_delete_series
-- Mark series as deleted up to these payloads; a row that a later payload wrote stays alive.
INSERT INTO series
SELECT * REPLACE (
    version <= up_to AS deleted,
    greatest(deleted_seq, up_to) AS deleted_seq,
    greatest(version, up_to) AS version)
FROM (SELECT * FROM series FINAL WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)})
ARRAY JOIN [transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))] AS up_to

-- name: mill_purge_points
-- Remove the points of deleted series from disk.
DELETE FROM points
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq <= transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))

-- name: mill_purge_replaced
-- Remove the replaced values of deleted series from disk.
DELETE FROM replaced
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq <= transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))

-- name: mill_feeds
-- Every feed that has series.
SELECT DISTINCT tenant, feed FROM series ORDER BY tenant, feed

-- name: mill_newest_received
-- When the newest payload was received; 0 if there is none.
SELECT toUnixTimestamp64Nano(max(received_at)) AS received_ns FROM payloads

-- name: mill_expired_windows
-- Windows of a feed with a point that was received before `before`.
SELECT series, toUnixTimestamp64Nano(toDateTime64(
    toStartOfInterval(time, toIntervalSecond({every_s:UInt32})), 9, 'UTC')) AS window_ns
FROM points
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC')
GROUP BY series, window_ns
ORDER BY series, window_ns
LIMIT {limit:UInt32}
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: mill_delete_windows
-- Remove all points of these windows from disk.
DELETE FROM points
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND (series, toUnixTimestamp64Nano(time) - positiveModulo(toUnixTimestamp64Nano(time), {every_ns:Int64})) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)}, {windows:Array(Int64)})))

-- name: mill_expired_count
-- How many points of a feed were received before `before`.
SELECT count() AS n
FROM points
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC')

-- name: mill_delete_expired
-- Remove the points of a feed that were received before `before` from disk.
DELETE FROM points
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC')
