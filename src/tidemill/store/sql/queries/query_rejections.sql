-- The rejection ledger: which records did not become points, and why.

-- name: rejections
-- A page of rejections, newest first: by place in the log, then by index in the payload, both descending. The inner
-- query finds the page by its narrow columns, so that the records of other pages are never read. Empty text and empty
-- bounds mean no filter. A place before (before_seq, before_idx) is after the last page.
WITH t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant
SELECT
    r.seq AS seq,
    r.feed AS feed,
    r.receipt AS receipt,
    r.idx AS idx,
    instant(r.received_at) AS received_at,
    if(isNull(r.time), NULL, instant(assumeNotNull(r.time))) AS time,
    CAST(r.reasons AS Array(String)) AS reasons,
    r.detail AS detail,
    r.record AS record,
    r.rules_version AS rules_version,
    r.winner_seq AS winner_seq,
    r.winner_idx AS winner_idx
FROM rejections AS r FINAL
WHERE r.tenant = {tenant:String} AND (r.feed, r.seq, r.idx) IN (
    SELECT feed, seq, idx
    FROM rejections FINAL
    WHERE tenant = {tenant:String}
      AND ({feed:String} = '' OR feed = {feed:String})
      AND ({receipt:String} = '' OR receipt = {receipt:String})
      AND ({reason:String} = '' OR has(reasons, {reason:String}))
      AND received_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
      AND received_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
      AND (seq, idx) < ({before_seq:UInt64}, {before_idx:UInt64})
    ORDER BY seq DESC, idx DESC
    LIMIT {limit:UInt32}
)
ORDER BY seq DESC, idx DESC

-- name: rejections_summary
-- How many records were rejected, by reason (a record with two reasons counts under both) and by feed.
SELECT
    count() AS total,
    sumMap(mapFromArrays(codes, arrayMap(code -> toUInt64(1), codes))) AS by_reason,
    sumMap(map(name, toUInt64(1))) AS by_feed
FROM (
    SELECT arrayDistinct(CAST(reasons AS Array(String))) AS codes, toString(feed) AS name
    FROM rejections FINAL
    WHERE tenant = {tenant:String}
      AND ({feed:String} = '' OR feed = {feed:String})
      AND received_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
      AND received_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
)
