-- The story of one instant. Every query touches ranges of a key, or rows that a skipping index finds.

-- name: why_series
-- What series is meant: by id (0: none given), or by feed, field (empty: any) and tags; deleted ones are among them.
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
-- Records of an instant that were rejected: of this series, or of nobody knows which (then all `words` must be in them).
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
-- What was deleted on request.
SELECT d.id AS id, d.seq AS seq, d.kind AS kind, d.selector AS selector, d.requested_at AS requested_at,
    d.applied_at AS applied_at, d.erase_by AS erase_by, d.erased_at AS erased_at
FROM deletions AS d FINAL
WHERE d.tenant = {tenant:String}
ORDER BY d.seq DESC
LIMIT {limit:UInt32}

-- name: why_polls
-- The polls of a source around an instant, by item: the last one before it, the last that reached the source, the last
-- that did not, and the first one after. `reached` are the results of a source that answered.
WITH
    around AS (
        SELECT item,
            maxIf(started_at, started_at <= fromUnixTimestamp64Nano({at:Int64}, 'UTC')) AS before,
            maxIf(started_at, started_at <= fromUnixTimestamp64Nano({at:Int64}, 'UTC') AND result IN {reached:Array(String)})
                AS reached_at,
            maxIf(started_at, started_at <= fromUnixTimestamp64Nano({at:Int64}, 'UTC')
                AND result NOT IN {reached:Array(String)}) AS failed_at,
            minIf(started_at, started_at > fromUnixTimestamp64Nano({at:Int64}, 'UTC')) AS after
        FROM polls
        WHERE tenant = {tenant:String} AND feed = {feed:String}
          AND started_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
          AND started_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
        GROUP BY item
        ORDER BY item
        LIMIT {limit:UInt32}
    )
SELECT q.item AS item, q.started_at AS started_at, q.result AS result, q.status AS status, q.detail AS detail,
    q.receipt AS receipt, q.started_at = around.before AS is_before, around.reached_at AS reached_at,
    around.failed_at AS failed_at
FROM polls AS q
INNER JOIN around ON around.item = q.item
WHERE q.tenant = {tenant:String} AND q.feed = {feed:String}
  AND (q.item, q.started_at) IN (SELECT item, arrayJoin([before, after]) FROM around)
ORDER BY q.item, q.started_at
LIMIT 1 BY q.item, q.started_at
