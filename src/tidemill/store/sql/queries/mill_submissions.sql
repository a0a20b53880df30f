-- Queries and statements over the table `submissions`, for feeds that compare records by their local time as it was sent.

-- name: mill_submitted_until
-- The latest instant and the latest local time of each of these series at or after `since`; no row where there is none.
SELECT series, local, max(at) AS until
FROM submissions
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND at >= {since:Int64}
GROUP BY series, local

-- name: mill_submissions
-- Of each of these times the first record that was submitted for it, and all with offsets from `least` on. Records of a
-- series up to its offset in `deleted_seqs` do not count.
SELECT series, local, at, seq, idx, toUnixTimestamp64Nano(time) AS time_ns
FROM (
    SELECT series, local, at, seq, idx, time,
        row_number() OVER (PARTITION BY series, local, at ORDER BY seq, idx) AS n
    FROM submissions
    WHERE tenant = {tenant:String}
        AND (series, local, at) IN (
            SELECT arrayJoin(arrayZip({series:Array(UInt64)},
                arrayMap(k -> k = 1, {kinds:Array(UInt8)}), {ats:Array(Int64)})))
        AND seq > transform(series, {deleted_series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0)))
WHERE n = 1 OR seq >= {least:UInt64}

-- name: mill_purge_instants
-- Purges all rows of these points: a superseded one, and those that were superseded by it before.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND (series, toUnixTimestamp64Nano(time)) IN (
        SELECT arrayJoin(arrayZip({series:Array(UInt64)}, {times:Array(Int64)})))

-- name: mill_repoint_records
-- These duplicates become duplicates of an earlier record; one whose winner is earlier still keeps it.
INSERT INTO rejections
SELECT * REPLACE (
    {winner_seqs:Array(UInt64)}[record] AS winner_seq,
    {winner_idxs:Array(UInt32)}[record] AS winner_idx,
    -toInt64(bitOr(bitShiftLeft(bitAnd({winner_seqs:Array(UInt64)}[record], 1099511627775), 20),
        {winner_idxs:Array(UInt32)}[record])) AS version)
FROM (
    SELECT *
    FROM rejections FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)}
        AND has(reasons, 'duplicate')
        AND has(arrayZip({seqs:Array(UInt64)}, {idxs:Array(UInt32)}), (seq, idx)))
ARRAY JOIN [indexOf(arrayZip({seqs:Array(UInt64)}, {idxs:Array(UInt32)}), (seq, idx))] AS record

-- name: mill_purge_series_submissions
-- Purges the submissions of deleted series.
DELETE FROM submissions
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq <= transform(series, {series:Array(UInt64)}, {seqs:Array(UInt64)}, toUInt64(0))

-- name: mill_payload_submissions
-- How many submissions one payload has.
SELECT count() AS n FROM submissions WHERE tenant = {tenant:String} AND seq = {seq:UInt64}

-- name: mill_purge_payload_submissions
-- Purges the submissions of one payload.
DELETE FROM submissions
WHERE tenant = {tenant:String} AND seq = {seq:UInt64} AND
    -- include: owned

-- name: mill_expired_submissions
-- How many submissions of a feed were received before `before` and have an offset below `fresh`.
SELECT count() AS n
FROM submissions
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC') AND seq < {fresh:UInt64}

-- name: mill_expire_submissions
-- Purges the submissions of a feed that were received before `before` and have an offset below `fresh`.
DELETE FROM submissions
WHERE
    -- include: owned
    AND tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND received_at < fromUnixTimestamp64Nano({before:Int64}, 'UTC') AND seq < {fresh:UInt64}

-- name: deletion_submissions
-- How many submissions these series have.
SELECT count() AS n FROM submissions WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}

-- fragment: deletion_chained
-- Duplicates of a deleted record, or of such a duplicate, that have no tombstone of this deletion yet.
tenant = {tenant:String} AND feed = {feed:String} AND has(reasons, 'duplicate') AND recovered_by = ''
AND (winner_seq, winner_idx) IN (
    SELECT seq, idx FROM deleted_records
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND deletion = {deletion:UInt64} AND series = 0)
AND (seq, idx) NOT IN (
    SELECT seq, idx FROM deleted_records
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND deletion = {deletion:UInt64} AND series = 0)

-- name: deletion_chained_count
-- How many such duplicates there are.
SELECT count() AS n FROM rejections FINAL WHERE
    -- include: deletion_chained

-- name: deletion_write_chained_tombstones
-- Writes their tombstones. They have other instants than their winner, so that no range of time need have them.
INSERT INTO deleted_records (tenant, feed, seq, idx, series, deletion, reasons)
SELECT {tenant:String}, {feed:String}, seq, idx, 0, {deletion:UInt64}, reasons
FROM rejections FINAL
WHERE
    -- include: owned_or_refused
    AND
    -- include: deletion_chained

-- name: deletion_purge_submissions
-- Purges the submissions in the scope, and those of records that have a tombstone of this deletion.
DELETE FROM submissions
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND ((
        -- include: deletion_points
        ) OR (seq, idx) IN (
            SELECT seq, idx FROM deleted_records
            WHERE tenant = {tenant:String} AND feed = {feed:String} AND deletion = {deletion:UInt64}))

-- name: erase_submissions
-- Rewrites the parts that have purged rows, without these rows.
ALTER TABLE submissions APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: replay_submitted
-- The payloads of these that have submissions.
SELECT DISTINCT seq FROM submissions
WHERE tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND seq BETWEEN {low:UInt64} AND {high:UInt64}
    AND (NOT {sparse:Bool} OR seq IN {seqs:Array(UInt64)})

-- name: replay_purge_submissions
-- Purges the submissions of these payloads.
DELETE FROM submissions
WHERE
    -- include: owned
    AND tenant = {tenant:String}
    AND series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
    AND seq IN {seqs:Array(UInt64)}
