-- What a deletion concerns, and how it goes. A deletion is bound as series, a range of time (both ends included, ns) and
-- a range of places in the log (`low` included, `high` not). Everything here may be run again after a crash.

-- fragment: deletion_points
-- Rows of points or replaced values that are concerned.
tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND seq >= {low:UInt64} AND seq < {high:UInt64}
AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')

-- fragment: deletion_rejections
-- Rejections that are concerned.
tenant = {tenant:String} AND feed = {feed:String} AND seq >= {low:UInt64} AND seq < {high:UInt64}
AND ({everything:Bool} OR (notEmpty(series)
    AND if({records:Bool}, hasAny(series, {series:Array(UInt64)}), hasAll({series:Array(UInt64)}, series))))
AND if(isNull(time), {unbounded:Bool}, time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
    AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC'))

-- name: deletion_series
-- The series of a feed with these tags (none: all), also deleted ones.
SELECT series, deleted_seq
FROM series FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String}
    AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})

-- name: deletion_points_count
-- How many points that stand are concerned. `gone` has the place up to which a series was deleted before.
SELECT count() AS points
FROM points FINAL
WHERE
    -- include: deletion_points
    AND seq > transform(series, {series:Array(UInt64)}, {gone:Array(UInt64)}, toUInt64(0))

-- name: deletion_payloads
-- The payloads concerned, how many records of each are, and whether no other record is left in it. `scan`: all series of
-- the feed, and the place up to which each was deleted before (`scan_gone`).
WITH hit AS (
    SELECT seq FROM points WHERE
        -- include: deletion_points
        AND seq > transform(series, {scan:Array(UInt64)}, {scan_gone:Array(UInt64)}, toUInt64(0))
    UNION DISTINCT
    SELECT seq FROM replaced WHERE
        -- include: deletion_points
        AND seq > transform(series, {scan:Array(UInt64)}, {scan_gone:Array(UInt64)}, toUInt64(0))
    UNION DISTINCT
    SELECT seq FROM rejections FINAL WHERE recovered_by = '' AND
        -- include: deletion_rejections
)
SELECT p.seq AS seq, p.receipt AS receipt, f.records AS records,
    f.others = 0 AND f.covered >= p.accepted + p.rejected AS whole
FROM (
    SELECT seq, receipt, accepted, rejected
    FROM payloads FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND state != 'deleted' AND seq IN (SELECT seq FROM hit)) AS p
INNER JOIN (
    SELECT seq, uniqExactIf(idx, concerned = 2) AS records, uniqExactIf(idx, concerned > 0) AS covered,
        countIf(concerned = 0) AS others
    FROM (
        SELECT seq, idx, if((
            -- include: deletion_points
            ), 2, 0) AS concerned
        FROM points
        WHERE tenant = {tenant:String} AND series IN {scan:Array(UInt64)} AND seq IN (SELECT seq FROM hit)
            AND seq > transform(series, {scan:Array(UInt64)}, {scan_gone:Array(UInt64)}, toUInt64(0))
        UNION ALL
        SELECT seq, idx, if((
            -- include: deletion_points
            ), 2, 0) AS concerned
        FROM replaced
        WHERE tenant = {tenant:String} AND series IN {scan:Array(UInt64)} AND seq IN (SELECT seq FROM hit)
            AND seq > transform(series, {scan:Array(UInt64)}, {scan_gone:Array(UInt64)}, toUInt64(0))
        UNION ALL
        SELECT seq, idx, if((
            -- include: deletion_rejections
            ), 2, 0) AS concerned
        FROM rejections FINAL
        WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN (SELECT seq FROM hit) AND recovered_by = ''
        UNION ALL
        SELECT seq, idx, 1 AS concerned
        FROM deleted_records
        WHERE tenant = {tenant:String} AND feed = {feed:String} AND series = 0 AND seq IN (SELECT seq FROM hit))
    GROUP BY seq) AS f ON f.seq = p.seq
ORDER BY seq

-- name: deletion_everything
-- The payloads of a feed at these places, to go whole.
SELECT seq, receipt, toUInt64(accepted) + rejected AS records, true AS whole
FROM payloads FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq >= {low:UInt64} AND seq < {high:UInt64}
    AND state != 'deleted' AND format != 'deletion'
ORDER BY seq

-- name: deletion_alone
-- Of series whose payloads hold nothing else: their points, and the payloads. `ups`: the place of each one's deletion.
SELECT series, count() AS points, uniqExact(seq, idx) AS records, arraySort(groupUniqArray(seq)) AS seqs
FROM points FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq < transform(series, {series:Array(UInt64)}, {ups:Array(UInt64)}, toUInt64(0))
    AND seq > transform(series, {series:Array(UInt64)}, {gone:Array(UInt64)}, toUInt64(0))
