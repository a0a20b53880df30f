-- The rejection ledger: the records that did not become points, with the reasons. A record that a replay recovered is
-- left out unless `recovered` is `with` (both kinds) or `only`.

-- fragment: rejections_chosen
-- The rejections that match the filters. Empty texts, series 0 and the widest bounds mean no filter.
FROM rejections FINAL
WHERE tenant = {tenant:String}
  AND ({feed:String} = '' OR feed = {feed:String})
  AND ({receipt:String} = '' OR receipt = {receipt:String})
  AND ({reason:String} = '' OR has(reasons, {reason:String}))
  AND ({series:UInt64} = 0 OR has(series, {series:UInt64}))
  AND ({recovered:String} = 'with' OR (recovered_by != '') = ({recovered:String} = 'only'))
  AND received_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND received_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')

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
