-- The points that analyses read, and the state of a series on which their answers depend.

-- name: analysis_state
-- The state of the points of a series in a range: how many rows there are, the sum of their hashes, the highest offset
-- and the last instant (ns). Anything that changes an answer changes a row: a point that comes, is replaced, withdrawn
-- or deleted. Without FINAL: rows that others replaced count until the store merges them, and then the state changes
-- without need, which costs one computation. Asked with `deleted_seq` 0 beside the description of the series, and again
-- where that says otherwise: a subquery for it costs as much as all the rest.
SELECT
    count() AS rows,
    toString(sum(cityHash64(
        p.time, p.ordinal, p.version, p.seq, p.idx, isNull(p.value), ifNull(p.value, 0)))) AS hash,
    max(p.seq) AS seq,
    toUnixTimestamp64Nano(max(p.time)) AS last
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.seq > {deleted_seq:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')

-- name: analysis_begin
-- The time (ns) from which the last `points` instants with a value in a range begin; no row: there are fewer. Reads the
-- last `rows` rows only, without FINAL, in which points that others replaced count once.
SELECT min(ns) AS ns
FROM (
    SELECT DISTINCT ns
    FROM (
        SELECT toUnixTimestamp64Nano(p.time) AS ns
        FROM points AS p
        WHERE p.tenant = {tenant:String}
          AND p.series = {series:UInt64}
          AND p.seq > {deleted_seq:UInt64}
          AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
          AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
          AND isNotNull(p.value)
        ORDER BY p.tenant DESC, p.series DESC, p.time DESC, p.ordinal DESC
        LIMIT {rows:UInt64}
    )
    ORDER BY ns DESC
    LIMIT {points:UInt64}
)
HAVING count() = {points:UInt64}
