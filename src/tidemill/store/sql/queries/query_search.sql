-- Payloads that may hold a record of a range of time, to be decoded again, and what became of their records.

-- name: search_payloads
-- The applied payloads of a feed with records in [first, last] (those that have an instant before and one after it, at
-- least), the newest first; with `only_nulls` those with null values.
SELECT seq, receipt, feed_version, format, bytes, toUnixTimestamp64Nano(received_at) AS received_at,
    toUnixTimestamp64Nano(first_time) AS first_ns, toUnixTimestamp64Nano(last_time) AS last_ns
FROM payloads FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND state = 'applied'
  AND first_time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND last_time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND (NOT {only_nulls:Bool} OR nulls > 0)
ORDER BY seq DESC
LIMIT {limit:UInt32}

-- name: search_not_accepted
-- Of records (any pair of these offsets and indexes) those that are rejected or deleted; `series` 0: the whole record,
-- else only its value of this series.
SELECT seq, idx, toUInt64(0) AS series
FROM rejections FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)} AND idx IN {idxs:Array(UInt32)}
  AND recovered_by = ''
UNION ALL
SELECT seq, idx, series
FROM deleted_records
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq IN {seqs:Array(UInt64)} AND idx IN {idxs:Array(UInt32)}

-- name: search_blind_spots
-- What of a feed cannot be searched: rejected records without a time that could be read (at most 1,000 are counted), and
-- whether there are payloads of which the times of the records were not noted.
SELECT
    (SELECT count() FROM (
        SELECT 1 FROM rejections FINAL
        WHERE tenant = {tenant:String} AND feed = {feed:String} AND isNull(time) AND recovered_by = ''
        LIMIT 1000)) AS untimed,
    (SELECT count() FROM (
        SELECT 1 FROM payloads FINAL
        WHERE tenant = {tenant:String} AND feed = {feed:String} AND state = 'applied' AND accepted > 0 AND isNull(nulls)
            AND receipt IN (
                SELECT receipt FROM payloads
                WHERE tenant = {tenant:String} AND feed = {feed:String} AND accepted > 0 AND isNull(nulls))
        LIMIT 1)) > 0 AS unnoted

-- name: search_record_times
-- Records of these payloads that have a point of these series at one of these times (ns), or had one that was replaced.
SELECT seq, idx, toUnixTimestamp64Nano(at) AS time
FROM (
    SELECT seq, idx, time AS at
    FROM points
    WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
        AND toUnixTimestamp64Nano(points.time) IN {times:Array(Int64)} AND seq IN {seqs:Array(UInt64)}
    UNION ALL
    SELECT seq, idx, time AS at
    FROM replaced
    WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
        AND toUnixTimestamp64Nano(replaced.time) IN {times:Array(Int64)} AND seq IN {seqs:Array(UInt64)})
