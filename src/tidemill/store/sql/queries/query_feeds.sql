-- A whole feed's data in the feed's own shape: rows of summaries, plain points, rollups.

-- name: summary_rows
-- Rows of a feed with shape `summary`, one an instant and set of tags; sign 1 is oldest first, -1 newest first. The
-- page begins after (after_ns, after_tags) in that order; after_tags is the canonical text of the tags.
WITH
    t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant,
    page AS (
        SELECT
            p.time AS at,
            any(s.tags) AS tags,
            toString(s.tags) AS tags_text,
            anyIf(p.value, s.field = 'mean') AS mean,
            anyIf(p.value, s.field = 'stddev') AS stddev,
            anyIf(p.value, s.field = 'stddev_pop') AS stddev_pop,
            toUInt64(anyIf(p.value, s.field = 'count')) AS count,
            max(p.seq) AS seq,
            argMax(p.idx, p.seq) AS idx,
            argMax(p.received_at, p.seq) AS received_at,
            argMax(CAST(p.marks AS Array(String)), p.seq) AS marks,
            max(s.deleted_seq) AS deleted_seq
        FROM points AS p FINAL
        INNER JOIN (
            SELECT series, field, tags, deleted_seq
            FROM series FINAL
            WHERE tenant = {tenant:String} AND feed = {feed:String} AND NOT deleted
              AND series NOT IN ({hidden:Array(UInt64)})
              AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})
        ) AS s ON s.series = p.series
        WHERE p.tenant = {tenant:String}
          AND p.series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
          AND p.seq > s.deleted_seq
          AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
          AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
        GROUP BY p.time, tags_text
        HAVING ({sign:Int8} * toUnixTimestamp64Nano(at), tags_text)
               > ({sign:Int8} * {after_ns:Int64}, {after_tags:String})
        ORDER BY {sign:Int8} * toUnixTimestamp64Nano(at), tags_text
        LIMIT {limit:UInt32}
    )
SELECT
    instant(page.at) AS time,
    page.tags AS tags,
    page.mean AS mean,
    page.stddev AS stddev,
    page.stddev_pop AS stddev_pop,
    page.count AS count,
    r.receipt AS receipt,
    r.sha256 AS sha256,
    r.feed_version AS feed_version,
    instant(page.received_at) AS received_at,
    page.idx AS idx,
    page.seq AS seq,
    page.marks AS marks,
    page.deleted_seq AS deleted_seq,
    toUnixTimestamp64Nano(page.at) AS ns,
    page.tags_text AS tags_text
FROM page
LEFT JOIN (
    SELECT seq, receipt, lower(hex(sha256)) AS sha256, feed_version
    FROM payloads FINAL
    WHERE tenant = {tenant:String} AND seq IN (SELECT seq FROM page)
) AS r ON r.seq = page.seq
ORDER BY {sign:Int8} * toUnixTimestamp64Nano(page.at), page.tags_text

-- name: summary_replaced
-- The replaced rows of an instant, newest first, each with the payload that brought it and the payload that replaced
-- it.
WITH
    t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant,
    old AS (
        SELECT
            r.seq AS seq,
            r.idx AS idx,
            r.by_seq AS by_seq,
            r.by_idx AS by_idx,
            max(r.received_at) AS received_at,
            anyIf(r.value, s.field = 'mean') AS mean,
            anyIf(r.value, s.field = 'stddev') AS stddev,
            anyIf(r.value, s.field = 'stddev_pop') AS stddev_pop,
            toUInt64(anyIf(r.value, s.field = 'count')) AS count
        FROM replaced AS r FINAL
        INNER JOIN (
            SELECT series, field, deleted_seq
            FROM series FINAL
            WHERE tenant = {tenant:String} AND feed = {feed:String} AND NOT deleted AND toString(tags) = {tags:String}
              AND series NOT IN ({hidden:Array(UInt64)})
        ) AS s ON s.series = r.series
        WHERE r.tenant = {tenant:String}
          AND r.series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
          AND r.seq > s.deleted_seq
          AND r.time = fromUnixTimestamp64Nano({ns:Int64}, 'UTC')
        GROUP BY r.seq, r.idx, r.by_seq, r.by_idx
    ),
    receipts AS (
        SELECT seq, receipt, lower(hex(sha256)) AS sha256
        FROM payloads FINAL
        WHERE tenant = {tenant:String} AND seq IN (SELECT arrayJoin([seq, by_seq]) FROM old)
    )
SELECT
    old.mean AS mean,
    old.stddev AS stddev,
    old.stddev_pop AS stddev_pop,
    old.count AS count,
    mine.receipt AS receipt,
    mine.sha256 AS sha256,
    old.idx AS idx,
    instant(old.received_at) AS received_at,
    theirs.receipt AS by_receipt,
    old.by_idx AS by_idx
