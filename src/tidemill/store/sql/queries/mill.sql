-- Queries and statements of the mill. Times are bound and answered as ns since the epoch (Int64).
-- (`time_ns`, not `time`: an alias would hide the column from WHERE.)
-- Look-ups by exact key go without FINAL: they return few rows, and the mill picks the current version among them.

-- name: mill_highest
-- The highest offset of a payload from `low` to `high` in the log (both included), and the highest version of a row in
-- `payloads` and `rollups`.
SELECT
    (SELECT max(p.seq) FROM payloads AS p WHERE p.seq >= {low:UInt64} AND p.seq <= {high:UInt64}) AS seq,
    greatest((SELECT max(version) FROM payloads), (SELECT max(version) FROM rollups)) AS version

-- name: mill_series
-- The rows of these series; none for a series that the store does not have.
SELECT series, feed, name, unit, description, deleted, deleted_seq, version,
    toUnixTimestamp64Nano(created_at) AS created_ns
FROM series FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}

-- name: mill_latest
-- The time of the latest point of each of these series; no row for a series without a point at or after `since`.
SELECT series, toUnixTimestamp64Nano(max(time)) AS latest
FROM points
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND time >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')
GROUP BY series

-- name: mill_sealed_until
-- The latest sealed and the latest restated window of each of these series that has one (null: none). With FINAL,
-- because a window of a deleted series is no longer sealed.
SELECT series, toUnixTimestamp64Nano(maxOrNullIf(window, sealed)) AS sealed_until,
    toUnixTimestamp64Nano(maxOrNullIf(window, isNotNull(restated_at))) AS restated_until
FROM rollups FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND (sealed OR isNotNull(restated_at))
GROUP BY series

-- name: mill_sealed
-- The sealed ones of these windows, and the offset of the last payload that could count for each.
SELECT series, toUnixTimestamp64Nano(window) AS window_ns, sealed_seq
FROM rollups FINAL
WHERE tenant = {tenant:String} AND every_s = {every_s:UInt32} AND sealed
    AND (series, window) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)},
            arrayMap(w -> fromUnixTimestamp64Nano(w, 'UTC'), {windows:Array(Int64)}))))

-- name: mill_point_versions
-- Every version of the points at these instants.
SELECT series, toUnixTimestamp64Nano(time) AS time_ns, ordinal, seq, idx, value, version,
    toUnixTimestamp64Nano(received_at) AS received_ns
FROM points
WHERE tenant = {tenant:String}
    AND (series, time) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)},
            arrayMap(t -> fromUnixTimestamp64Nano(t, 'UTC'), {times:Array(Int64)}))))

-- name: mill_payloads
-- The payloads at these offsets, with their bytes in hexadecimal.
SELECT seq, receipt, feed_version, format, state, toUnixTimestamp64Nano(received_at) AS received_ns, hex(body) AS body
FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)}
ORDER BY seq

-- name: mill_applied
-- The offsets of those of these payloads that are applied.
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state = 'applied'

-- name: mill_plainly_applied
-- The offsets of those of these payloads that are applied as the log has them: neither deleted since nor replayed.
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state = 'applied' AND replay = ''

-- name: mill_rejections
-- The rejected records of these payloads, for whatever reason (recovered ones are left out).
SELECT seq, idx, reasons, detail, winner_seq, winner_idx
FROM rejections FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)}
    AND recovered_by = ''

-- name: mill_repoint
-- Duplicates of a record that is superseded itself become duplicates of the record that superseded it.
INSERT INTO rejections
SELECT * REPLACE (
    {winner_seqs:Array(UInt64)}[winner] AS winner_seq,
    {winner_idxs:Array(UInt32)}[winner] AS winner_idx,
    -toInt64(bitOr(bitShiftLeft(bitAnd({winner_seqs:Array(UInt64)}[winner], 1099511627775), 20),
        {winner_idxs:Array(UInt32)}[winner])) AS version)
FROM (
    SELECT *
    FROM rejections FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND feed = {feed:String} AND seq >= arrayMin({seqs:Array(UInt64)})
        AND has(reasons, 'duplicate')
        AND has(arrayZip({seqs:Array(UInt64)}, {idxs:Array(UInt32)}), (winner_seq, winner_idx)))
ARRAY JOIN [indexOf(arrayZip({seqs:Array(UInt64)}, {idxs:Array(UInt32)}), (winner_seq, winner_idx))] AS winner

