-- Search of series by words, with the number of all that match, and how many of them have each value (facets).

-- fragment: series_found
-- The series that match the filters of series_page and every one of `words` (of any case), somewhere in the name, the
-- field, the feed or a value of a tag.
FROM series FINAL
WHERE tenant = {tenant:String}
  AND NOT deleted
  AND series NOT IN ({hidden:Array(UInt64)})
  AND ({feed:String} = '' OR feed = {feed:String})
  AND ({field:String} = '' OR field = {field:String})
  AND ({name:String} = '' OR name = {name:String})
  AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})
  AND (empty({words:Array(String)}) OR arrayAll(at -> at > 0, multiSearchAllPositionsCaseInsensitiveUTF8(
      concat(name, '\n', field, '\n', feed, '\n', arrayStringConcat(mapValues(tags), '\n')), {words:Array(String)})))

-- fragment: series_sorted
-- What a search is sorted by: `sort` is `match`, `name` or else the feed. A match at the begin of the name, the field or
-- a value of a tag comes before one at the begin of a word, and that before any other.
multiIf(
    {sort:String} = 'name', (name, toString(feed), toString(field), series),
    {sort:String} = 'match', (concat(multiIf(
            startsWithCaseInsensitiveUTF8(name, {first:String}) OR startsWithCaseInsensitiveUTF8(field, {first:String})
                OR arrayExists(v -> startsWithCaseInsensitiveUTF8(v, {first:String}), mapValues(tags)), '0',
            positionCaseInsensitiveUTF8(concat(' ', name, ' ', field, ' ', arrayStringConcat(mapValues(tags), ' ')),
                concat(' ', {first:String})) > 0, '1',
            '2'), toString(feed)), name, toString(field), series),
    (toString(feed), name, toString(field), series))

-- name: series_search
-- By feed and field: how many series match, and the keys of the first of them after a key (`after_*`: where the last
-- page ended), at most 101.
SELECT toString(feed) AS feed, toString(field) AS field, count() AS n, groupArraySortedIf(101)(
    -- include: series_sorted
    AS key, key > ({after_first:String}, {after_second:String}, {after_third:String}, {after_series:UInt64})) AS keys
-- include: series_found
GROUP BY feed, field

-- name: series_search_long
-- The same with at most 1001 keys.
SELECT toString(feed) AS feed, toString(field) AS field, count() AS n, groupArraySortedIf(1001)(
    -- include: series_sorted
    AS key, key > ({after_first:String}, {after_second:String}, {after_third:String}, {after_series:UInt64})) AS keys
-- include: series_found
GROUP BY feed, field

-- name: series_tag_facets
-- How many of the series that match have each value of each of these tags (none: of every tag): the most frequent.
SELECT tag, value, count() AS n
FROM (
    SELECT arrayJoin(tags) AS pair, pair.1 AS tag, pair.2 AS value
    -- include: series_found
)
WHERE empty({facet_tags:Array(String)}) OR has({facet_tags:Array(String)}, tag)
GROUP BY tag, value
ORDER BY n DESC, value
LIMIT {values:UInt32} BY tag

-- name: series_by_ids
-- Of these series: what they are; counts and times of their points with `extent`.
SELECT series, toString(feed) AS feed, name, toString(field) AS field, tags, unit, deleted_seq
FROM series FINAL
WHERE tenant = {tenant:String} AND NOT deleted AND series IN {series:Array(UInt64)}

-- name: series_extents
-- Of each of these series that has points: how many rows there are, how many of them have a value, and the first and the
-- last time (ns). `deleted_seqs`: up to which offset the points of each are deleted.
SELECT p.series AS series, count() AS rows, count(p.value) AS valued,
    toUnixTimestamp64Nano(min(p.time)) AS first_ns, toUnixTimestamp64Nano(max(p.time)) AS last_ns
FROM points AS p FINAL
WHERE p.tenant = {tenant:String} AND p.series IN {series:Array(UInt64)}
  AND (arrayMax({deleted_seqs:Array(UInt64)}) = 0
      OR p.seq > transform(p.series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0)))
GROUP BY p.series

-- name: series_extents_by_part
-- The same in each part of the table, without FINAL: in a tenth of the time. A part that was merged once has no row twice.
SELECT p.series AS series, _part_index AS number, toString(any(_part)) AS part, count() AS rows,
    countIf(NOT p.value.null) AS valued, toUnixTimestamp64Nano(min(p.time)) AS first_ns,
    toUnixTimestamp64Nano(max(p.time)) AS last_ns
FROM points AS p
WHERE p.tenant = {tenant:String} AND p.series IN {series:Array(UInt64)}
GROUP BY series, number
ORDER BY series, first_ns

-- name: series_instants_in_parts
-- How many rows and how many instants these series have in each of these parts.
SELECT p.series AS series, toString(_part) AS part, count() AS rows, uniqExact(p.time, p.ordinal) AS instants
FROM points AS p
WHERE p.tenant = {tenant:String} AND p.series IN {series:Array(UInt64)} AND _part IN {parts:Array(String)}
GROUP BY series, part

-- name: series_values_at
-- The values of series at one time (ns) each, side by side with `series`. Of several points of an instant (`ordinal`) the
-- first, or with `newest` the last.
SELECT p.series AS series, if({newest:UInt8} = 1,
    argMax(tuple(p.value), (p.ordinal, p.version)).1, argMin(tuple(p.value), (p.ordinal, -p.version)).1) AS value
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND (p.series, p.time) IN (
      SELECT one, fromUnixTimestamp64Nano(at, 'UTC')
      FROM (SELECT {series:Array(UInt64)} AS ones, {times:Array(Int64)} AS ats) ARRAY JOIN ones AS one, ats AS at)
GROUP BY series

-- name: series_deleted
-- The sum of the hashes of a tenant's deleted series: another one after a deletion.
SELECT toString(sumIf(cityHash64(series, deleted_seq), deleted)) AS hash FROM series FINAL WHERE tenant = {tenant:String}

-- name: series_words
-- Every series of a tenant with what a search looks at, by feed, name, field and id.
SELECT series, toString(feed) AS feed, name, toString(field) AS field, mapKeys(tags) AS tag_keys,
    mapValues(tags) AS tag_values
FROM series FINAL
WHERE tenant = {tenant:String} AND NOT deleted
ORDER BY feed, name, field, series
LIMIT {limit:UInt32}
