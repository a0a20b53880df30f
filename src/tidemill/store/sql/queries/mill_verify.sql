-- Queries of `tidemill verify`, which reads everything in the store, one range of the log at a time, and statements of
-- its repairs (`repair_*`). Times are answered as ns since the epoch (Int64).

-- name: verify_tenants
-- Every tenant with rows, and the highest offset of its payloads from `low` to `high` (both included). (Rows without a
-- tenant are the mill's probes.)
SELECT tenant, max(seq) AS highest
FROM (
    SELECT tenant, seq FROM payloads WHERE seq >= {low:UInt64} AND seq <= {high:UInt64}
    UNION ALL SELECT DISTINCT tenant, 0 FROM points
    UNION ALL SELECT DISTINCT tenant, 0 FROM rejections)
WHERE tenant != ''
GROUP BY tenant
ORDER BY tenant

-- name: verify_first
-- The lowest offset from `low` to `high` (both included) of a payload that was received at or after `since` (0: none).
SELECT min(p.seq) AS seq
FROM payloads AS p
WHERE tenant = {tenant:String} AND p.seq >= {low:UInt64} AND p.seq <= {high:UInt64}
    AND received_at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')

-- name: verify_total
-- How many payloads have offsets above `after`, up to `upto`.
SELECT count() AS n
FROM payloads FINAL
WHERE tenant = {tenant:String} AND ({feed:String} = '' OR feed = {feed:String}) AND seq > {after:UInt64}
    AND seq <= {upto:UInt64}

-- name: verify_page
-- The payloads with offsets above `after`, up to `upto`, in the order of the log.
SELECT seq, receipt, toString(feed) AS feed, bytes
FROM payloads FINAL
WHERE tenant = {tenant:String} AND ({feed:String} = '' OR feed = {feed:String}) AND seq > {after:UInt64}
    AND seq <= {upto:UInt64}
ORDER BY seq, receipt
LIMIT {limit:UInt32}

-- name: verify_offsets
-- The payloads with offsets from `low` to `high` (both included), without their bytes.
SELECT seq, receipt, toString(feed) AS feed, hex(sha256) AS sha256, toString(state) AS state
FROM payloads FINAL
WHERE tenant = {tenant:String} AND seq BETWEEN {low:UInt64} AND {high:UInt64}

-- name: verify_payloads
-- The payloads of a feed with offsets from `low` to `high` (both included), with their bytes in hexadecimal.
SELECT seq, receipt, feed_version, toUnixTimestamp64Nano(received_at) AS received_ns, toString(format) AS format, bytes,
    hex(sha256) AS sha256, toString(state) AS state, accepted, rejected, nulls,
    toUnixTimestamp64Nano(first_time) AS first_ns, toUnixTimestamp64Nano(last_time) AS last_ns,
    arrayZip(CAST(mapKeys(reasons) AS Array(String)), mapValues(reasons)) AS reasons, faults, hex(body) AS body
FROM payloads FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq BETWEEN {low:UInt64} AND {high:UInt64}
ORDER BY seq, receipt

-- name: verify_rejections
-- The rejections of a feed's payloads with offsets from `low` to `high` (both included).
SELECT seq, idx, CAST(reasons AS Array(String)) AS reasons, (recovered_by != '')::Bool AS recovered
FROM rejections FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq BETWEEN {low:UInt64} AND {high:UInt64}

-- name: verify_points
-- The current points of payloads with offsets from `low` to `high`, of these series (`every`: of all series) and with
-- times from `first` to `last` (all ends included).
SELECT series, toUnixTimestamp64Nano(time) AS time_ns, ordinal, seq, idx, value
FROM points FINAL
WHERE tenant = {tenant:String} AND ({every:Bool} OR series IN {series:Array(UInt64)})
    AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
    AND seq BETWEEN {low:UInt64} AND {high:UInt64}

-- name: verify_replaced
-- Likewise the replaced values of these payloads.
SELECT series, toUnixTimestamp64Nano(time) AS time_ns, seq, idx, value
FROM replaced FINAL
WHERE tenant = {tenant:String} AND ({every:Bool} OR series IN {series:Array(UInt64)})
    AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
    AND seq BETWEEN {low:UInt64} AND {high:UInt64}

-- name: verify_point_counts
-- How many current points each payload with an offset above `after`, up to `upto` has; of a feed's series only, where a
-- feed is named.
SELECT seq, count() AS n
FROM points FINAL
WHERE tenant = {tenant:String} AND seq > {after:UInt64} AND seq <= {upto:UInt64}
    AND ({feed:String} = '' OR series IN (
        SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String}))
GROUP BY seq

-- name: verify_replaced_counts
-- Likewise how many replaced values.
SELECT seq, count() AS n
FROM replaced FINAL
WHERE tenant = {tenant:String} AND seq > {after:UInt64} AND seq <= {upto:UInt64}
    AND ({feed:String} = '' OR series IN (
        SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String}))
