-- The rejection ledger: the records that did not become points, with the reasons. A record that a replay recovered is
-- left out unless `recovered` is `with` (both kinds) or `only`.

-- fragment: rejections_chosen
-- The rejections that match the filters. Empty texts and lists, series 0 and the widest bounds mean no filter. `timed`:
-- only those of records with a time from `first_time` to `last_time`. `tag_keys` and `tag_values` are pairs: the tags
-- of a record are those of its series where the store has it, else what its JSON has at the paths of rejections_tag.
FROM rejections FINAL
WHERE tenant = {tenant:String}
  AND ({feed:String} = '' OR feed = {feed:String})
  AND ({receipt:String} = '' OR receipt = {receipt:String})
  AND (empty({reasons:Array(String)}) OR hasAny(CAST(reasons AS Array(String)), {reasons:Array(String)}))
  AND ({series:UInt64} = 0 OR has(series, {series:UInt64}))
  AND ({recovered:String} = 'with' OR (recovered_by != '') = ({recovered:String} = 'only'))
  AND received_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND received_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND (NOT {timed:Bool} OR time >= fromUnixTimestamp64Nano({first_time:Int64}, 'UTC')
       AND time <= fromUnixTimestamp64Nano({last_time:Int64}, 'UTC'))
  AND (empty({tag_keys:Array(String)})
       OR series[1] IN (
           SELECT s.series FROM series AS s FINAL
           WHERE s.tenant = {tenant:String} AND notEmpty({tag_keys:Array(String)})
             AND arrayAll((k, v) -> s.tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)}))
       OR series[1] NOT IN (
           SELECT s.series FROM series AS s FINAL
           WHERE s.tenant = {tenant:String} AND notEmpty({tag_keys:Array(String)}))
         AND arrayAll((tag, wanted) ->
             -- include: rejections_tag
             = wanted, {tag_keys:Array(String)}, {tag_values:Array(String)}))

-- fragment: rejections_tag
-- The text of `tag` in the JSON of a record; empty where there is none. `path_of` has the feed and the tag of each
-- known path, joined by a line feed, `path_first` and `path_second` its keys (an empty one: it has one key only).
arrayElement([
    JSONExtractString(record, {path_first:Array(String)}[indexOf({path_of:Array(String)}, concat(toString(feed), '\n', tag))]),
    JSONExtractString(record,
        {path_first:Array(String)}[indexOf({path_of:Array(String)}, concat(toString(feed), '\n', tag))],
        {path_second:Array(String)}[indexOf({path_of:Array(String)}, concat(toString(feed), '\n', tag))])
], if({path_second:Array(String)}[indexOf({path_of:Array(String)}, concat(toString(feed), '\n', tag))] = '', 1, 2))

-- fragment: rejections_before
-- Of them those that come after a page: newest first, by offset, then by index in the payload. Where the log has
-- several partitions (else the lists are empty): those after the page's end in each partition.
  AND (seq, idx) < ({before_seq:UInt64}, {before_idx:UInt64})
  AND (empty({before_seqs:Array(UInt64)}) OR (seq, idx) < (
      {before_seqs:Array(UInt64)}[bitShiftRight(seq, 40) + 1], {before_idxs:Array(UInt64)}[bitShiftRight(seq, 40) + 1]))
ORDER BY seq DESC, idx DESC

-- fragment: rejections_exported
-- The chosen rejections `r` with the receipts `w` of the records that superseded duplicates. Many rejections are sorted
-- on disk: records are up to 64 KiB each.
FROM (
    SELECT *
    -- include: rejections_chosen
    -- include: rejections_before
    LIMIT {limit:UInt32}
) AS r
LEFT JOIN (
    SELECT DISTINCT seq, receipt
    FROM payloads
    WHERE tenant = {tenant:String} AND seq IN (SELECT winner_seq FROM rejections WHERE tenant = {tenant:String})
) AS w ON w.seq = r.winner_seq
ORDER BY r.seq DESC, r.idx DESC
SETTINGS max_bytes_before_external_sort = 200000000, format_csv_null_representation = ''

-- name: rejections
-- A page of rejections, newest first: by offset, then by index in the payload, both descending. The inner query finds
-- the page by its narrow columns, so that the records of other pages are never read. The page holds the rejections
-- before (before_seq, before_idx).
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
    r.series AS series,
    r.winner_seq AS winner_seq,
    r.winner_idx AS winner_idx,
    r.recovered_by AS recovered_by,
    if(isNull(r.recovered_at), NULL, instant(assumeNotNull(r.recovered_at))) AS recovered_at
FROM rejections AS r FINAL
WHERE r.tenant = {tenant:String} AND (r.feed, r.seq, r.idx) IN (
    SELECT feed, seq, idx
    -- include: rejections_chosen
    -- include: rejections_before
    LIMIT {limit:UInt32}
)
ORDER BY seq DESC, idx DESC

-- name: rejections_beyond
-- The offsets and indexes of the last rejection of a page and of the first one after it; one row or none: it is the
-- last page.
SELECT seq, idx
-- include: rejections_chosen
-- include: rejections_before
LIMIT 2 OFFSET {offset:UInt32}

-- name: rejections_text
-- An export as lines of JSON: times as RFC 3339, series ids as the API shows them, the record as the text that was
-- sent.
WITH t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant
SELECT
    toString(r.feed) AS feed,
    r.receipt AS receipt,
    r.idx AS index,
    instant(r.received_at) AS received_at,
    if(isNull(r.time), NULL, instant(assumeNotNull(r.time))) AS time,
    CAST(r.reasons AS Array(String)) AS reasons,
    r.detail AS detail,
    r.record AS record,
    r.rules_version AS rules_version,
    arrayMap(id -> leftPad(lower(hex(id)), 16, '0'), r.series) AS series,
    nullIf(w.receipt, '') AS winner_receipt,
    if(r.winner_seq = 0, NULL, r.winner_idx) AS winner_index,
    nullIf(toString(r.recovered_by), '') AS recovered_by,
    if(isNull(r.recovered_at), NULL, instant(assumeNotNull(r.recovered_at))) AS recovered_at
