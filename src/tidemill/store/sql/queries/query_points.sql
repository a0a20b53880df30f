-- Points of one series: raw, page by page, or aggregated over windows.

-- fragment: points_range
-- The points of a series over a range. `good` 1: only points that no rule flagged. `mark`: only points with this mark.
FROM points AS p FINAL
-- include: points_chosen

-- fragment: points_chosen
-- The conditions of points_range.
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.seq > {deleted_seq:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND ({good:UInt8} = 0 OR empty(p.marks))
  AND ({mark:String} = '' OR has(p.marks, {mark:String}))

-- fragment: points_page
-- Of them the points from (first, first_ordinal) to (last, last_ordinal), both included; `sign` -1: in descending
-- order.
  AND (p.time > fromUnixTimestamp64Nano({first:Int64}, 'UTC') OR p.ordinal >= {first_ordinal:Int64})
  AND (p.time < fromUnixTimestamp64Nano({last:Int64}, 'UTC') OR p.ordinal <= {last_ordinal:Int64})
ORDER BY {sign:Int8} * toUnixTimestamp64Nano(p.time), {sign:Int8} * p.ordinal

-- fragment: points_zoned
-- Time and value as texts show them: RFC 3339 in a zone.
WITH
    t -> replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T') AS digits,
    t -> formatDateTime(t, '%z') AS offset
SELECT
    if({tz:String} = 'UTC',
        concat(digits(p.time), 'Z'),
        concat(
            digits(toTimeZone(p.time, {tz:String})),
            substring(offset(toTimeZone(p.time, {tz:String})), 1, 3),
            ':',
            substring(offset(toTimeZone(p.time, {tz:String})), 4, 2)
        )
    ) AS time,
    p.value AS value

-- fragment: points_date
-- The begin (ns) of the days, weeks, months or years that a time `clock` is in.
toUnixTimestamp64Nano(toDateTime64(multiIf(
    {unit:String} = 'd', toStartOfInterval(clock, toIntervalDay({count:Int64}), 'UTC'),
    {unit:String} = 'w', toStartOfInterval(clock, toIntervalWeek({count:Int64}), 'UTC'),
    {unit:String} = 'mo', toStartOfInterval(clock, toIntervalMonth({count:Int64}), 'UTC'),
    toStartOfInterval(clock, toIntervalYear({count:Int64}), 'UTC')
), 9, 'UTC'))

-- fragment: points_calendar
-- The window of a point: a query in layers around `p`, so that each expression is planned once. `window` is the start
-- in ns of the window of `count` `unit`s that p.time is in, as points_windows says; `label` is the wall clock rounded
-- down. query/wall_clock.py describes the tables of offset changes, and why the look-up finds the right change.
-- `closed_right` 1: a window includes its end and not its start. The text ends before the innermost FROM;
-- points_calendar_end closes it.
SELECT
    *,
    multiIf(
        {unit:String} IN ('ns', 'us', 'ms', 's'),
        label,
        label >= wall_changed,
        greatest(label - offset_after, changed),
        ns_at >= changed AND label - offset_after >= changed AND offset_before - offset_after >= {length:Int64},
        label - offset_after,
        greatest(label - offset_before, previous)
    ) AS window
FROM (
SELECT
    *,
    {changes:Array(Int64)}[i] AS changed,
    {wall_changes:Array(Int64)}[i] AS wall_changed,
    {previous:Array(Int64)}[i] AS previous,
    {offset_before:Array(Int64)}[i] AS offset_before,
    {offset_after:Array(Int64)}[i] AS offset_after
FROM (
SELECT
    *,
    {by_wall:Array(UInt16)}[least(greatest(
        bitShiftRight(label, {bits:UInt8}) - {first_wall_bucket:Int64} + 1, 1), {wall_buckets:Int64})] AS i
FROM (
SELECT
    *,
    multiIf(
        {unit:String} IN ('ns', 'us', 'ms', 's'), ns_at - positiveModulo(ns_at, {length:Int64}),
        {unit:String} IN ('m', 'h'), wall - positiveModulo(wall, {length:Int64}),
        -- include: points_date
    ) AS label
FROM (
SELECT *, fromUnixTimestamp64Nano(wall, 'UTC') AS clock
FROM (
SELECT
    *,
    ns_at + if(
        ns_at < {changes:Array(Int64)}[change],
        {offset_before:Array(Int64)}[change],
        {offset_after:Array(Int64)}[change]
    ) AS wall
FROM (
SELECT
    *,
    {by_change:Array(UInt16)}[least(greatest(
        bitShiftRight(ns_at, {bits:UInt8}) - {first_bucket:Int64} + 1, 1), {buckets:Int64})] AS change
FROM (
SELECT p.*, toUnixTimestamp64Nano(p.time) - {closed_right:Int64} AS ns_at

-- fragment: points_calendar_end
-- Closes the layers of points_calendar.
)))))))) AS p

