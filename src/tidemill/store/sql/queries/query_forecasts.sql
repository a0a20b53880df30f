-- What stored forecasts derive from, and what came true of them.

-- name: forecast_payloads
-- The payloads of the points of a series in a range: how many, the lowest and the highest offset, and the offsets, or
-- `most` + 1 of them where there are more. Without FINAL: payloads whose points were replaced count, too.
SELECT uniqExact(p.seq) AS count, min(p.seq) AS lowest, max(p.seq) AS highest,
    groupUniqArray({most:UInt64} + 1)(p.seq) AS offsets
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.seq > {deleted_seq:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')

-- name: forecast_deletions
-- The deletions of a tenant beyond an offset, of these feeds, with the offset of the payload that they name (0: none).
SELECT d.seq AS deletion_seq, toString(d.kind) AS kind, toString(d.feed) AS feed, d.selector AS selector,
    toUnixTimestamp64Nano(d.requested_at) AS requested_ns, p.seq AS payload
FROM deletions AS d FINAL
LEFT JOIN (
    SELECT receipt, seq FROM payloads FINAL
    WHERE tenant = {tenant:String} AND receipt IN (
        SELECT JSONExtractString(selector, 'receipt') FROM deletions
        WHERE tenant = {tenant:String} AND seq > {low:UInt64} AND kind = 'payload')
) AS p ON p.receipt = JSONExtractString(d.selector, 'receipt')
WHERE d.tenant = {tenant:String} AND d.seq > {low:UInt64} AND d.feed IN {feeds:Array(String)}

-- name: forecast_truth
-- The points of a series in a range (ns, value; null: missing), in order of time.
SELECT toUnixTimestamp64Nano(p.time) AS ns, p.value AS value
FROM points AS p FINAL
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.seq > {deleted_seq:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
ORDER BY p.time
LIMIT {limit:UInt32}

-- name: forecast_first_truth
-- The first value (null: missing) of each instant of a series in a range whose value was replaced later.
SELECT toUnixTimestamp64Nano(r.time) AS ns, argMin(tuple(r.value), (r.seq, r.idx)).1 AS value
FROM replaced AS r FINAL
WHERE r.tenant = {tenant:String}
  AND r.series = {series:UInt64}
  AND r.seq > {deleted_seq:UInt64}
  AND r.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND r.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
GROUP BY r.time
ORDER BY ns
LIMIT {limit:UInt32}

-- name: forecast_history
-- How many points of a series in a range came, or were replaced, by payloads beyond an offset.
SELECT count() AS changed
FROM points AS p FINAL
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.seq > {deleted_seq:UInt64}
  AND p.seq > {low:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