-- include: rejections_exported

-- name: rejections_csv
-- The same for spreadsheets: lists are joined by spaces, and a text that a spreadsheet would take for a formula gets an
-- apostrophe in front (`safe`): a text that begins with = + - @, a tab or an end of line, also behind blanks or quotes.
WITH
    t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant,
    x -> if(match(x, '^[\\s"\']*[=+@\\t\\r\\n＝＋－＠-]'), concat('\'', x), x) AS safe
SELECT
    safe(toString(r.feed)) AS feed,
    safe(r.receipt) AS receipt,
    r.idx AS index,
    instant(r.received_at) AS received_at,
    if(isNull(r.time), NULL, instant(assumeNotNull(r.time))) AS time,
    safe(arrayStringConcat(r.reasons, ' ')) AS reasons,
    safe(r.detail) AS detail,
    safe(r.record) AS record,
    r.rules_version AS rules_version,
    arrayStringConcat(arrayMap(id -> leftPad(lower(hex(id)), 16, '0'), r.series), ' ') AS series,
    nullIf(safe(w.receipt), '') AS winner_receipt,
    if(r.winner_seq = 0, NULL, r.winner_idx) AS winner_index,
    nullIf(safe(toString(r.recovered_by)), '') AS recovered_by,
    if(isNull(r.recovered_at), NULL, instant(assumeNotNull(r.recovered_at))) AS recovered_at
-- include: rejections_exported

-- name: rejections_typed
-- The same for columnar formats: times as timestamps in ns UTC.
SELECT
    toString(r.feed) AS feed,
    r.receipt AS receipt,
    r.idx AS index,
    r.received_at AS received_at,
    r.time AS time,
    CAST(r.reasons AS Array(String)) AS reasons,
    r.detail AS detail,
    r.record AS record,
    r.rules_version AS rules_version,
    arrayMap(id -> leftPad(lower(hex(id)), 16, '0'), r.series) AS series,
    nullIf(w.receipt, '') AS winner_receipt,
    if(r.winner_seq = 0, NULL, r.winner_idx) AS winner_index,
    nullIf(toString(r.recovered_by), '') AS recovered_by,
    r.recovered_at AS recovered_at
-- include: rejections_exported

-- name: rejections_summary
-- How many records were rejected, by reason (a record with two reasons counts under both) and by feed.
SELECT
    count() AS total,
    sumMap(mapFromArrays(codes, arrayMap(code -> toUInt64(1), codes))) AS by_reason,
    sumMap(map(name, toUInt64(1))) AS by_feed
FROM (
    SELECT arrayDistinct(CAST(reasons AS Array(String))) AS codes, toString(feed) AS name
    -- include: rejections_chosen
)

-- name: rejections_windows
-- How many records were rejected in each window of received_at, or with `of_record` of the records' own times (records
-- without a time are in none), by reason; in order of time.
SELECT window AS ns, count() AS total,
    sumMap(mapFromArrays(codes, arrayMap(code -> toUInt64(1), codes))) AS by_reason
FROM (
-- include: points_calendar
FROM (
    SELECT if({of_record:Bool}, assumeNotNull(at), received_at) AS time, codes
    FROM (
        SELECT time AS at, received_at, arrayDistinct(CAST(reasons AS Array(String))) AS codes
        -- include: rejections_chosen
          AND (NOT {of_record:Bool} OR isNotNull(time))
    )
) AS p
-- include: points_calendar_end
GROUP BY ns
ORDER BY ns
LIMIT {limit:UInt32}
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: rejections_extent
-- The first and the last received_at, or with `of_record` time of record, of the chosen rejections; no row: none.
SELECT toUnixTimestamp64Nano(min(instant)) AS first, toUnixTimestamp64Nano(max(instant)) AS last
FROM (
    SELECT if({of_record:Bool}, assumeNotNull(time), received_at) AS instant
    -- include: rejections_chosen
      AND (NOT {of_record:Bool} OR isNotNull(time))
)
HAVING count() > 0

-- name: rejections_facets
-- How many records were rejected, by the values of each facet: `feed`, `reason`, or `tag.` and the name of a tag. Of
-- each facet the most frequent values. A record with two reasons counts under both; one without the tag under none.
SELECT facet, value, count() AS count
FROM (
    SELECT
        facet,
        arrayJoin(multiIf(
            facet = 'feed', [name],
            facet = 'reason', codes,
            [if(known != '', known, written)]
        )) AS value
    FROM (
        SELECT r.name AS name, r.codes AS codes, facet, s.tags[substring(facet, 5)] AS known, written
        FROM (
            SELECT
                name, codes, first_series, facet,
                if(startsWith(facet, 'tag.'), text_of, '') AS written
            FROM (
                SELECT
                    toString(feed) AS name,
                    arrayDistinct(CAST(reasons AS Array(String))) AS codes,
                    series[1] AS first_series,
                    arrayJoin({facets:Array(String)}) AS facet,
                    substring(facet, 5) AS tag,
                    -- include: rejections_tag
                    AS text_of
                -- include: rejections_chosen
            )
        ) AS r
        LEFT JOIN (
            SELECT series, tags FROM series FINAL WHERE tenant = {tenant:String} AND {tagged:Bool}
        ) AS s ON s.series = r.first_series
    )
)
WHERE value != ''
GROUP BY facet, value
ORDER BY facet, count DESC, value
LIMIT {limit:UInt32} BY facet