-- fragment: points_aggregates
-- The aggregates of a window of points. The dear ones are only worked out when `agg` names them.
    least(greatest(sumKahan(p.value) / count(p.value), min(p.value)), max(p.value)) AS mean,
    min(p.value) AS min,
    max(p.value) AS max,
    sumKahan(p.value) AS sum,
    count(p.value) AS count,
    argMinIf(p.value, (p.time, p.ordinal), has({agg:Array(String)}, 'first')) AS first,
    argMaxIf(p.value, (p.time, p.ordinal), has({agg:Array(String)}, 'last')) AS last,
    if(count(p.value) > 1, stddevSampStableIf(p.value, has({agg:Array(String)}, 'stddev')), NULL) AS stddev,
    quantileExactInclusiveIf(0.5)(p.value, has({agg:Array(String)}, 'median')) AS median

-- fragment: points_rises
-- The points of a range with a value, each with its `rise` over the point before it, the time of which (ns) is
-- `ns_before`; null: there is none. A counter that falls began again at 0. `first` is the time of the point before the
-- range, which has its rise outside of it; the range begins at `begin`.
(
SELECT time, ordinal, value, ns_before, if(isNull(before), NULL, if(value >= before, value - before, greatest(value, 0)))
    AS rise
FROM (
SELECT
    p.time AS time,
    p.ordinal AS ordinal,
    p.value AS value,
    any(p.value) OVER previous AS before,
    any(toNullable(toUnixTimestamp64Nano(p.time))) OVER previous AS ns_before
-- include: points_range
  AND isNotNull(p.value)
WINDOW previous AS (ORDER BY p.time, p.ordinal ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING)
)
WHERE time >= fromUnixTimestamp64Nano({begin:Int64}, 'UTC')
) AS p

-- fragment: points_increase
-- The increase of a counter in a window, from the point before the window on, and the same for each second from that
-- point to the window's last one. Null: no point of the window has one before it; the rate also where no time passed.
    sumKahan(p.rise) AS increase,
    if(max(p.time) > fromUnixTimestamp64Nano(min(p.ns_before), 'UTC'),
        increase * 1e9 / (toUnixTimestamp64Nano(max(p.time)) - min(p.ns_before)), NULL) AS rate

-- name: points_before_any
-- The times (ns) of points with a value in a range, the latest first, after `offset` of them: also of points that others
-- have replaced. Reads no more than these: without FINAL.
SELECT toUnixTimestamp64Nano(p.time) AS ns
FROM points AS p
-- include: points_chosen
  AND isNotNull(p.value)
ORDER BY p.tenant DESC, p.series DESC, p.time DESC, p.ordinal DESC
LIMIT 1 OFFSET {offset:UInt64}

-- name: points_before
-- The time (ns) of the latest current point with a value in a range; no row: there is none.
SELECT toUnixTimestamp64Nano(max(p.time)) AS ns
-- include: points_range
  AND isNotNull(p.value)
HAVING count() > 0

-- name: points_ahead
-- The end of a page in ascending order: (ns, ordinal) of the first point that no longer fits. No row: all points fit.
SELECT toUnixTimestamp64Nano(p.time) AS ns, p.ordinal AS ordinal
-- include: points_range
  AND (p.time > fromUnixTimestamp64Nano({first:Int64}, 'UTC') OR p.ordinal >= {first_ordinal:Int64})
ORDER BY p.tenant, p.series, p.time, p.ordinal
LIMIT 1 OFFSET {limit:UInt32}

-- name: points_behind
-- The same in descending order.
SELECT toUnixTimestamp64Nano(p.time) AS ns, p.ordinal AS ordinal
-- include: points_range
  AND (p.time < fromUnixTimestamp64Nano({last:Int64}, 'UTC') OR p.ordinal <= {last_ordinal:Int64})
ORDER BY p.tenant DESC, p.series DESC, p.time DESC, p.ordinal DESC
LIMIT 1 OFFSET {limit:UInt32}

-- name: points_text
-- A page of points from (first, first_ordinal) to (last, last_ordinal), both included, for text formats: RFC 3339 times
-- in a zone. `sign` is 1 for ascending, -1 for descending order.
-- include: points_zoned
-- include: points_range
-- include: points_page
SETTINGS format_csv_null_representation = ''