GROUP BY series

-- name: deletion_rows
-- What is known of these deletions.
SELECT id, seq, toUnixTimestamp64Nano(applied_at) AS applied_ns, points, records, payloads, payloads_kept
FROM deletions FINAL
WHERE tenant = {tenant:String} AND id IN {ids:Array(String)}

-- name: deletion_highest
-- The latest deletion of each tenant from `low` to `high` in the log (both included).
SELECT tenant, max(d.seq) AS seq
FROM deletions AS d
WHERE d.seq >= {low:UInt64} AND d.seq <= {high:UInt64}
GROUP BY tenant

-- name: deletion_gone
-- Which of these payloads are deleted.
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state = 'deleted'

-- name: deletion_buried
-- The deleted records of these payloads.
SELECT seq, idx, series, CAST(any(reasons) AS Array(String)) AS reasons
FROM deleted_records
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)}
GROUP BY seq, idx, series

-- name: deletion_bury
-- Remember the records concerned: whole ones, or only their points of these series.
INSERT INTO deleted_records (tenant, feed, seq, idx, series, deletion, reasons)
SELECT DISTINCT {tenant:String}, {feed:String}, seq, idx, if({records:Bool}, 0, series), {deletion:UInt64}, []
FROM (
    SELECT seq, idx, series FROM points WHERE
        -- include: deletion_points
    UNION ALL
    SELECT seq, idx, series FROM replaced WHERE
        -- include: deletion_points
)
WHERE
    -- include: owned_or_refused

-- name: deletion_bury_rejected
-- Remember the rejected records concerned, with the outcome that they had.
INSERT INTO deleted_records (tenant, feed, seq, idx, series, deletion, reasons)
SELECT {tenant:String}, {feed:String}, seq, idx, 0, {deletion:UInt64}, reasons
FROM rejections FINAL
WHERE
    -- include: owned_or_refused
    AND recovered_by = '' AND
    -- include: deletion_rejections

-- name: deletion_bury_losers
-- Remember what had lost to the points of a payload: replaced values, and duplicates. They lose still.
INSERT INTO deleted_records (tenant, feed, seq, idx, series, deletion, reasons)
SELECT {tenant:String}, {feed:String}, seq, idx, series, {deletion:UInt64}, []
FROM (
    SELECT seq, idx, series, time FROM replaced
    WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND seq < {low:UInt64}
    UNION ALL
    SELECT seq, idx, series, time FROM points
    WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND seq != {low:UInt64})
WHERE
    -- include: owned_or_refused
    AND (series, time) IN (
        SELECT series, time FROM points FINAL
        WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND seq = {low:UInt64} AND ordinal = 0)
UNION ALL
SELECT {tenant:String}, {feed:String}, seq, idx, 0, {deletion:UInt64}, reasons
FROM rejections FINAL
WHERE
    -- include: owned_or_refused
    AND tenant = {tenant:String} AND feed = {feed:String} AND winner_seq = {low:UInt64} AND has(reasons, 'duplicate')
    AND recovered_by = ''

-- name: deletion_widths
-- The widths of rollup windows that these series have.
SELECT DISTINCT every_s FROM rollups WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} ORDER BY every_s

-- name: deletion_windows
-- The published windows with points that are concerned (replaced ones too: what was told of a window has their values),
-- and, if `inside`, those that lie wholly in the range; sealed ones only when they do.
SELECT series, toUnixTimestamp64Nano(window) AS window_ns, count, sealed
FROM rollups FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND every_s = {every_s:UInt32} AND count > 0
    AND (({inside:Bool} AND toUnixTimestamp64Nano(window) >= {first:Int64}
            AND toUnixTimestamp64Nano(window) <= {last:Int64} - toInt64({every_s:UInt32}) * 1000000000 + 1)
        OR (NOT sealed AND (series, toUnixTimestamp64Nano(window)) IN (
            SELECT series, t - positiveModulo(t, toInt64({every_s:UInt32}) * 1000000000)
            FROM (
                SELECT series, toUnixTimestamp64Nano(time) AS t FROM points WHERE
                    -- include: deletion_points
                UNION ALL
                SELECT series, toUnixTimestamp64Nano(time) AS t FROM replaced WHERE
                    -- include: deletion_points
            ))))

-- name: deletion_tell_points
-- Tell of every point that goes, without its value.
INSERT INTO changes (tenant, seq, series, time, feed, old_count, why, changed_at, version)
SELECT {tenant:String}, {deletion:UInt64}, series, time, {feed:String}, 1, 'deleted',
    fromUnixTimestamp64Nano({now:Int64}, 'UTC'), 1
