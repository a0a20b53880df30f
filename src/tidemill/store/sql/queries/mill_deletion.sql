-- Deletions: queries that find the rows of a deletion's scope, and statements that purge and erase them. A scope is
-- bound as series, a range of time (both ends included, ns) and a range of offsets (`low` included, `high` not). Every
-- statement may run again after a crash.

-- fragment: deletion_points
-- Rows of points or of replaced values in the scope.
tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND seq >= {low:UInt64} AND seq < {high:UInt64}
AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')

-- fragment: deletion_rejections
-- Rejections in the scope.
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
-- How many current points are in the scope. `deleted_seqs`: for each series the offset up to which it was deleted
-- before.
SELECT count() AS points
FROM points FINAL
WHERE
    -- include: deletion_points
    AND seq > transform(series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))

-- name: deletion_payloads
-- The payloads with records in the scope, how many of their records are, and whether they hold no other record.
-- `feed_series`: all series of the feed; `feed_deleted_seqs`: for each the offset up to which it was deleted before.
WITH hit AS (
    SELECT seq FROM points WHERE
        -- include: deletion_points
        AND seq > transform(series, {feed_series:Array(UInt64)}, {feed_deleted_seqs:Array(UInt64)}, toUInt64(0))
    UNION DISTINCT
    SELECT seq FROM replaced WHERE
        -- include: deletion_points
        AND seq > transform(series, {feed_series:Array(UInt64)}, {feed_deleted_seqs:Array(UInt64)}, toUInt64(0))
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
        WHERE tenant = {tenant:String} AND series IN {feed_series:Array(UInt64)} AND seq IN (SELECT seq FROM hit)
            AND seq > transform(series, {feed_series:Array(UInt64)}, {feed_deleted_seqs:Array(UInt64)}, toUInt64(0))
        UNION ALL
        SELECT seq, idx, if((
            -- include: deletion_points
            ), 2, 0) AS concerned
        FROM replaced
        WHERE tenant = {tenant:String} AND series IN {feed_series:Array(UInt64)} AND seq IN (SELECT seq FROM hit)
            AND seq > transform(series, {feed_series:Array(UInt64)}, {feed_deleted_seqs:Array(UInt64)}, toUInt64(0))
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

-- name: deletion_feed_payloads
-- The payloads of a feed in this range of offsets, to be deleted as a whole.
SELECT seq, receipt, toUInt64(accepted) + rejected AS records, true AS whole
FROM payloads FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq >= {low:UInt64} AND seq < {high:UInt64}
    AND state != 'deleted' AND format != 'deletion'
ORDER BY seq

-- name: deletion_sole_series
-- For series whose payloads hold no other series: their points, and the payloads. `upto_seqs`: the offset of the
-- deletion of each.
SELECT series, count() AS points, uniqExact(seq, idx) AS records, arraySort(groupUniqArray(seq)) AS seqs
FROM points FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq < transform(series, {series:Array(UInt64)}, {upto_seqs:Array(UInt64)}, toUInt64(0))
    AND seq > transform(series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))
GROUP BY series

-- name: deletion_rows
-- The rows of these deletions.
SELECT id, seq, toUnixTimestamp64Nano(applied_at) AS applied_ns, points, records, payloads, payloads_kept
FROM deletions FINAL
WHERE tenant = {tenant:String} AND id IN {ids:Array(String)}

-- name: deletion_highest
-- The offset of each tenant's latest deletion from `low` to `high` in the log (both included).
SELECT tenant, max(d.seq) AS seq
FROM deletions AS d
WHERE d.seq >= {low:UInt64} AND d.seq <= {high:UInt64}
GROUP BY tenant

-- name: deletion_deleted_payloads
-- The offsets of those of these payloads that are deleted.
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state = 'deleted'

-- name: deletion_tombstones
-- The tombstones of the records of these payloads.
SELECT seq, idx, series, CAST(any(reasons) AS Array(String)) AS reasons
FROM deleted_records
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)}
GROUP BY seq, idx, series

-- name: deletion_write_tombstones
-- Writes tombstones of the records in the scope: of whole records, or only of their points of these series.
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

-- name: deletion_write_rejected_tombstones
-- Writes tombstones of the rejected records in the scope, with the reasons why they were rejected.
INSERT INTO deleted_records (tenant, feed, seq, idx, series, deletion, reasons)
SELECT {tenant:String}, {feed:String}, seq, idx, 0, {deletion:UInt64}, reasons
FROM rejections FINAL
WHERE
    -- include: owned_or_refused
    AND recovered_by = '' AND
    -- include: deletion_rejections

-- name: deletion_write_superseded_tombstones
-- Writes tombstones of what the points of a payload superseded: replaced values, and duplicates. They stay superseded.
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
-- The published windows with points in the scope (also replaced ones, because change events of a window have their
-- values), and, if `inside`, the windows that lie wholly in the range; sealed windows only when they lie wholly in it.
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