-- name: points_flagged
-- The same with each point's marks and the words of its flags: `flags` are those of the bits, the lowest first.
-- include: points_zoned
    , if(p.flags = 0, emptyArrayString(), arrayFilter(
        (word, bit) -> bitTest(p.flags, bit - 1), {flags:Array(String)}, arrayEnumerate({flags:Array(String)})
    )) AS flags
    , CAST(p.marks AS Array(String)) AS marks
-- include: points_range
-- include: points_page
SETTINGS format_csv_null_representation = ''

-- name: points_flagged_csv
-- The same with marks and words joined by spaces.
-- include: points_zoned
    , if(p.flags = 0, '', arrayStringConcat(arrayFilter(
        (word, bit) -> bitTest(p.flags, bit - 1), {flags:Array(String)}, arrayEnumerate({flags:Array(String)})
    ), ' ')) AS flags
    , arrayStringConcat(p.marks, ' ') AS marks
-- include: points_range
-- include: points_page
SETTINGS format_csv_null_representation = ''

-- name: points_typed
-- The same for columnar formats: times as timestamps in ns UTC.
SELECT p.time AS time, p.value AS value
-- include: points_range
-- include: points_page

-- name: points_windows
-- Aggregates over windows of `count` `unit`s, in order of the windows' starts (ns). Windows shorter than a minute count
-- from the epoch; minutes, hours, days, weeks (from Monday), months and years follow the wall clock and the calendar of
-- a zone: a day of a clock change has 23 or 25 hours. Missing samples (null) are left out. Expensive aggregates are
-- computed only when `agg` names them.
SELECT
    window AS ns,
    -- include: points_aggregates
FROM (
-- include: points_calendar
FROM (SELECT p.time, p.ordinal, p.value
-- include: points_range
  AND isNotNull(p.value)
) AS p
-- include: points_calendar_end
GROUP BY ns
HAVING ns > {after:Int64}
ORDER BY ns
LIMIT {limit:UInt32}
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: points_windows_utc
-- The same in UTC, whose clock never changes: with less to plan.
WITH
    toUnixTimestamp64Nano(p.time) - {closed_right:Int64} AS ns_at,
    fromUnixTimestamp64Nano(ns_at, 'UTC') AS clock
SELECT
    if(
        {unit:String} IN ('ns', 'us', 'ms', 's', 'm', 'h'),
        ns_at - positiveModulo(ns_at, {length:Int64}),
        -- include: points_date
    ) AS ns,
    -- include: points_aggregates
-- include: points_range
  AND isNotNull(p.value)
GROUP BY ns
HAVING ns > {after:Int64}
ORDER BY ns
LIMIT {limit:UInt32}
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: points_counter_windows
-- The same with the increase and the rate of a counter.
SELECT
    window AS ns,
    -- include: points_aggregates
    ,
    -- include: points_increase
FROM (
-- include: points_calendar
FROM
-- include: points_rises
-- include: points_calendar_end
GROUP BY ns
HAVING ns > {after:Int64}
ORDER BY ns
LIMIT {limit:UInt32}
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: points_counter_windows_utc
-- The same in UTC.
WITH
    toUnixTimestamp64Nano(p.time) - {closed_right:Int64} AS ns_at,
    fromUnixTimestamp64Nano(ns_at, 'UTC') AS clock
SELECT
    if(
        {unit:String} IN ('ns', 'us', 'ms', 's', 'm', 'h'),
        ns_at - positiveModulo(ns_at, {length:Int64}),
        -- include: points_date
    ) AS ns,
    -- include: points_aggregates
    ,
    -- include: points_increase
FROM
-- include: points_rises
GROUP BY ns
HAVING ns > {after:Int64}
ORDER BY ns
LIMIT {limit:UInt32}
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: window_start
-- The start (ns) of the window that an instant is in, by the same rules, and what the wall clock shows then (`label`).
SELECT window AS ns, label
FROM (
-- include: points_calendar
FROM (SELECT fromUnixTimestamp64Nano({at:Int64}, 'UTC') AS time) AS p
-- include: points_calendar_end
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: points_extent
-- The first and the last time (ns) of points in a range, also of points that are deleted or replaced; no row: no
-- points.
SELECT toUnixTimestamp64Nano(min(p.time)) AS first, toUnixTimestamp64Nano(max(p.time)) AS last
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
HAVING count() > 0