FROM points FINAL
WHERE
    -- include: owned_or_refused
    AND
    -- include: deletion_points
    AND seq > transform(series, {series:Array(UInt64)}, {gone:Array(UInt64)}, toUInt64(0))

-- name: deletion_told_windows
-- The windows that a deletion told of.
SELECT series, toUnixTimestamp64Nano(time) AS window_ns, old_count
FROM changes FINAL
WHERE tenant = {tenant:String} AND seq = {deletion:UInt64} AND every_s = {every_s:UInt32} AND why = 'deleted'

-- name: deletion_traces
-- How many rows there are of what a deletion has to remove beside points.
SELECT
    (SELECT count() FROM replaced WHERE
        -- include: deletion_points
    ) AS replaced,
    (SELECT count() FROM rejections WHERE
        -- include: deletion_rejections
    ) AS rejections,
    (SELECT count() FROM changes
        WHERE tenant = {tenant:String} AND seq < {deletion:UInt64} AND series IN {series:Array(UInt64)}) AS changes

-- name: deletion_remove_changes
-- Remove what was told earlier of the points and windows that go: it has their values.
DELETE FROM changes
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND seq < {deletion:UInt64} AND series IN {series:Array(UInt64)}
    AND (series, every_s, time) IN (
        SELECT series, every_s, time FROM changes
        WHERE tenant = {tenant:String} AND seq = {deletion:UInt64} AND why = 'deleted'
        UNION ALL
        SELECT series, toUInt32(0), time FROM replaced WHERE
            -- include: deletion_points
    )

-- name: deletion_remove_changes_of_series
-- Remove everything that was told of series that go.
DELETE FROM changes
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq <= transform(series, {series:Array(UInt64)}, {ups:Array(UInt64)}, toUInt64(0))

-- name: deletion_has_changes
-- How much was told of series.
SELECT count() AS n FROM changes WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}

-- name: deletion_remove_replaced
-- Remove the replaced values concerned.
DELETE FROM replaced WHERE
    -- include: owned
    AND
    -- include: deletion_points

-- name: deletion_remove_rejections
-- Remove the rejections concerned, recovered ones too.
DELETE FROM rejections WHERE
    -- include: owned
    AND
    -- include: deletion_rejections

-- name: deletion_remove_points
-- Remove the points concerned, whatever version of them stands.
DELETE FROM points WHERE
    -- include: owned
    AND
    -- include: deletion_points

-- name: deletion_remove_payload_points
-- Remove the points of a payload, and whatever lies beneath those of them that stand.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND (seq = {low:UInt64} OR (series, time, ordinal) IN (
        SELECT series, time, ordinal FROM points FINAL
        WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND seq = {low:UInt64}))

-- name: deletion_empty_sealed
-- Empty sealed windows that lie wholly in the range (their aggregates are their defaults, 0); they stay sealed.
INSERT INTO rollups (tenant, series, every_s, window, sealed, sealed_seq, version)
SELECT tenant, series, every_s, window, sealed, sealed_seq, {version:UInt64}
FROM rollups FINAL
WHERE
    -- include: owned_or_refused
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND every_s = {every_s:UInt32}
    AND sealed AND count > 0
    AND toUnixTimestamp64Nano(window) >= {first:Int64}
    AND toUnixTimestamp64Nano(window) <= {last:Int64} - toInt64({every_s:UInt32}) * 1000000000 + 1

-- name: deletion_of_payloads
-- Payloads lose their bytes, and their faults, which quote them.
INSERT INTO payloads
SELECT * REPLACE ('deleted' AS state, '' AS faults, '' AS body, {version:UInt64} AS version)
FROM (
    SELECT * FROM payloads FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND receipt IN {receipts:Array(String)} AND state != 'deleted')

-- name: deletion_of_places
-- The same by places in the log.
INSERT INTO payloads
SELECT * REPLACE ('deleted' AS state, '' AS faults, '' AS body, {version:UInt64} AS version)
FROM (
    SELECT * FROM payloads FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state != 'deleted')

-- name: erase_pending
-- Deletions from `low` to `high` in the log (both included) whose bytes are not known to be gone from disk, of all
-- tenants.
SELECT tenant, id, seq, toString(feed) AS feed, toUnixTimestamp64Nano(applied_at) AS applied_ns
FROM deletions FINAL
WHERE isNull(erased_at) AND toUnixTimestamp64Nano(applied_at) > 0 AND seq >= {low:UInt64} AND seq <= {high:UInt64}
ORDER BY seq