-- name: deletion_announce_points
-- Writes a change event for every point in the scope, without its value.
INSERT INTO changes (tenant, seq, series, time, feed, old_count, why, changed_at, version)
SELECT {tenant:String}, {deletion:UInt64}, series, time, {feed:String}, 1, 'deleted',
    fromUnixTimestamp64Nano({now:Int64}, 'UTC'), 1
FROM points FINAL
WHERE
    -- include: owned_or_refused
    AND
    -- include: deletion_points
    AND seq > transform(series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))

-- name: deletion_announced_windows
-- The windows for which a deletion wrote change events.
SELECT series, toUnixTimestamp64Nano(time) AS window_ns, old_count
FROM changes FINAL
WHERE tenant = {tenant:String} AND seq = {deletion:UInt64} AND every_s = {every_s:UInt32} AND why = 'deleted'

-- name: deletion_traces
-- How many rows a deletion has to purge beside points.
SELECT
    (SELECT count() FROM replaced WHERE
        -- include: deletion_points
    ) AS replaced,
    (SELECT count() FROM rejections WHERE
        -- include: deletion_rejections
    ) AS rejections,
    (SELECT count() FROM changes
        WHERE tenant = {tenant:String} AND seq < {deletion:UInt64} AND series IN {series:Array(UInt64)}) AS changes

-- name: deletion_purge_changes
-- Purges the earlier change events of the deleted points and windows, because they have their values.
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

-- name: deletion_purge_series_changes
-- Purges all change events of deleted series up to the offsets of their deletions.
DELETE FROM changes
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq <= transform(series, {series:Array(UInt64)}, {upto_seqs:Array(UInt64)}, toUInt64(0))

-- name: deletion_change_count
-- How many change events these series have.
SELECT count() AS n FROM changes WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}

-- name: deletion_purge_replaced
-- Purges the replaced values in the scope.
DELETE FROM replaced WHERE
    -- include: owned
    AND
    -- include: deletion_points

-- name: deletion_purge_rejections
-- Purges the rejections in the scope, recovered ones too.
DELETE FROM rejections WHERE
    -- include: owned
    AND
    -- include: deletion_rejections

-- name: deletion_purge_points
-- Purges the points in the scope, whichever version of them is current.
DELETE FROM points WHERE
    -- include: owned
    AND
    -- include: deletion_points

-- name: deletion_purge_payload_points
-- Purges the points of a payload, and the older versions beneath those of its points that are current.
DELETE FROM points
WHERE
    -- include: owned
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND (seq = {low:UInt64} OR (series, time, ordinal) IN (
        SELECT series, time, ordinal FROM points FINAL
        WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND seq = {low:UInt64}))

-- name: deletion_empty_sealed
-- Empties sealed windows that lie wholly in the range (their aggregates are their defaults, 0); they stay sealed.
INSERT INTO rollups (tenant, series, every_s, window, sealed, sealed_seq, version)
SELECT tenant, series, every_s, window, sealed, sealed_seq, {version:UInt64}
FROM rollups FINAL
WHERE
    -- include: owned_or_refused
    AND tenant = {tenant:String} AND series IN {series:Array(UInt64)} AND every_s = {every_s:UInt32}
    AND sealed AND count > 0
    AND toUnixTimestamp64Nano(window) >= {first:Int64}
    AND toUnixTimestamp64Nano(window) <= {last:Int64} - toInt64({every_s:UInt32}) * 1000000000 + 1

-- name: deletion_clear_payloads
-- Clears the bytes of payloads, and their faults, which quote the bytes.
INSERT INTO payloads
SELECT * REPLACE ('deleted' AS state, '' AS faults, '' AS body, NULL AS first_time, NULL AS last_time,
    {version:UInt64} AS version)
FROM (
    SELECT * FROM payloads FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND receipt IN {receipts:Array(String)} AND state != 'deleted')

-- name: deletion_clear_offsets
-- The same for payloads by their offsets.
INSERT INTO payloads
SELECT * REPLACE ('deleted' AS state, '' AS faults, '' AS body, NULL AS first_time, NULL AS last_time,
    {version:UInt64} AS version)
FROM (
    SELECT * FROM payloads FINAL
    WHERE
        -- include: owned_or_refused
        AND tenant = {tenant:String} AND seq IN {seqs:Array(UInt64)} AND state != 'deleted')

-- name: erase_pending
-- The deletions of all tenants from `low` to `high` in the log (both included) that are applied and not erased.
SELECT tenant, id, seq, toString(feed) AS feed, toUnixTimestamp64Nano(applied_at) AS applied_ns
FROM deletions FINAL
WHERE isNull(erased_at) AND toUnixTimestamp64Nano(applied_at) > 0 AND seq >= {low:UInt64} AND seq <= {high:UInt64}
ORDER BY seq

-- name: erase_old_bodies
-- Purges the rows of deleted payloads that still have their bytes.
DELETE FROM payloads
WHERE
    -- include: owned
    AND state != 'deleted'
    AND (tenant, receipt) IN (SELECT tenant, receipt FROM payloads WHERE state = 'deleted')

