-- Flow: what became of the payloads that a tenant sent, by feed and time of receipt. Only payloads up to the applied
-- offsets are counted, because those after them are counted as waiting, from the log.

-- fragment: flow_counts
-- Sums over payloads `p`. Every record of an applied payload is accepted or rejected.
count() AS payloads,
sum(toUInt64(p.accepted)) AS accepted,
sum(toUInt64(p.rejected)) AS rejected,
sum(toUInt64(least(ifNull(p.late, 0), p.accepted))) AS late,
sum(toUInt64(p.reasons['duplicate'])) AS duplicate,
sum(toUInt64(least(ifNull(p.flagged, 0), p.accepted))) AS flagged,
sum(p.bytes) AS bytes

-- fragment: flow_payloads
-- The applied payloads of a tenant. `applied`: the applied offset of each partition of the log; a deletion is no data.
FROM payloads AS p FINAL
WHERE p.tenant = {tenant:String}
  AND p.format != 'deletion'
  AND p.seq <= {applied:Array(UInt64)}[toUInt32(bitShiftRight(p.seq, 40) % length({applied:Array(UInt64)})) + 1]

-- name: flow
-- Of each feed and slot of `step` ns since `origin`: counts of the payloads received from `first` to `last` (both
-- included). No id of a receipt sorts before its time of receipt: those before `since` are not read.
SELECT
    toString(p.feed) AS feed,
    intDiv(toUnixTimestamp64Nano(p.received_at) - {origin:Int64}, {step:Int64}) AS slot,
    -- include: flow_counts
-- include: flow_payloads
  AND p.receipt >= {since:String}
  AND p.received_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.received_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND ({feed:String} = '' OR p.feed = {feed:String})
GROUP BY p.feed, slot

-- fragment: stream_payloads
-- The present rows of a tenant's payloads in ranges of offsets, one range for each partition of the log: after `after`,
-- up to `until`. Without FINAL, which would not use the index of offsets.
FROM (
    SELECT receipt, seq, feed, received_at, bytes, state, accepted, rejected, late, flagged,
        CAST(reasons AS Map(String, UInt32)) AS reasons
    FROM payloads
    WHERE tenant = {tenant:String}
      AND arrayExists((a, u) -> seq > a AND seq <= u, {after:Array(UInt64)}, {until:Array(UInt64)})
      AND seq > arrayMin({after:Array(UInt64)}) AND seq <= arrayMax({until:Array(UInt64)})
      AND ({feed:String} = '' OR feed = {feed:String})
      AND format != 'deletion'
    ORDER BY version DESC
    LIMIT 1 BY seq
) AS p

-- name: stream_receipts
-- These payloads one by one, oldest first.
SELECT toString(p.feed) AS feed, p.receipt AS receipt, toUnixTimestamp64Nano(p.received_at) AS received_ns,
    toUInt64(1) AS payloads, toUInt64(p.bytes) AS bytes, toUInt64(p.accepted) AS accepted,
    toUInt64(p.rejected) AS rejected, toUInt64(ifNull(p.late, 0)) AS late, toUInt64(ifNull(p.flagged, 0)) AS flagged,
    p.reasons AS reasons, map(toString(p.state), toUInt64(1)) AS states
-- include: stream_payloads
ORDER BY p.received_at, p.receipt
LIMIT {limit:UInt32}

-- name: stream_receipts_by_feed
-- The same by feed, that with the most payloads first; `receipt` is the newest of them.
SELECT toString(p.feed) AS feed, argMax(p.receipt, p.seq) AS receipt,
    max(toUnixTimestamp64Nano(p.received_at)) AS received_ns, count() AS payloads, sum(p.bytes) AS bytes,
    sum(toUInt64(p.accepted)) AS accepted, sum(toUInt64(p.rejected)) AS rejected,
    sum(toUInt64(ifNull(p.late, 0))) AS late, sum(toUInt64(ifNull(p.flagged, 0))) AS flagged,
    sumMap(p.reasons) AS reasons, sumMap(map(toString(p.state), toUInt64(1))) AS states
-- include: stream_payloads
GROUP BY p.feed
ORDER BY payloads DESC, feed
