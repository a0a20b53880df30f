-- The lineage of a point or a rollup window. Every query reads ranges of a key, or rows that a skipping index finds.
-- Times are bound and answered as ns since the epoch. Where the versions of a key differ only in outcome, the current
-- version is chosen by `LIMIT 1 BY` and not by FINAL: for a few rows that takes half the time or less.

-- name: lineage_points
-- The current points at an instant of a series: one, unless the feed keeps all points that share an instant.
SELECT p.ordinal AS ordinal, p.value AS value, p.seq AS seq, p.idx AS idx, p.flags AS flags, p.received_at AS received_at,
    p.attributes AS attributes, CAST(p.marks AS Array(String)) AS marks
FROM points AS p FINAL
WHERE p.tenant = {tenant:String} AND p.series = {series:UInt64} AND p.time = fromUnixTimestamp64Nano({at:Int64}, 'UTC')
  AND p.seq > {deleted_seq:UInt64}
ORDER BY p.ordinal
LIMIT {limit:UInt32}

-- name: lineage_replaced
-- The replaced values in [first, last], in the order of submission, each with the offset and index of its successor.
SELECT r.time AS at, r.seq AS seq, r.idx AS idx, r.value AS value, r.by_seq AS by_seq, r.by_idx AS by_idx,
    r.received_at AS received_at
FROM replaced AS r
WHERE r.tenant = {tenant:String} AND r.series = {series:UInt64} AND r.seq > {deleted_seq:UInt64}
  AND r.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND r.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
ORDER BY r.time, r.seq, r.idx, r.version DESC
LIMIT 1 BY r.time, r.seq, r.idx
LIMIT {limit:UInt32}

-- name: lineage_changes
-- Change events of a series' points (every_s 0) in [first, last], and of its windows that begin there. With `only`:
-- those of the point at `last` and of the windows that begin at `first`.
SELECT c.seq AS seq, c.idx AS idx, c.series AS series, c.every_s AS every_s, c.time AS at, c.old AS old, c.new AS new,
    c.old_count AS old_count, c.new_count AS new_count, c.why AS why, c.cause_seq AS cause_seq, c.cause_idx AS cause_idx,
    c.replay AS replay, c.changed_at AS changed_at
FROM changes AS c FINAL
WHERE c.tenant = {tenant:String} AND c.series IN {series:Array(UInt64)} AND c.every_s IN {widths:Array(UInt32)}
  AND c.seq > {deleted_seq:UInt64}
  AND c.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND c.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND (NOT {only:Bool} OR c.time = fromUnixTimestamp64Nano(if(c.every_s = 0, {last:Int64}, {first:Int64}), 'UTC'))
ORDER BY c.changed_at, c.seq, c.idx, c.every_s
LIMIT {limit:UInt32}

-- name: lineage_windows
-- The rollup window of this width and start, if a series has it.
SELECT * FROM (
    SELECT r.every_s AS every_s, r.window AS begin, r.late AS late, r.restated_at AS restated_at, r.sealed AS sealed,
        -- include: window_aggregate_names
    FROM rollups AS r
    WHERE r.tenant = {tenant:String} AND r.series = {series:UInt64} AND r.every_s = {every_s:UInt32}
      AND r.window = fromUnixTimestamp64Nano({begin:Int64}, 'UTC')
    ORDER BY r.version DESC
    LIMIT 1
)
WHERE count > 0

-- name: lineage_duplicates
-- Duplicates that records of an instant superseded: their offsets and indexes, without their text.
SELECT r.seq AS seq, r.idx AS idx, r.receipt AS receipt, r.received_at AS received_at, r.winner_seq AS winner_seq,
    r.winner_idx AS winner_idx
FROM rejections AS r FINAL
WHERE r.tenant = {tenant:String} AND r.feed = {feed:String} AND r.time = fromUnixTimestamp64Nano({at:Int64}, 'UTC')
  AND r.recovered_by = '' AND has(r.reasons, 'duplicate')
  AND r.winner_seq IN {seqs:Array(UInt64)}
ORDER BY r.seq, r.idx
LIMIT {limit:UInt32}

-- name: lineage_payloads
-- The payloads at these offsets, without their bytes.
SELECT p.seq AS seq, p.receipt AS receipt, p.feed AS feed, lower(hex(p.sha256)) AS sha256, p.received_at AS received_at,
    p.bytes AS bytes, p.format AS format, p.state AS state, p.feed_version AS feed_version, p.replay AS replay
FROM payloads AS p
WHERE p.tenant = {tenant:String} AND p.seq IN {seqs:Array(UInt64)}
ORDER BY p.seq, p.version DESC
LIMIT 1 BY p.seq

-- name: lineage_body_start
-- The beginning of a payload (read as RawBLOB), for payloads whose records cannot be cut out.
SELECT substring(body, 1, {length:UInt32}) FROM payloads WHERE tenant = {tenant:String} AND receipt = {receipt:String} LIMIT 1

-- name: lineage_window_payloads
-- A page of the payloads that brought the points of a window, in the order of submission, with how many each brought.
SELECT origin.1 AS seq, count() AS points, min(origin.2) AS first_index
FROM (
    SELECT argMax((p.seq, p.idx), p.version) AS origin
    FROM points AS p
    WHERE p.tenant = {tenant:String} AND p.series = {series:UInt64}
      AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
      AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
    GROUP BY p.time, p.ordinal
)
WHERE seq > {deleted_seq:UInt64} AND seq > {after:UInt64}
GROUP BY seq
ORDER BY seq
LIMIT {limit:UInt32}

-- name: lineage_window_rejected
-- How many records of a series were rejected in [first, last], by reason, and how many records of unknown series.
SELECT arrayJoin(arrayDistinct(CAST(r.reasons AS Array(String)))) AS reason,
    countIf(notEmpty(r.series)) AS certain, countIf(empty(r.series)) AS possible
FROM rejections AS r FINAL
WHERE r.tenant = {tenant:String} AND r.feed = {feed:String} AND r.recovered_by = ''
  AND (has(r.series, {series:UInt64}) OR empty(r.series))
  AND r.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND r.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
GROUP BY reason
ORDER BY reason

-- name: lineage_near
-- The nearest points of a series before and after an instant. Read in the order of the key, so that each takes one
-- granule; any version of a point shows that the series has a point at that instant.
SELECT * FROM (
    SELECT * FROM (
        SELECT p.time AS at, p.value AS value
        FROM points AS p
        WHERE p.tenant = {tenant:String} AND p.series = {series:UInt64} AND p.seq > {deleted_seq:UInt64}
          AND p.time < fromUnixTimestamp64Nano({at:Int64}, 'UTC')
        ORDER BY p.tenant DESC, p.series DESC, p.time DESC, p.ordinal, p.version DESC
        LIMIT 1)
    UNION ALL
    SELECT * FROM (
        SELECT p.time AS at, p.value AS value
        FROM points AS p
        WHERE p.tenant = {tenant:String} AND p.series = {series:UInt64} AND p.seq > {deleted_seq:UInt64}
          AND p.time > fromUnixTimestamp64Nano({at:Int64}, 'UTC')
        ORDER BY p.tenant, p.series, p.time, p.ordinal, p.version DESC
        LIMIT 1))
ORDER BY at