-- name: erase_old_bodies
-- Remove from disk the rows of deleted payloads that still have their bytes.
DELETE FROM payloads
WHERE
    -- include: owned
    AND state != 'deleted'
    AND (tenant, receipt) IN (SELECT tenant, receipt FROM payloads WHERE state = 'deleted')

-- name: erase_masked
-- The tables with rows that are removed and still on disk, and how many parts have some.
SELECT table, count() AS n FROM system.parts
WHERE database = currentDatabase() AND active AND has_lightweight_delete
GROUP BY table ORDER BY table

-- name: erase_points
-- Rewrite the parts that have removed rows, without them.
ALTER TABLE points APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_replaced
-- Rewrite the parts that have removed rows, without them.
ALTER TABLE replaced APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_rejections
-- Rewrite the parts that have removed rows, without them.
ALTER TABLE rejections APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_payloads
-- Rewrite the parts that have removed rows, without them.
ALTER TABLE payloads APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_changes
-- Rewrite the parts that have removed rows, without them.
ALTER TABLE changes APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_rollups
-- Merge the rollups, so that no earlier version of a window is left.
OPTIMIZE TABLE rollups FINAL SETTINGS optimize_skip_merged_partitions = 1, alter_sync = 1

-- name: erase_under_way
-- How many tables are still being rewritten.
SELECT count() AS n FROM system.mutations
WHERE database = currentDatabase() AND NOT is_done
    AND table IN ('points', 'replaced', 'rejections', 'payloads', 'changes')

-- name: erase_now
-- The store's own time, in whole seconds.
SELECT toUnixTimestamp(now()) AS now_s

-- name: erase_old_parts
-- How many parts from up to `until` are on disk though no query reads them any more. (Empty ones hold nothing.)
SELECT count() AS n FROM system.parts
WHERE database = currentDatabase() AND _state != 'Active' AND toUnixTimestamp(modification_time) <= {until:UInt64}
    AND table IN ('points', 'replaced', 'rejections', 'payloads', 'changes', 'rollups') AND rows > 0

-- name: erase_nudge
-- Wakes the engine's background work, which sleeps for minutes while nothing is written: it removes old parts.
SYSTEM START MERGES

-- name: erase_done
-- These deletions are erased.
INSERT INTO deletions
SELECT * REPLACE (fromUnixTimestamp64Nano({now:Int64}, 'UTC') AS erased_at, toUInt64(3) AS version)
FROM (
    SELECT * FROM deletions FINAL
    WHERE
        -- include: owned_or_refused
        AND id IN {ids:Array(String)} AND isNull(erased_at))

-- name: deletion_place
-- The place in the log of a payload that has its bytes, or had them when this deletion was `begun`.
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND receipt = {receipt:String} AND (state != 'deleted' OR {begun:Bool})
    AND format != 'deletion'

-- name: deletion_places
-- The payloads of all tenants from `low` to `high` in the log (both included) whose bytes are deleted: the log erases
-- theirs, too.
SELECT seq FROM payloads FINAL
WHERE state = 'deleted' AND seq >= {low:UInt64} AND seq <= {high:UInt64}
ORDER BY seq

-- name: deletion_expired
-- Payloads of a feed with accepted records that left no trace any more (their points are past retention), and whose bytes
-- may name these values (texts with escapes, and other formats than texts, always may). Tells the same when asked again.
SELECT p.seq AS seq, p.receipt AS receipt, p.feed_version AS feed_version, p.state AS state, p.bytes AS bytes,
    toUInt64(p.accepted) + p.rejected AS total
FROM (
    SELECT seq, receipt, feed_version, state, bytes, accepted, rejected
    FROM payloads FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND state = 'applied' AND format != 'deletion'
        AND accepted > 0 AND seq >= {low:UInt64} AND seq < {high:UInt64}
        AND (format NOT IN ('json', 'ndjson', 'csv') OR position(body, '\\u') > 0
            OR arrayAll(v -> position(body, v) > 0, {words:Array(String)}))) AS p
LEFT JOIN (
    SELECT seq, uniqExact(idx) AS n
    FROM (
        SELECT seq, idx FROM points WHERE tenant = {tenant:String} AND series IN {scan:Array(UInt64)}
        UNION ALL
        SELECT seq, idx FROM replaced WHERE tenant = {tenant:String} AND series IN {scan:Array(UInt64)}
        UNION ALL
        SELECT seq, idx FROM deleted_records
        WHERE tenant = {tenant:String} AND feed = {feed:String} AND series = 0 AND empty(reasons)
            AND deletion != {deletion:UInt64})
    GROUP BY seq) AS f ON f.seq = p.seq
WHERE p.accepted > f.n
ORDER BY seq
