-- Single records of a payload: what is needed to read them again, and what became of them.

-- name: record_payload
-- What is needed to decode a payload again, without its bytes; times in ns.
SELECT p.seq AS seq, p.receipt AS receipt, p.feed AS feed, p.feed_version AS feed_version,
    toUnixTimestamp64Nano(p.received_at) AS received_at, p.format AS format, p.bytes AS bytes, toString(p.state) AS state,
    toUnixTimestamp64Nano(p.first_time) AS first_ns, toUnixTimestamp64Nano(p.last_time) AS last_ns
FROM payloads AS p FINAL
WHERE p.tenant = {tenant:String} AND p.receipt = {receipt:String}

-- name: record_rejections
-- The rejections of the records of a payload with an index from `first` to `last` (both included), by index.
SELECT r.idx AS idx, toUnixTimestamp64Nano(r.time) AS time, CAST(r.reasons AS Array(String)) AS reasons,
    r.detail AS detail, r.winner_seq AS winner_seq, r.winner_idx AS winner_idx, r.recovered_by AS recovered_by,
    toUnixTimestamp64Nano(r.recovered_at) AS recovered_at
FROM rejections AS r FINAL
WHERE r.tenant = {tenant:String} AND r.feed = {feed:String} AND r.seq = {seq:UInt64}
    AND r.idx >= {first:UInt32} AND r.idx <= {last:UInt32}
ORDER BY r.idx

-- name: record_points
-- The current points of these series at these times (ns), any pair of the two, whichever record they are of.
SELECT p.series AS series, toUnixTimestamp64Nano(p.time) AS time, p.ordinal AS ordinal, p.seq AS seq, p.idx AS idx,
    p.value AS value, CAST(p.marks AS Array(String)) AS marks
FROM points AS p FINAL
WHERE p.tenant = {tenant:String} AND p.series IN {series:Array(UInt64)}
    AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
    AND toUnixTimestamp64Nano(p.time) IN {times:Array(Int64)}
LIMIT {limit:UInt32}

-- name: record_tombstones
-- The records of a payload that were deleted one by one; `series` 0: the whole record.
SELECT DISTINCT idx, series
FROM deleted_records
WHERE tenant = {tenant:String} AND feed = {feed:String} AND seq = {seq:UInt64}
    AND idx >= {first:UInt32} AND idx <= {last:UInt32}
