-- The evidence for `why` at one instant. Every query reads ranges of a key, or rows that a skipping index finds.

-- name: why_series
-- The series that match: by id (0: not given), or by feed, field (empty: any) and tags; deleted series are included.
SELECT s.series AS series, s.feed AS feed, s.name AS name, s.field AS field, s.tags AS tags, s.unit AS unit,
    s.deleted AS deleted, s.deleted_seq AS deleted_seq
FROM series AS s FINAL
WHERE s.tenant = {tenant:String}
  AND ({series:UInt64} = 0 OR s.series = {series:UInt64})
  AND ({feed:String} = '' OR s.feed = {feed:String})
  AND ({field:String} = '' OR s.field = {field:String})
  AND arrayAll((k, v) -> mapContains(s.tags, k) AND s.tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})
ORDER BY s.feed, s.name, s.field, s.series
LIMIT {limit:UInt32}

-- name: why_rejections
-- Rejected records of an instant: of this series, or of unknown series (then all `words` must be in the record).
SELECT r.seq AS seq, r.idx AS idx, r.receipt AS receipt, r.received_at AS received_at,
    CAST(r.reasons AS Array(String)) AS reasons, r.detail AS detail, r.record AS record, r.rules_version AS rules_version,
    has(r.series, {series:UInt64}) AS certain, r.winner_seq AS winner_seq, r.winner_idx AS winner_idx,
    r.recovered_by AS recovered_by, r.recovered_at AS recovered_at
FROM rejections AS r FINAL
WHERE r.tenant = {tenant:String} AND r.feed = {feed:String} AND r.time = fromUnixTimestamp64Nano({at:Int64}, 'UTC')
  AND (has(r.series, {series:UInt64})
       OR empty(r.series) AND arrayAll(w -> position(r.record, w) > 0, {words:Array(String)}))
ORDER BY r.seq, r.idx
LIMIT {limit:UInt32}

-- name: why_deletions
-- The deletions of a tenant, newest first.
SELECT d.id AS id, d.seq AS seq, d.kind AS kind, d.selector AS selector, d.requested_at AS requested_at,
    d.applied_at AS applied_at, d.erase_by AS erase_by, d.erased_at AS erased_at
FROM deletions AS d FINAL
WHERE d.tenant = {tenant:String}
ORDER BY d.seq DESC
LIMIT {limit:UInt32}

-- name: why_polls
-- The polls of a source around an instant, by item: the last poll before it and the first one after, with the times of
-- the last poll that reached the source and the last that did not. `reached`: the results of polls that were answered.
SELECT item, poll.1 AS started_at, poll.2 AS result, poll.3 AS status, poll.4 AS detail, poll.5 AS receipt,
    poll.1 <= fromUnixTimestamp64Nano({at:Int64}, 'UTC') AS is_before, reached_at, failed_at
FROM (
    WITH
        started_at <= fromUnixTimestamp64Nano({at:Int64}, 'UTC') AS is_past,
        (started_at, CAST(result AS String), status, detail, receipt) AS row
    SELECT item,
        maxIf(started_at, is_past AND result IN {reached:Array(String)}) AS reached_at,
        maxIf(started_at, is_past AND result NOT IN {reached:Array(String)}) AS failed_at,
        arrayFilter(p -> p.1 != toDateTime64(0, 9, 'UTC'),
            [argMaxIf(row, started_at, is_past), argMinIf(row, started_at, NOT is_past)]) AS polls
    FROM polls
    WHERE tenant = {tenant:String} AND feed = {feed:String}
      AND started_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
      AND started_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
    GROUP BY item
    ORDER BY item
    LIMIT {limit:UInt32}
)
ARRAY JOIN polls AS poll
ORDER BY item, started_at

-- name: why_points
-- The current points of a series around an instant, without those at it, at most `limit` on either side, in order of
-- time; read in the order of the key, so that each side takes a granule or two.
SELECT * FROM (
    SELECT * FROM (
        SELECT p.time AS at, p.ordinal AS ordinal, p.value AS value, CAST(p.marks AS Array(String)) AS marks
        FROM points AS p
        WHERE p.tenant = {tenant:String} AND p.series = {series:UInt64} AND p.seq > {deleted_seq:UInt64}
          AND p.time < fromUnixTimestamp64Nano({at:Int64}, 'UTC')
        ORDER BY p.tenant DESC, p.series DESC, p.time DESC, p.ordinal DESC, p.version DESC
        LIMIT 1 BY p.time, p.ordinal
        LIMIT {limit:UInt32})
    UNION ALL
    SELECT * FROM (
        SELECT p.time AS at, p.ordinal AS ordinal, p.value AS value, CAST(p.marks AS Array(String)) AS marks
        FROM points AS p
        WHERE p.tenant = {tenant:String} AND p.series = {series:UInt64} AND p.seq > {deleted_seq:UInt64}
          AND p.time > fromUnixTimestamp64Nano({at:Int64}, 'UTC')
        ORDER BY p.tenant, p.series, p.time, p.ordinal, p.version DESC
        LIMIT 1 BY p.time, p.ordinal
        LIMIT {limit:UInt32}))
ORDER BY at, ordinal

-- name: why_next_rejection
-- Of the rejected records of a series with a time in [first, last] the last one (`sign` -1) or the first one (1).
SELECT r.time AS at, r.receipt AS receipt, r.idx AS idx, CAST(r.reasons AS Array(String)) AS reasons
FROM rejections AS r FINAL
WHERE r.tenant = {tenant:String} AND r.feed = {feed:String} AND r.recovered_by = '' AND has(r.series, {series:UInt64})
  AND r.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND r.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
ORDER BY {sign:Int8} * toUnixTimestamp64Nano(assumeNotNull(r.time)), r.seq, r.idx
LIMIT 1

-- name: why_polls_around
-- The polls of a source around an instant: at most `limit` that began until then, and as many after, in order of time.
SELECT * FROM (
    SELECT * FROM (
        SELECT item, started_at AS at, CAST(result AS String) AS result, status, detail, receipt
        FROM polls FINAL
        WHERE tenant = {tenant:String} AND feed = {feed:String}
          AND started_at <= fromUnixTimestamp64Nano({at:Int64}, 'UTC')
        ORDER BY started_at DESC, item DESC
        LIMIT {limit:UInt32})
    UNION ALL
    SELECT * FROM (
        SELECT item, started_at AS at, CAST(result AS String) AS result, status, detail, receipt
        FROM polls FINAL
        WHERE tenant = {tenant:String} AND feed = {feed:String}
          AND started_at > fromUnixTimestamp64Nano({at:Int64}, 'UTC')
        ORDER BY started_at, item
        LIMIT {limit:UInt32}))
ORDER BY at, item