FROM old
LEFT JOIN receipts AS mine ON mine.seq = old.seq
LEFT JOIN receipts AS theirs ON theirs.seq = old.by_seq
ORDER BY old.seq DESC, old.idx DESC
LIMIT {limit:UInt32}

-- name: feed_series
-- The series of one field of a feed (of all, where it is empty), each with the offset up to which its points are deleted,
-- and its tags.
SELECT series, deleted_seq, tags
FROM series FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND ({field:String} = '' OR field = {field:String}) AND NOT deleted
  AND series NOT IN ({hidden:Array(UInt64)})
  AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})
ORDER BY series

-- name: feed_fields
-- The fields of which a feed has series.
SELECT DISTINCT toString(field) AS field
FROM series FINAL
WHERE tenant = {tenant:String} AND feed = {feed:String} AND NOT deleted

-- name: feed_points_ahead
-- The end of a page of a feed's points: (ns, series, ordinal) of the first point that no longer fits. No row: all fit.
SELECT toUnixTimestamp64Nano(p.time) AS ns, p.series AS series, p.ordinal AS ordinal
FROM points AS p FINAL
INNER JOIN (
    SELECT series, deleted_seq
    FROM series FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND field = {field:String} AND NOT deleted
      AND series NOT IN ({hidden:Array(UInt64)})
      AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})
) AS s ON s.series = p.series
WHERE p.tenant = {tenant:String}
  AND p.series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String} AND field = {field:String})
  AND p.seq > s.deleted_seq
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND isNotNull(p.value)
  AND ({good:UInt8} = 0 OR empty(p.marks))
  AND ({mark:String} = '' OR has(p.marks, {mark:String}))
  AND (p.time, p.series, p.ordinal)
      >= (fromUnixTimestamp64Nano({first:Int64}, 'UTC'), {first_series:UInt64}, {first_ordinal:Int64})
ORDER BY p.time, p.series, p.ordinal
LIMIT 1 OFFSET {limit:UInt32}

-- name: feed_points
-- A page of a feed's points of one field, in time order; at one instant by series, then by ordinal.
WITH t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant
SELECT instant(p.time) AS time, p.value AS value
FROM points AS p FINAL
INNER JOIN (
    SELECT series, deleted_seq
    FROM series FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND field = {field:String} AND NOT deleted
      AND series NOT IN ({hidden:Array(UInt64)})
      AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})
) AS s ON s.series = p.series
WHERE p.tenant = {tenant:String}
  AND p.series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String} AND field = {field:String})
  AND p.seq > s.deleted_seq
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND isNotNull(p.value)
  AND ({good:UInt8} = 0 OR empty(p.marks))
  AND ({mark:String} = '' OR has(p.marks, {mark:String}))
  AND (p.time, p.series, p.ordinal)
      >= (fromUnixTimestamp64Nano({first:Int64}, 'UTC'), {first_series:UInt64}, {first_ordinal:Int64})
ORDER BY p.time, p.series, p.ordinal
LIMIT {limit:UInt32}

-- name: rollup_rows
-- A page of rollup windows, one row a window and set of tags, with the aggregates of each field. Evidence: `count` is
-- the most points any field has in the window.
WITH t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant
SELECT
    instant(r.window) AS time,
    any(s.tags) AS tags,
    toString(s.tags) AS tags_text,
    groupArray(toString(s.field)) AS fields,
    r.COLUMNS(
        -- include: window_aggregate_names
    ) APPLY (groupArray),
    groupArray(r.count) AS counts,
    max(r.count) AS count,
    groupArray(r.series) AS series,
    max(r.late) AS late,
    toUnixTimestamp64Nano(max(r.restated_at)) AS restated_ns,
    max(r.sealed) AS sealed,
    toUnixTimestamp64Nano(r.window) AS ns
FROM rollups AS r FINAL
INNER JOIN (
    SELECT series, field, tags
    FROM series FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND NOT deleted
      AND series NOT IN ({hidden:Array(UInt64)})
      AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})
) AS s ON s.series = r.series
WHERE r.tenant = {tenant:String}
  AND r.every_s = {every_s:UInt32}
  AND r.series IN (SELECT series FROM series WHERE tenant = {tenant:String} AND feed = {feed:String})
  AND r.count > 0
  AND r.window >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND r.window <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
GROUP BY r.window, tags_text
HAVING ({sign:Int8} * ns, tags_text) > ({sign:Int8} * {after_ns:Int64}, {after_tags:String})
ORDER BY {sign:Int8} * ns, tags_text
LIMIT {limit:UInt32}
