-- What replays change, row by row, as the mill kept it.

-- fragment: differences_chosen
-- The rows of one kind, from `after` on, in their order; without those of series that are being deleted.
FROM replay_differences AS d FINAL
LEFT JOIN (
    SELECT series, toString(field) AS field, tags FROM series FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String}
) AS s ON s.series = d.series
WHERE d.tenant = {tenant:String} AND d.replay = {replay:String} AND d.kind = {kind:String}
    AND d.row >= {after:UInt64} AND d.series NOT IN ({hidden:Array(UInt64)})
ORDER BY d.row
LIMIT {limit:UInt32}

-- fragment: differences_instant
-- A time as RFC 3339 UTC with only as many digits as needed.
WITH t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant

-- name: differences_totals
-- How many rows of each kind are kept of a replay; no row: none are kept.
SELECT toString(kind) AS kind, count() AS total
FROM replay_differences FINAL
WHERE tenant = {tenant:String} AND replay = {replay:String}
GROUP BY kind

-- name: differences_windows
-- Windows that change, those with the largest change of mean first; before them those that appear or disappear.
-- include: differences_instant
SELECT d.row AS row, leftPad(lower(hex(d.series)), 16, '0') AS series, s.field AS field, s.tags AS tags,
    instant(assumeNotNull(d.time)) AS window, d.every_s AS every_s, d.old AS old_mean, d.old_count AS old_count,
    d.new AS new_mean, d.new_count AS new_count
-- include: differences_chosen

-- name: differences_points
-- Points that change, those with the largest change first; before them those that appear or disappear.
-- include: differences_instant
SELECT d.row AS row, leftPad(lower(hex(d.series)), 16, '0') AS series, s.field AS field, s.tags AS tags,
    instant(assumeNotNull(d.time)) AS time, multiIf(d.old_count = 0, 'added', d.new_count = 0, 'removed', 'changed') AS change,
    d.old AS old, d.new AS new
-- include: differences_chosen

-- name: differences_records
-- Records whose outcome changes, in the order of the log.
-- include: differences_instant
SELECT d.row AS row, d.receipt AS receipt, d.idx AS index, if(isNull(d.time), NULL, instant(assumeNotNull(d.time))) AS time,
    multiIf(empty(d.new_reasons), 'accepted', empty(d.old_reasons), 'rejected', 'reasons') AS change,
    CAST(d.old_reasons AS Array(String)) AS old_reasons, CAST(d.new_reasons AS Array(String)) AS new_reasons
-- include: differences_chosen