GROUP BY seq

-- name: verify_rejection_counts
-- Likewise how many rejections.
SELECT seq, toString(feed) AS feed, count() AS n
FROM rejections FINAL
WHERE tenant = {tenant:String} AND seq > {after:UInt64} AND seq <= {upto:UInt64}
    AND ({feed:String} = '' OR rejections.feed = {feed:String})
GROUP BY seq, feed

-- name: verify_deleted_series
-- The offsets up to which these series were deleted, where they ever were.
SELECT series, deleted_seq
FROM series FINAL
WHERE tenant = {tenant:String} AND deleted_seq > 0 AND series IN {series:Array(UInt64)}

-- name: verify_alive_counts
-- The counts of verify_point_counts without points that are to be purged: those of series that were deleted since.
SELECT seq, count() AS n
FROM (SELECT seq, series FROM points FINAL
    WHERE tenant = {tenant:String} AND seq > {after:UInt64} AND seq <= {upto:UInt64}
        AND ({feed:String} = '' OR series IN (
            SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String}))) AS p
LEFT JOIN (SELECT series, deleted_seq FROM series FINAL WHERE tenant = {tenant:String} AND deleted_seq > 0) AS d
    ON p.series = d.series
WHERE p.seq > d.deleted_seq
GROUP BY seq

-- name: verify_tombstones
-- The tombstones of records of a feed's payloads with offsets from `low` to `high` (both included): of whole records
-- (`series` 0, with the reasons of a rejected one), or of their points of a series.
SELECT seq, idx, series, CAST(any(reasons) AS Array(String)) AS reasons
FROM deleted_records
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq BETWEEN {low:UInt64} AND {high:UInt64}
GROUP BY seq, idx, series

-- name: verify_deletions
-- All deletions, and whether each is applied.
SELECT tenant, id, seq, toString(feed) AS feed, toUnixTimestamp64Nano(applied_at) > 0 AS applied
FROM deletions FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})

-- name: verify_series
-- The series of a feed, the offset up to which each was deleted, and how many rows of points it has.
SELECT s.series AS series, s.deleted_seq AS deleted_seq, p.n AS n
FROM (SELECT series, deleted_seq FROM series FINAL WHERE tenant = {tenant:String} AND feed = {feed:String}) AS s
LEFT JOIN (SELECT series, count() AS n FROM points WHERE tenant = {tenant:String} GROUP BY series) AS p
    ON s.series = p.series
ORDER BY series

-- name: verify_window_values
-- The values of these series' windows by the current points; `newest` is the offset of the last payload that counts.
SELECT series, toUnixTimestamp64Nano(toDateTime64(begin, 9, 'UTC')) AS window_ns, max(seq) AS newest,
    -- include: window_aggregates
FROM points FINAL
WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
    AND seq > transform(series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))
GROUP BY series, toStartOfInterval(time, toIntervalSecond({every_s:UInt32})) AS begin
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: verify_window_rows
-- The published windows of these series.
SELECT series, toUnixTimestamp64Nano(window) AS window_ns, sealed,
    -- include: window_aggregate_names
FROM rollups FINAL
WHERE tenant = {tenant:String} AND every_s = {every_s:UInt32} AND series IN {series:Array(UInt64)}
    AND (count > 0 OR sealed)

-- name: verify_tables
-- The tables that hold rows.
SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name

-- name: verify_table
-- Checks of every part of a table whether its files have the sizes and checksums with which they were written.
CHECK TABLE {table:Identifier}
SETTINGS check_query_single_value_result = 0, max_execution_time = 0

-- name: verify_columns
-- Reads every value of every column of a table, as a query would: files may have the checksums they claim and still
-- hold too little.
SELECT count() AS n FROM {table:Identifier} WHERE NOT ignore(*)
SETTINGS max_execution_time = 0, optimize_use_implicit_projections = 0

-- name: verify_detached
-- Parts that the store set aside at its start; no query reads them.
SELECT table, name, ifNull(reason, '') AS reason
FROM system.detached_parts
WHERE database = currentDatabase()
ORDER BY table, name

-- name: repair_body
-- Writes the bytes of a payload (hexadecimal) again; all else of it stays.
INSERT INTO payloads
SELECT * REPLACE (unhex({body:String}) AS body, version + 1 AS version)
FROM (SELECT * FROM payloads FINAL WHERE tenant = {tenant:String} AND receipt = {receipt:String})

-- name: repair_first_offset
-- The lowest offset among the rows of a part.
SELECT min(seq) AS seq FROM {table:Identifier} WHERE _part = {part:String}

-- name: repair_detach
-- Takes a part out of its table; its files stay, in the folder `detached`.
ALTER TABLE {table:Identifier} DETACH PART {part:String}