-- name: erase_masked
-- The tables with purged rows that are still on disk, and how many parts have such rows.
SELECT table, count() AS n FROM system.parts
WHERE database = currentDatabase() AND active AND has_lightweight_delete
GROUP BY table ORDER BY table

-- name: erase_points
-- Rewrites the parts that have purged rows, without these rows.
ALTER TABLE points APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_replaced
-- Rewrites the parts that have purged rows, without these rows.
ALTER TABLE replaced APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_rejections
-- Rewrites the parts that have purged rows, without these rows.
ALTER TABLE rejections APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_payloads
-- Rewrites the parts that have purged rows, without these rows.
ALTER TABLE payloads APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_changes
-- Rewrites the parts that have purged rows, without these rows.
ALTER TABLE changes APPLY DELETED MASK SETTINGS mutations_sync = 0

-- name: erase_rollups
-- Merges the rollups, so that no earlier version of a window is left.
OPTIMIZE TABLE rollups FINAL SETTINGS optimize_skip_merged_partitions = 1, alter_sync = 1

-- name: erase_under_way
-- How many rewrites of tables are not done.
SELECT count() AS n FROM system.mutations
WHERE database = currentDatabase() AND NOT is_done
    AND table IN ('points', 'replaced', 'rejections', 'payloads', 'changes', 'submissions')

-- name: erase_now
-- The store's own time, in whole seconds.
SELECT toUnixTimestamp(now()) AS now_s

-- name: erase_old_parts
-- How many parts written up to `until` are on disk though no query reads them any more. (Empty parts hold nothing.)
SELECT count() AS n FROM system.parts
WHERE database = currentDatabase() AND _state != 'Active' AND toUnixTimestamp(modification_time) <= {until:UInt64}
    AND table IN ('points', 'replaced', 'rejections', 'payloads', 'changes', 'rollups', 'submissions', 'replay_differences')
    AND rows > 0

-- name: erase_start_merges
-- Wakes the engine's background work, which removes old parts, and sleeps for minutes while nothing is written.
SYSTEM START MERGES

-- name: erase_done
-- Marks these deletions as erased.
INSERT INTO deletions
SELECT * REPLACE (fromUnixTimestamp64Nano({now:Int64}, 'UTC') AS erased_at, toUInt64(3) AS version)
FROM (
    SELECT * FROM deletions FINAL
    WHERE
        -- include: owned_or_refused
        AND id IN {ids:Array(String)} AND isNull(erased_at))

-- name: deletion_payload_offset
-- The offset of a payload that has its bytes; with `begun` also of one whose bytes are deleted.
SELECT seq FROM payloads FINAL
WHERE tenant = {tenant:String} AND receipt = {receipt:String} AND (state != 'deleted' OR {begun:Bool})
    AND format != 'deletion'

-- name: deletion_cleared_offsets
-- The offsets of the payloads of all tenants from `low` to `high` in the log (both included) whose bytes are deleted;
-- the log erases their bytes, too.
SELECT seq FROM payloads FINAL
WHERE state = 'deleted' AND seq >= {low:UInt64} AND seq <= {high:UInt64}
ORDER BY seq

-- name: deletion_expired
-- Payloads of a feed with accepted records that have no trace (their points are past retention, if points of the feed
-- expire, or all of their values are null), with records in [first, last] as far as known, and whose bytes may name these
-- values (texts with escapes, and formats that are no text, always may). Run again during the same deletion, it answers
-- the same.
SELECT p.seq AS seq, p.receipt AS receipt, p.feed_version AS feed_version, p.state AS state, p.bytes AS bytes,
    toUInt64(p.accepted) + p.rejected AS total, p.first_time AS first_time, p.last_time AS last_time
FROM (
    SELECT seq, receipt, feed_version, state, bytes, accepted, rejected, first_time, last_time
    FROM payloads FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND state = 'applied' AND format != 'deletion'
        AND accepted > 0 AND seq >= {low:UInt64} AND seq < {high:UInt64} AND ({expires:Bool} OR nulls > 0)
        AND (isNull(first_time) OR (first_time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
            AND last_time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')))
        AND (format NOT IN ('json', 'ndjson', 'csv') OR position(body, '\\u') > 0
            OR arrayAll(v -> position(body, v) > 0, {words:Array(String)}))) AS p
LEFT JOIN (
    SELECT seq, uniqExact(idx) AS n
    FROM (
        SELECT seq, idx FROM points WHERE tenant = {tenant:String} AND series IN {feed_series:Array(UInt64)}
        UNION ALL
        SELECT seq, idx FROM replaced WHERE tenant = {tenant:String} AND series IN {feed_series:Array(UInt64)}
        UNION ALL
        SELECT seq, idx FROM deleted_records
        WHERE tenant = {tenant:String} AND feed = {feed:String} AND series = 0 AND empty(reasons)
            AND deletion != {deletion:UInt64})
    GROUP BY seq) AS f ON f.seq = p.seq
WHERE p.accepted > f.n
ORDER BY seq
