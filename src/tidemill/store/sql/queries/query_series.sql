-- Series: their descriptions and the extent of their points. `hidden` holds series whose deletion is acknowledged but
-- not yet applied; a deleted series, and points up to `deleted_seq`, are in no answer.

-- name: series_page
-- A page of series by (feed, name, field, id). Empty text means no filter; `tag_keys` and `tag_values` are pairs;
-- (after_*) is where the last page ended.
SELECT series, toString(feed) AS feed, name, toString(field) AS field, tags, unit, deleted_seq
FROM series FINAL
WHERE tenant = {tenant:String}
  AND NOT deleted
  AND series NOT IN ({hidden:Array(UInt64)})
  AND ({feed:String} = '' OR feed = {feed:String})
  AND ({field:String} = '' OR field = {field:String})
  AND ({name:String} = '' OR name = {name:String})
  AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})
  AND (toString(feed), name, toString(field), series)
      > ({after_feed:String}, {after_name:String}, {after_field:String}, {after_series:UInt64})
ORDER BY feed, name, field, series
LIMIT {limit:UInt32}

-- name: series_count
-- How many series there are, by feed, with the filters of series_page.
SELECT count() AS count, sumMap(map(toString(feed), toUInt64(1))) AS by_feed
FROM series FINAL
WHERE tenant = {tenant:String}
  AND NOT deleted
  AND series NOT IN ({hidden:Array(UInt64)})
  AND ({feed:String} = '' OR feed = {feed:String})
  AND ({field:String} = '' OR field = {field:String})
  AND ({name:String} = '' OR name = {name:String})
  AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})

-- name: series_row
-- The description of one series; no row if there is no such series or it is deleted.
SELECT feed, name, field, tags, unit, description, deleted_seq
FROM series FINAL
WHERE tenant = {tenant:String} AND series = {series:UInt64} AND NOT deleted

-- name: series_rows_from
-- The descriptions of at most `limit` series from an id on, by id.
SELECT series, feed, name, field, tags, unit, description, deleted_seq
FROM series FINAL
WHERE tenant = {tenant:String} AND series >= {series:UInt64} AND NOT deleted
ORDER BY tenant, series
LIMIT {limit:UInt32}

-- name: series_rows
-- How many rows the table has of a series, also replaced and deleted ones: by the key alone, nothing is read.
SELECT count() AS rows
FROM points
WHERE tenant = {tenant:String} AND series = {series:UInt64}

-- name: series_sample_count
-- How many samples a series has.
SELECT count() AS samples
FROM points FINAL
WHERE tenant = {tenant:String} AND series = {series:UInt64} AND seq > {deleted_seq:UInt64}

-- name: series_samples
-- Every sample of a series over a range, in time order: the value (NaN: missing) and the time in ns. In the order of
-- the table's key: read without sorting, and sent while it is read.
SELECT ifNull(p.value, nan) AS value, toUnixTimestamp64Nano(p.time) AS ns
FROM points AS p FINAL
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.seq > {deleted_seq:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
ORDER BY p.tenant, p.series, p.time, p.ordinal

-- name: series_plain_arrays
-- As series_arrays, without FINAL: also rows that others replaced (then two have one time).
SELECT toUnixTimestamp64Nano(p.time) AS ns, p.value AS value
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
LIMIT {limit:UInt32}

-- name: series_arrays
-- Times (ns) and values of a series over a range, at most `limit`, in no order (analysis sorts columns that are nearly
-- sorted in a tenth of the time that ORDER BY takes beside FINAL): what analysis works on.
SELECT toUnixTimestamp64Nano(p.time) AS ns, p.value AS value
FROM points AS p FINAL
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.seq > {deleted_seq:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
LIMIT {limit:UInt32}

-- name: series_chosen
-- The descriptions of series by ids (none: any) and the filters of series_page, by feed, name, field and id.
SELECT series, feed, name, field, tags, unit, description, deleted_seq
FROM series FINAL
WHERE tenant = {tenant:String}
  AND NOT deleted
  AND series NOT IN ({hidden:Array(UInt64)})
  AND (empty({series:Array(UInt64)}) OR series IN {series:Array(UInt64)})
  AND ({feed:String} = '' OR feed = {feed:String})
  AND ({field:String} = '' OR field = {field:String})
  AND ({name:String} = '' OR name = {name:String})
  AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)})
ORDER BY toString(feed), name, toString(field), series
LIMIT {limit:UInt32}