-- name: mill_restate
-- Counts the outcome of applied payloads again, from their rejections as they are now.
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
    SELECT seq AS payload_seq, count() AS n,
        CAST(sumMap(reasons, arrayMap(x -> toUInt32(1), reasons)), 'Map(LowCardinality(String), UInt32)') AS by_reason
    FROM rejections FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)} AND recovered_by = ''
    GROUP BY seq) AS r ON p.seq = r.payload_seq

-- name: mill_purge_payload_points
-- Purges the points of one payload.
DELETE FROM points
WHERE tenant = {tenant:String} AND seq = {seq:UInt64} AND
    -- include: owned

-- name: mill_purge_payload_rejections
-- Purges the rejections of one payload.
DELETE FROM rejections
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq = {seq:UInt64} AND
    -- include: owned

-- name: mill_point_count
-- How many rows of points one payload has.
SELECT count() AS n FROM points WHERE tenant = {tenant:String} AND seq = {seq:UInt64}

-- name: mill_unpurged_series
-- Series deleted by payloads from `low` to `high` in the log (both included) whose points are not purged yet.
SELECT tenant, series, deleted_seq
FROM (SELECT tenant, series, deleted_seq FROM series FINAL WHERE deleted_seq > 0) AS deleted_series
WHERE deleted_seq >= {low:UInt64} AND deleted_seq <= {high:UInt64} AND (tenant, series) IN (
    SELECT p.tenant, p.series
    FROM points AS p
    INNER JOIN (SELECT tenant, series, deleted_seq FROM series FINAL WHERE deleted_seq > 0) AS d
        ON p.tenant = d.tenant AND p.series = d.series
    WHERE (p.tenant, p.series) IN (SELECT tenant, series FROM series WHERE deleted_seq > 0) AND p.seq <= d.deleted_seq)
ORDER BY tenant, series
LIMIT {limit:UInt32}

-- name: mill_delete_series
-- Marks series as deleted up to these offsets; a row that a later payload wrote stays alive.
INSERT INTO series
SELECT * REPLACE (
    version <= upto_seq AS deleted,
    greatest(deleted_seq, upto_seq) AS deleted_seq,
    greatest(version, upto_seq) AS version)
FROM (
    SELECT * FROM series FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND series IN {series:Array(UInt64)})
ARRAY JOIN [transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))] AS upto_seq

-- name: mill_purge_series_points
-- Purges the points of deleted series.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq <= transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))

-- name: mill_purge_series_replaced
-- Purges the replaced values of deleted series.
DELETE FROM replaced
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq <= transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))

-- name: mill_feeds
-- Every feed that has series. (Rows without a tenant are the mill's probes.)
SELECT DISTINCT tenant, feed FROM series WHERE tenant != '' ORDER BY tenant, feed

-- name: mill_newest_received
-- The time at which the newest payload from `low` to `high` in the log (both included) was received; 0 if there is
-- none.
SELECT toUnixTimestamp64Nano(max(received_at)) AS received_ns FROM payloads
WHERE seq >= {low:UInt64} AND seq <= {high:UInt64}

-- name: mill_first_fresh
-- The offset of the tenant's first payload from `low` to `high` in the log (both included) that was received between
-- `before` and `latest`; the highest number if there is none. Payloads after it in the log were received later,
-- whatever the clock showed then.
SELECT if(count() = 0, 18446744073709551615, min(p.seq)) AS seq FROM payloads AS p
WHERE tenant = {tenant:String} AND p.seq >= {low:UInt64} AND p.seq <= {high:UInt64}
    AND received_at >= fromUnixTimestamp64Nano({before:Int64}, 'UTC')
    AND received_at <= fromUnixTimestamp64Nano({latest:Int64}, 'UTC')

-- name: mill_expired_windows
-- Windows of a feed with a point that was received before `before` and has an offset below `fresh`.
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

-- name: mill_expire_windows
-- Purges all points of these windows.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND (series, toUnixTimestamp64Nano(time) - positiveModulo(toUnixTimestamp64Nano(time), {every_ns:Int64})) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)}, {windows:Array(Int64)})))

-- name: mill_expired_count
-- How many points of a feed were received before `before` and have an offset below `fresh`.
SELECT count() AS n
FROM points
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC') AND seq < {fresh:UInt64}

-- name: mill_expire_points
-- Purges the points of a feed that were received before `before` and have an offset below `fresh`.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC') AND seq < {fresh:UInt64}
