-- What the mill asks of the store and tells it. Times are bound and answered as ns since the epoch (Int64).
-- (`time_ns`, not `time`: an alias would hide the column from WHERE.)
-- Look-ups by exact key go without FINAL: they return few rows, and the mill picks the one that stands.

-- name: mill_highest
-- The highest payload from `low` to `high` in the log (both included) that the store knows of, and the highest version
-- that anything of ours was given.
SELECT
    (SELECT max(p.seq) FROM payloads AS p WHERE p.seq >= {low:UInt64} AND p.seq <= {high:UInt64}) AS seq,
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
-- The latest sealed and the latest restated window of each of these series that has one (null: none). FINAL: a window of
-- a deleted series is sealed no more.
SELECT series, toUnixTimestamp64Nano(maxOrNullIf(window, sealed)) AS sealed_until,
    toUnixTimestamp64Nano(maxOrNullIf(window, isNotNull(restated_at))) AS restated_until
FROM rollups FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND (sealed OR isNotNull(restated_at))
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
ORDER BY seq

-- name: mill_applied
-- Which of these payloads were applied already.
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state = 'applied'

-- name: mill_plainly_applied
-- Which of these payloads are applied as the log has them: neither deleted since nor replayed.
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state = 'applied' AND replay = ''

-- name: mill_settled
-- The records of these payloads that were rejected, for whatever reason (recovered ones are not).
SELECT seq, idx, reasons, detail, winner_seq, winner_idx
FROM rejections FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)}
    AND recovered_by = ''

-- name: mill_repoint
-- Duplicates of a record that now lost itself become duplicates of the one it lost to.
INSERT INTO rejections
SELECT * REPLACE (
    {winner_seqs:Array(UInt64)}[place] AS winner_seq,
    {winner_idxs:Array(UInt32)}[place] AS winner_idx,
    -toInt64(bitOr(bitShiftLeft(bitAnd({winner_seqs:Array(UInt64)}[place], 1099511627775), 20),
        {winner_idxs:Array(UInt32)}[place])) AS version)
FROM (
    SELECT *
    FROM rejections FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND feed = {feed:String} AND seq >= arrayMin({seqs:Array(UInt64)})
        AND has(reasons, 'duplicate')
        AND has(arrayZip({seqs:Array(UInt64)}, {idxs:Array(UInt32)}), (winner_seq, winner_idx)))
ARRAY JOIN [indexOf(arrayZip({seqs:Array(UInt64)}, {idxs:Array(UInt32)}), (winner_seq, winner_idx))] AS place

-- name: mill_restate
-- Count the outcome of applied payloads again, from the rejections that there are now.
INSERT INTO payloads
SELECT p.* REPLACE (
    toUInt32(p.accepted + p.rejected - r.n) AS accepted,
    toUInt32(r.n) AS rejected,
    r.by_reason AS reasons,
    {version:UInt64} AS version)
FROM (
    SELECT * FROM payloads FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state = 'applied') AS p
INNER JOIN (
    SELECT seq AS of, count() AS n,
        CAST(sumMap(reasons, arrayMap(x -> toUInt32(1), reasons)), 'Map(LowCardinality(String), UInt32)') AS by_reason
    FROM rejections FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)} AND recovered_by = ''
    GROUP BY seq) AS r ON p.seq = r.of

-- name: mill_withdraw_points
-- Remove the points of one payload from disk.
DELETE FROM points
WHERE tenant = {tenant:String} AND seq = {seq:UInt64} AND
    -- include: owned

-- name: mill_withdraw_rejections
-- Remove what was said of the records of one payload.
DELETE FROM rejections
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq = {seq:UInt64} AND
    -- include: owned

-- name: mill_points_of
-- How many points one payload left.
SELECT count() AS n FROM points WHERE tenant = {tenant:String} AND seq = {seq:UInt64}

-- name: mill_deleted
-- Series deleted by payloads from `low` to `high` in the log (both included) whose points are still on disk.
SELECT tenant, series, deleted_seq
FROM (SELECT tenant, series, deleted_seq FROM series FINAL WHERE deleted_seq > 0) AS gone
WHERE deleted_seq >= {low:UInt64} AND deleted_seq <= {high:UInt64} AND (tenant, series) IN (
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
FROM (
    SELECT * FROM series FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND series IN {series:Array(UInt64)})
ARRAY JOIN [transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))] AS up_to

-- name: mill_purge_points
-- Remove the points of deleted series from disk.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq <= transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))

-- name: mill_purge_replaced
-- Remove the replaced values of deleted series from disk.
DELETE FROM replaced
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq <= transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))

-- name: mill_feeds
-- Every feed that has series. (Rows without a tenant are the mill's probes.)
SELECT DISTINCT tenant, feed FROM series WHERE tenant != '' ORDER BY tenant, feed

-- name: mill_newest_received
-- When the newest payload from `low` to `high` in the log (both included) was received; 0 if there is none.
SELECT toUnixTimestamp64Nano(max(received_at)) AS received_ns FROM payloads
WHERE seq >= {low:UInt64} AND seq <= {high:UInt64}

-- name: mill_first_fresh
-- The tenant's first payload from `low` to `high` in the log (both included) that was received between `before` and
-- `latest`: whatever follows it was received after it, whatever the clock showed then. The highest number if there is
-- none.
SELECT if(count() = 0, 18446744073709551615, min(p.seq)) AS seq FROM payloads AS p
WHERE tenant = {tenant:String} AND p.seq >= {low:UInt64} AND p.seq <= {high:UInt64}
    AND received_at >= fromUnixTimestamp64Nano({before:Int64}, 'UTC')
    AND received_at <= fromUnixTimestamp64Nano({latest:Int64}, 'UTC')

-- name: mill_expired_windows
-- Windows of a feed with a point that was received before `before`, and before the payload `fresh`.
SELECT series, toUnixTimestamp64Nano(toDateTime64(
    toStartOfInterval(time, toIntervalSecond({every_s:UInt32})), 9, 'UTC')) AS window_ns
FROM points
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC') AND seq < {fresh:UInt64}
GROUP BY series, window_ns
ORDER BY series, window_ns
LIMIT {limit:UInt32}
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: mill_delete_windows
-- Remove all points of these windows from disk.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND (series, toUnixTimestamp64Nano(time) - positiveModulo(toUnixTimestamp64Nano(time), {every_ns:Int64})) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)}, {windows:Array(Int64)})))

-- name: mill_expired_count
-- How many points of a feed were received before `before`, and before the payload `fresh`.
SELECT count() AS n
FROM points
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC') AND seq < {fresh:UInt64}

-- name: mill_delete_expired
-- Remove the points of a feed that were received before `before`, and before the payload `fresh`, from disk.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC') AND seq < {fresh:UInt64}
