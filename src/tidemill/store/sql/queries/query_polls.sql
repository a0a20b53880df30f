-- The poll ledger: the result of each poll of a feed's sources, and how much of a range of time the polls cover.

-- fragment: polls_chosen
-- The polls that match the filters, newest first, before (before_at, before_item). Empty texts mean no filter.
FROM polls AS p FINAL
WHERE p.tenant = {tenant:String}
  AND p.feed = {feed:String}
  AND ({item:String} = '' OR p.item = {item:String})
  AND ({result:String} = '' OR p.result = {result:String})
  AND p.started_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.started_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND (p.started_at, p.item) < (fromUnixTimestamp64Nano({before_at:Int64}, 'UTC'), {before_item:String})
ORDER BY p.started_at DESC, p.item DESC

-- name: polls
-- A page of polls, newest first. A digest, receipt or status that a poll does not have is null.
WITH t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant
SELECT
    toUnixTimestamp64Nano(p.started_at) AS started_ns,
    instant(p.started_at) AS started_at,
    toString(p.feed) AS feed,
    p.item AS item,
    toString(p.result) AS result,
    nullIf(p.status, 0) AS status,
    p.latency_ms AS latency_ms,
    p.bytes AS bytes,
    p.records AS records,
    if(p.sha256 = toFixedString('', 32), NULL, lower(hex(p.sha256))) AS sha256,
    nullIf(p.receipt, '') AS receipt,
    nullIf(p.detail, '') AS detail,
    if(isNull(p.next_due), NULL, instant(assumeNotNull(p.next_due))) AS next_due
-- include: polls_chosen
LIMIT {limit:UInt32}

-- name: polls_beyond
-- The times and items of the last poll of a page and of the first one after it; one row or none: it is the last page.
SELECT toUnixTimestamp64Nano(p.started_at) AS started_ns, p.item AS item
-- include: polls_chosen
LIMIT 2 OFFSET {offset:UInt32}

-- name: polls_exported
-- The same as a file. With `guarded` (for spreadsheets) a text that a spreadsheet would take for a formula gets an
-- apostrophe in front.
WITH
    t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant,
    x -> if({guarded:UInt8} AND match(x, '^[\\s"\']*[=+@\\t\\r\\n＝＋－＠-]'), concat('\'', x), x) AS safe
SELECT
    instant(p.started_at) AS started_at,
    safe(toString(p.feed)) AS feed,
    safe(p.item) AS item,
    safe(toString(p.result)) AS result,
    nullIf(p.status, 0) AS status,
    p.latency_ms AS latency_ms,
    p.bytes AS bytes,
    p.records AS records,
    if(p.sha256 = toFixedString('', 32), NULL, lower(hex(p.sha256))) AS sha256,
    nullIf(p.receipt, '') AS receipt,
    nullIf(safe(p.detail), '') AS detail,
    if(isNull(p.next_due), NULL, instant(assumeNotNull(p.next_due))) AS next_due
-- include: polls_chosen
LIMIT {limit:UInt32}
SETTINGS format_csv_null_representation = ''

-- name: polls_summary
-- Polls by result, how long the source was in each state, and its longest outage, all clipped to [first, end).
--
-- A poll covers the time from its start to the next poll of the same item. If the next poll came more than `slack`
-- after it was due, the poll covers the time until then, and the rest is `unpolled`. `since` is before `first`, so that
-- the newest poll before `first` covers the beginning. An outage is a run of failed polls of one item; the runs
-- (`island`) are numbered by how many useful polls of the item came before.
WITH
    ranked AS (
        SELECT
            p.item AS item,
            toString(p.result) AS outcome,
            p.detail AS why,
            toUnixTimestamp64Nano(p.started_at) AS began,
            began + toInt64(p.latency_ms * 1000000) AS answered,
            greatest(answered, ifNull(toUnixTimestamp64Nano(p.next_due), answered)) AS planned,
            multiIf(p.result = 'empty', 'empty', p.result IN {reached:Array(String)}, 'data', p.status > 0, 'unusable',
                'unreached') AS kind,
            kind IN ('unusable', 'unreached') AS failed,
            leadInFrame(began, 1, {end:Int64}) OVER w AS following,
            countIf(NOT failed) OVER (PARTITION BY p.item ORDER BY p.started_at) AS island,
            leadInFrame(toUInt8(1), 1, toUInt8(0)) OVER w AS followed
        FROM polls AS p FINAL
        WHERE p.tenant = {tenant:String}
          AND p.feed = {feed:String}
          AND ({item:String} = '' OR p.item = {item:String})
          AND p.started_at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')
          AND p.started_at < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
        WINDOW w AS (
            PARTITION BY p.item ORDER BY p.started_at ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        )
    ),
    spans AS (
        SELECT
            *,
            if(following <= planned + {slack:Int64}, following, planned) AS until,
            greatest(0, least(until, {end:Int64}) - greatest(began, {first:Int64})) AS covered,
            greatest(0, least(following, {end:Int64}) - greatest(until, {first:Int64})) AS uncovered
        FROM ranked
    ),
    outages AS (
        SELECT
            item,
            greatest(min(began), {first:Int64}) AS out_from,
            max(following) AS out_to,
            min(followed) AS ended,
            sum(covered) AS lasted,
            count() AS attempts,
            argMax(outcome, began) AS last_outcome,
            argMax(why, began) AS last_why
        FROM spans
        WHERE failed AND following > {first:Int64}
        GROUP BY item, island
    )
SELECT
    totals.*,
    worst.*
FROM (
    SELECT
        min(greatest(began, {first:Int64})) AS from_ns,
        countIf(began >= {first:Int64}) AS polls,
        sumMap(if(began >= {first:Int64}, map(outcome, toUInt64(1)), map())) AS by_result,
        sumIf(covered, kind = 'data') AS data,
        sumIf(covered, kind = 'empty') AS empty,
        sumIf(covered, kind = 'unusable') AS unusable,
        sumIf(covered, kind = 'unreached') AS unreached,
        sum(uncovered) AS unpolled
    FROM spans
) AS totals
CROSS JOIN (
    SELECT
        max(lasted) AS out_ns,
        argMax((item, out_from, out_to, ended, attempts, last_outcome, last_why), lasted) AS outage
    FROM outages
) AS worst
