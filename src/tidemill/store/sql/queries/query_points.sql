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

-- fragment: points_of_series
-- The points of several series over a range. `deleted_seqs` and `firsts` (ns) are those of `series`, side by side.
-- `nulls` 1: also missing samples. `good` and `mark` as in points_chosen.
FROM points AS p FINAL
-- include: points_of_series_chosen

-- fragment: points_of_series_chosen
-- The conditions of points_of_series.
WHERE p.tenant = {tenant:String}
  AND p.series IN {series:Array(UInt64)}
  AND (arrayMax({deleted_seqs:Array(UInt64)}) = 0
       OR p.seq > transform(p.series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0)))
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND (arrayUniq({firsts:Array(Int64)}) = 1
       OR toUnixTimestamp64Nano(p.time) >= transform(p.series, {series:Array(UInt64)}, {firsts:Array(Int64)}, {first:Int64}))
  AND ({nulls:UInt8} = 1 OR isNotNull(p.value))
  AND ({good:UInt8} = 0 OR empty(p.marks))
  AND ({mark:String} = '' OR has(p.marks, {mark:String}))

-- fragment: points_page
-- Of them the points from (first, first_ordinal) to (last, last_ordinal), both included.
  AND (p.time > fromUnixTimestamp64Nano({first:Int64}, 'UTC') OR p.ordinal >= {first_ordinal:Int64})
  AND (p.time < fromUnixTimestamp64Nano({last:Int64}, 'UTC') OR p.ordinal <= {last_ordinal:Int64})

-- fragment: points_by_key
-- The order of the table's key: read without sorting, and sent while it is read.
ORDER BY p.tenant, p.series, p.time, p.ordinal

-- fragment: points_by_key_descending
-- The same backwards.
ORDER BY p.tenant DESC, p.series DESC, p.time DESC, p.ordinal DESC

-- fragment: points_zone
-- How points_time writes a time: its digits and its offset.
WITH
    t -> replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T') AS digits,
    t -> formatDateTime(t, '%z') AS offset

-- fragment: points_time
-- The time of a point as texts show it: RFC 3339 in a zone.
if({tz:String} = 'UTC',
        concat(digits(p.time), 'Z'),
        concat(
            digits(toTimeZone(p.time, {tz:String})),
            substring(offset(toTimeZone(p.time, {tz:String})), 1, 3),
            ':',
            substring(offset(toTimeZone(p.time, {tz:String})), 4, 2)
        )
    )

-- fragment: points_zoned
-- Time and value as texts show them.
-- include: points_zone
SELECT
    -- include: points_time
    AS time,
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
    quantileExactInclusiveIf(0.5)(p.value, has({agg:Array(String)}, 'median')) AS median,
    count() - count(p.value) AS missing,
    toUnixTimestamp64Nano(min(p.time)) AS first_ns

-- fragment: points_spread
-- The most frequent value of a window (of several the smallest), and its quantiles of these `levels` (0 to 1) by linear
-- interpolation (type 7).
    sumMapIf([assumeNotNull(p.value)], [toUInt64(1)], isNotNull(p.value) AND has({agg:Array(String)}, 'mode')) AS times_seen,
    if(count(p.value) > 0, times_seen.1[indexOf(times_seen.2, arrayMax(times_seen.2))], NULL) AS mode,
    arraySort(groupArrayIf(assumeNotNull(p.value), isNotNull(p.value) AND notEmpty({levels:Array(Float64)}))) AS ascending,
    arrayMap(h -> ascending[toUInt64(floor(h)) + 1]
            + (h - floor(h)) * (ascending[least(toUInt64(floor(h)) + 2, length(ascending))] - ascending[toUInt64(floor(h)) + 1]),
        arrayMap(level -> level * (length(ascending) - 1), if(empty(ascending), [], {levels:Array(Float64)}))) AS quantiles

-- fragment: points_rises
-- The points of a range, each with its `rise` over the point with a value before it, the time of which (ns) is
-- `ns_before`, and the `area` under the straight line between both (value times seconds); null: there is none, or the
-- point has no value. A counter that falls began again at 0. `firsts` are the times of the points before the range,
-- which have their rise outside of it; the range begins at `begin`.
(
SELECT series, time, ordinal, value, ns_before,
    if(isNull(before) OR isNull(value), NULL, if(value >= before, value - before, greatest(value, 0))) AS rise,
    (before / 2 + value / 2) * ((toUnixTimestamp64Nano(time) - ns_before) / 1e9) AS area
FROM (
SELECT
    p.series AS series,
    p.time AS time,
    p.ordinal AS ordinal,
    p.value AS value,
    anyLast(p.value) OVER previous AS before,
    anyLast(if(isNull(p.value), NULL, toUnixTimestamp64Nano(p.time))) OVER previous AS ns_before
-- include: points_of_series
WINDOW previous AS (PARTITION BY p.series ORDER BY p.time, p.ordinal ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
WHERE time >= fromUnixTimestamp64Nano({begin:Int64}, 'UTC')
) AS p

-- fragment: points_increase
-- The increase of a counter in a window, from the point before the window on, and the same for each second from that
-- point to the window's last one. Null: no point of the window has one before it; the rate also where no time passed.
-- The integral and the time-weighted mean are of the same time.
    sumKahan(p.rise) AS increase,
    (maxIf(toUnixTimestamp64Nano(p.time), isNotNull(p.value)) - min(p.ns_before)) / 1e9 AS covered_s,
    if(covered_s > 0, increase / covered_s, NULL) AS rate,
    sumKahan(p.area) AS integral,
    if(covered_s > 0, integral / covered_s, NULL) AS time_weighted_mean

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

-- fragment: points_of_page
-- A page and the point after it: at most `limit` points from (first, first_ordinal) to (last, last_ordinal), both
-- included, with the bits of their flags.
SELECT toUnixTimestamp64Nano(p.time) AS ns, p.ordinal AS ordinal, p.value AS value, p.flags AS flags,
    CAST(p.marks AS Array(String)) AS marks
-- include: points_range
-- include: points_page

-- name: points_one_page
-- The page in ascending order.
-- include: points_of_page
-- include: points_by_key
LIMIT {limit:UInt32}

-- fragment: points_of_plain_page
-- Rows of a series over a range, also those that others replaced (then two have the same time and ordinal): without
-- FINAL, which takes as long to plan as all the rest. `marked`: how many marks a row has.
SELECT toUnixTimestamp64Nano(p.time) AS ns, p.ordinal AS ordinal, p.value AS value, p.flags AS flags,
    p.marks.size0 AS marked
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')

-- fragment: points_at_once
-- A few granules are read by the thread that asks: handing them to others and waiting for these takes 0.5 ms of 4.
SETTINGS max_threads = 1, local_filesystem_read_method = 'pread'

-- name: points_plain_page
-- At most `limit` of these rows in ascending order.
-- include: points_of_plain_page
-- include: points_by_key
LIMIT {limit:UInt32}
-- include: points_at_once

-- name: points_plain_page_descending
-- The same in descending order.
-- include: points_of_plain_page
-- include: points_by_key_descending
LIMIT {limit:UInt32}
-- include: points_at_once

-- name: points_one_page_descending
-- The page in descending order.
-- include: points_of_page
-- include: points_by_key_descending
LIMIT {limit:UInt32}

-- fragment: points_flags
-- Time, value, and the marks of a point and the words of its flags: `flags` are those of the bits, the lowest first.
-- include: points_zoned
    , if(p.flags = 0, emptyArrayString(), arrayFilter(
        (word, bit) -> bitTest(p.flags, bit - 1), {flags:Array(String)}, arrayEnumerate({flags:Array(String)})
    )) AS flags
    , CAST(p.marks AS Array(String)) AS marks

-- fragment: points_flags_csv
-- The same with marks and words joined by spaces.
-- include: points_zoned
    , if(p.flags = 0, '', arrayStringConcat(arrayFilter(
        (word, bit) -> bitTest(p.flags, bit - 1), {flags:Array(String)}, arrayEnumerate({flags:Array(String)})
    ), ' ')) AS flags
    , arrayStringConcat(p.marks, ' ') AS marks

-- name: points_text
-- Points from (first, first_ordinal) to (last, last_ordinal), both included, for text formats: RFC 3339 times in a zone.
-- include: points_zoned
-- include: points_range
-- include: points_page
-- include: points_by_key
SETTINGS format_csv_null_representation = ''

-- name: points_flagged
-- The same with marks and flags.
-- include: points_flags
-- include: points_range
-- include: points_page
-- include: points_by_key

-- name: points_flagged_csv
-- The same for CSV.
-- include: points_flags_csv
-- include: points_range
-- include: points_page
-- include: points_by_key
SETTINGS format_csv_null_representation = ''

-- name: points_typed
-- The same for columnar formats: times as timestamps in ns UTC.
SELECT p.time AS time, p.value AS value
-- include: points_range
-- include: points_page
-- include: points_by_key

-- name: points_flagged_descending
-- The same with marks and flags in descending order.
-- include: points_flags
-- include: points_range
-- include: points_page
-- include: points_by_key_descending

-- name: points_flagged_csv_descending
-- The same for CSV in descending order.
-- include: points_flags_csv
-- include: points_range
-- include: points_page
-- include: points_by_key_descending
SETTINGS format_csv_null_representation = ''

-- name: points_typed_descending
-- The same for columnar formats in descending order: times as timestamps in ns UTC.
SELECT p.time AS time, p.value AS value
-- include: points_range
-- include: points_page
-- include: points_by_key_descending

-- fragment: points_utc_times
-- The time of a point (ns) and its clock in UTC.
WITH
    toUnixTimestamp64Nano(p.time) - {closed_right:Int64} AS ns_at,
    fromUnixTimestamp64Nano(ns_at, 'UTC') AS clock

-- fragment: points_utc_windows
-- The begin (ns) of the window that a point is in, in UTC, whose clock never changes; 0 where `unit` is empty: the whole
-- range is one window.
multiIf(
        {unit:String} = '', toInt64(0),
        {unit:String} IN ('ns', 'us', 'ms', 's', 'm', 'h'), ns_at - positiveModulo(ns_at, {length:Int64}),
        -- include: points_date
    )

-- fragment: points_windows_end
-- By series and window, after the window that begins at `after`, at most `limit`.
GROUP BY series, ns
HAVING ns > {after:Int64}
ORDER BY ns, series
LIMIT {limit:UInt32}
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: points_windows
-- Aggregates of several series over windows of `count` `unit`s, in order of the windows' starts (ns). Windows shorter
-- than a minute count from the epoch; minutes, hours, days, weeks (from Monday), months and years follow the wall clock
-- and the calendar of a zone: a day of a clock change has 23 or 25 hours. Dear aggregates are computed only when `agg`
-- names them.
SELECT
    p.series AS series,
    window AS ns,
    -- include: points_aggregates
FROM (
-- include: points_calendar
FROM (SELECT p.series, p.time, p.ordinal, p.value
-- include: points_of_series
) AS p
-- include: points_calendar_end
-- include: points_windows_end

-- name: points_windows_utc
-- The same in UTC, whose clock never changes: with less to plan; or over the whole range.
-- include: points_utc_times
SELECT
    p.series AS series,
    -- include: points_utc_windows
    AS ns,
    -- include: points_aggregates
-- include: points_of_series
-- include: points_windows_end

-- name: points_plain_windows
-- The same of one series over windows of `length` ns in UTC, with the cheap aggregates only, and without FINAL: `repeated`
-- says that a window has two rows of one instant, so that FINAL has to say which of them counts. No row is left out
-- before that is known.
WITH toUnixTimestamp64Nano(p.time) - {closed_right:Int64} AS ns_at
SELECT
    ns_at - positiveModulo(ns_at, {length:Int64}) AS ns,
    least(greatest(sumKahan(p.value) / count(p.value), min(p.value)), max(p.value)) AS mean,
    min(p.value) AS min,
    max(p.value) AS max,
    sumKahan(p.value) AS sum,
    count(p.value) AS count,
    count() - count(p.value) AS missing,
    count() > uniqExact(p.time, p.ordinal) AS repeated
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND p.series = {series:UInt64}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
GROUP BY ns
HAVING ns > {after:Int64} AND ({nulls:UInt8} = 1 OR count > 0)
ORDER BY ns
LIMIT {limit:UInt32}
-- include: points_at_once

-- name: points_plain_windows_of_series
-- The same of several series. Instead of looking for repeated instants, which takes as long as all the rest, it says of
-- each window whether its rows are in several `parts`, and which one has them: a part that was merged once has no row
-- twice.
WITH toUnixTimestamp64Nano(p.time) - {closed_right:Int64} AS ns_at
SELECT
    p.series AS series,
    ns_at - positiveModulo(ns_at, {length:Int64}) AS ns,
    least(greatest(sumKahan(p.value) / count(p.value), min(p.value)), max(p.value)) AS mean,
    min(p.value) AS min,
    max(p.value) AS max,
    sumKahan(p.value) AS sum,
    count(p.value) AS count,
    count() - count(p.value) AS missing,
    min(_part_index) != max(_part_index) AS parts,
    toString(any(_part)) AS part
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND p.series IN {series:Array(UInt64)}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
GROUP BY series, ns
HAVING ns > {after:Int64} AND ({nulls:UInt8} = 1 OR count > 0)
ORDER BY ns, series
LIMIT {limit:UInt32}

-- name: points_instants
-- Of the same windows, how many rows and how many instants each has.
WITH toUnixTimestamp64Nano(p.time) - {closed_right:Int64} AS ns_at
SELECT
    p.series AS series,
    ns_at - positiveModulo(ns_at, {length:Int64}) AS ns,
    count() AS rows,
    uniqExact(p.time, p.ordinal) AS instants
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND p.series IN {series:Array(UInt64)}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
GROUP BY series, ns

-- name: points_spread_windows
-- The same with the mode and quantiles: longer to plan.
SELECT
    p.series AS series,
    window AS ns,
    -- include: points_aggregates
    ,
    -- include: points_spread
FROM (
-- include: points_calendar
FROM (SELECT p.series, p.time, p.ordinal, p.value
-- include: points_of_series
) AS p
-- include: points_calendar_end
-- include: points_windows_end

-- name: points_spread_windows_utc
-- The same in UTC, or over the whole range.
-- include: points_utc_times
SELECT
    p.series AS series,
    -- include: points_utc_windows
    AS ns,
    -- include: points_aggregates
    ,
    -- include: points_spread
-- include: points_of_series
-- include: points_windows_end

-- name: points_rise_windows
-- The same with what needs the point before: increase, rate, integral and time-weighted mean.
SELECT
    p.series AS series,
    window AS ns,
    -- include: points_aggregates
    ,
    -- include: points_spread
    ,
    -- include: points_increase
FROM (
-- include: points_calendar
FROM
-- include: points_rises
-- include: points_calendar_end
-- include: points_windows_end

-- name: points_rise_windows_utc
-- The same in UTC, or over the whole range.
-- include: points_utc_times
SELECT
    p.series AS series,
    -- include: points_utc_windows
    AS ns,
    -- include: points_aggregates
    ,
    -- include: points_spread
    ,
    -- include: points_increase
FROM
-- include: points_rises
-- include: points_windows_end

-- name: window_start
-- The start (ns) of the window that an instant is in, by the same rules, and what the wall clock shows then (`label`).
SELECT window AS ns, label
FROM (
-- include: points_calendar
FROM (SELECT fromUnixTimestamp64Nano({at:Int64}, 'UTC') AS time) AS p
-- include: points_calendar_end
SETTINGS enable_extended_results_for_datetime_functions = 1

-- name: points_extent
-- The first and the last time (ns) of points of several series in a range, also of points that are deleted or replaced;
-- no row: no points.
SELECT toUnixTimestamp64Nano(min(p.time)) AS first, toUnixTimestamp64Nano(max(p.time)) AS last
FROM points AS p
WHERE p.tenant = {tenant:String}
  AND p.series IN {series:Array(UInt64)}
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
HAVING count() > 0

-- name: many_points
-- Raw points of several series, by time, series and ordinal, after (after_ns, after_series, after_ordinal).
SELECT p.series AS series, toUnixTimestamp64Nano(p.time) AS ns, p.ordinal AS ordinal, p.value AS value
-- include: points_of_series
  AND (p.time, p.series, p.ordinal)
      > (fromUnixTimestamp64Nano({after_ns:Int64}, 'UTC'), {after_series:UInt64}, {after_ordinal:Int64})
ORDER BY p.time, p.series, p.ordinal
LIMIT {limit:UInt32}

-- name: points_file_text
-- Raw points of several series for text formats, series by series.
-- include: points_zone
SELECT
    leftPad(lower(hex(p.series)), 16, '0') AS series,
    -- include: points_time
    AS time,
    p.value AS value
-- include: points_of_series
-- include: points_by_key
SETTINGS format_csv_null_representation = ''

-- name: points_file_rows
-- The same as rows of a fixed length, for columnar formats; `empty` 1: the sample has no value.
SELECT p.series AS series, toUnixTimestamp64Nano(p.time) AS ns, toUInt8(isNull(p.value)) AS empty,
    ifNull(p.value, 0) AS value
-- include: points_of_series
-- include: points_by_key

-- name: points_state
-- The state of the points of several series in a range: how many rows there are, and the sum of their hashes. Anything
-- that changes an answer changes a row. Without FINAL: rows that others replaced count until the store merges them.
SELECT count() AS rows, toString(sum(cityHash64(p.series, p.time, p.ordinal, p.version, p.seq, p.idx, p.flags, p.marks,
    isNull(p.value), ifNull(p.value, 0)))) AS hash
FROM points AS p
-- include: points_of_series_chosen

-- name: rollups_state
-- The same of rollup windows of one length that begin in a range.
SELECT count() AS rows,
    toString(sum(cityHash64(r.series, r.window, r.version, r.count, r.mean, r.min, r.max, r.sum, r.sealed))) AS hash
FROM rollups AS r
WHERE r.tenant = {tenant:String}
  AND r.series IN {series:Array(UInt64)}
  AND r.every_s = {every_s:UInt32}
  AND r.window >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND r.window <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')

-- name: points_extremes_once
-- How many points series have in a range, and the first and the last one of each, where no instant has two points of a
-- series; `ordinals` 1: one may have.
SELECT p.series AS series, count() AS count, toUInt8(max(p.ordinal != 0)) AS ordinals,
    toUnixTimestamp64Nano(min(p.time)) AS first_ns,
    toUnixTimestamp64Nano(max(p.time)) AS last_ns,
    toInt64(0) AS first_ordinal,
    toInt64(0) AS last_ordinal,
    argMin(p.value, p.time) AS first_value,
    argMax(p.value, p.time) AS last_value
-- include: points_of_series
GROUP BY series

-- name: points_extremes
-- The same of any points.
SELECT p.series AS series, count() AS count,
    toUnixTimestamp64Nano(min(p.time)) AS first_ns,
    toUnixTimestamp64Nano(max(p.time)) AS last_ns,
    argMin(p.ordinal, (p.time, p.ordinal)) AS first_ordinal,
    argMax(p.ordinal, (p.time, p.ordinal)) AS last_ordinal,
    argMin(p.value, (p.time, p.ordinal)) AS first_value,
    argMax(p.value, (p.time, p.ordinal)) AS last_value
-- include: points_of_series
GROUP BY series

-- name: points_all
-- All points of series in a range.
SELECT p.series AS series, toUnixTimestamp64Nano(p.time) AS ns, p.ordinal AS ordinal, p.value AS value
-- include: points_of_series

-- fragment: points_stretch
-- The stretch that a point is in, from 0 on, and its time since the begin of the first one.
toUnixTimestamp64Nano(p.time) - if(length({begins:Array(Int64)}) = 1, {begins:Array(Int64)}[1],
        transform(p.series, {series:Array(UInt64)}, {begins:Array(Int64)}, toInt64(0))) AS since,
    intDiv(since, if(length({widths:Array(Int64)}) = 1, {widths:Array(Int64)}[1],
        transform(p.series, {series:Array(UInt64)}, {widths:Array(Int64)}, toInt64(1)))) AS stretch

-- name: points_of_stretches_once
-- The points with the smallest and the largest value (of several the first) of stretches of time, where no instant has two
-- points of a series. `begins` (ns) and `widths` (ns) of the stretches are side by side with `series`. The smallest of one
-- number for each point says both: its high half has the bits of the value, so that they sort as values do, and its low
-- half the time. In a third of the time that tuples take.
WITH
    v -> if(bitTest(reinterpretAsUInt64(v), 63), bitNot(reinterpretAsUInt64(v)),
        bitOr(reinterpretAsUInt64(v), bitShiftLeft(toUInt64(1), 63))) AS sorted,
    bits -> reinterpretAsFloat64(if(bitTest(bits, 63), bitXor(bits, bitShiftLeft(toUInt64(1), 63)), bitNot(bits))) AS unsorted
SELECT series,
    toInt64(toUInt64(point.1)) + transform(series, {series:Array(UInt64)}, {begins:Array(Int64)}, toInt64(0)) AS ns,
    toInt64(0) AS ordinal, point.2 * unsorted(toUInt64(bitShiftRight(point.1, 64))) AS value
FROM (
    SELECT series, [
            (min(bitShiftLeft(toUInt128(sorted(value)), 64) + toUInt64(since)), toFloat64(1)),
            (min(bitShiftLeft(toUInt128(sorted(-value)), 64) + toUInt64(since)), toFloat64(-1))
        ] AS points
    FROM (
        SELECT p.series AS series, assumeNotNull(p.value) + 0.0 AS value,
            -- include: points_stretch
        -- include: points_of_series
    )
    GROUP BY series, stretch
)
ARRAY JOIN points AS point

-- name: points_of_stretches
-- The points with the smallest and the largest value (of several the first) of stretches of time, which begin at
-- `begins` (ns) and are `widths` (ns) long, side by side with `series`.
SELECT series, point.1 AS ns, point.2 AS ordinal, point.3 AS value
FROM (
    SELECT p.series AS series,
        intDiv(toUnixTimestamp64Nano(p.time) - transform(p.series, {series:Array(UInt64)}, {begins:Array(Int64)}, toInt64(0)),
            transform(p.series, {series:Array(UInt64)}, {widths:Array(Int64)}, toInt64(1))) AS stretch,
        arrayDistinct([
            argMin((toUnixTimestamp64Nano(p.time), p.ordinal, p.value), (p.value, p.time, p.ordinal)),
            argMin((toUnixTimestamp64Nano(p.time), p.ordinal, p.value), (-p.value, p.time, p.ordinal))
        ]) AS points
    -- include: points_of_series
    GROUP BY series, stretch
)
ARRAY JOIN points AS point

-- name: rollup_windows
-- The rollup windows of one length of several series that begin after `after` (ns) in a range, as points_windows has its
-- windows.
SELECT r.series AS series, toUnixTimestamp64Nano(r.window) AS ns,
    -- include: window_aggregate_names
FROM rollups AS r FINAL
WHERE r.tenant = {tenant:String}
  AND r.series IN {series:Array(UInt64)}
  AND r.every_s = {every_s:UInt32}
  AND r.count > 0
  AND r.window >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND r.window <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND toUnixTimestamp64Nano(r.window) > {after:Int64}
ORDER BY ns, series
LIMIT {limit:UInt32}

-- name: as_of_changes
-- The points of series in a range that were deleted, or changed by a replay, after an instant (ns): how many events.
SELECT toString(why) AS why, count() AS points, toUnixTimestamp64Nano(min(time)) AS first,
    toUnixTimestamp64Nano(max(time)) AS last
FROM changes FINAL
WHERE tenant = {tenant:String}
  AND series IN {series:Array(UInt64)}
  AND every_s = 0
  AND why IN ('deleted', 'replay')
  AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND changed_at > fromUnixTimestamp64Nano({as_of:Int64}, 'UTC')
GROUP BY why
ORDER BY why

-- fragment: points_as_of
-- The points of several series over a range that stood at `as_of` (ns), by what had been received: of several values of
-- an instant the last submitted. Parameters as in points_of_series.
FROM (
    SELECT tenant, series, time, ordinal, tupleElement(argMax(tuple(v), (s, i)), 1) AS value
    FROM (
        SELECT tenant, series, time, ordinal, value AS v, seq AS s, idx AS i
        FROM points FINAL
        WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
          AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
          AND received_at <= fromUnixTimestamp64Nano({as_of:Int64}, 'UTC')
          AND seq > transform(series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))
        UNION ALL
        SELECT tenant, series, time, toInt64(0), value, seq, idx
        FROM replaced FINAL
        WHERE tenant = {tenant:String} AND series IN {series:Array(UInt64)}
          AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
          AND received_at <= fromUnixTimestamp64Nano({as_of:Int64}, 'UTC')
          AND seq > transform(series, {series:Array(UInt64)}, {deleted_seqs:Array(UInt64)}, toUInt64(0))
    )
    GROUP BY tenant, series, time, ordinal
) AS p
WHERE ({nulls:UInt8} = 1 OR isNotNull(p.value))

-- name: many_points_as_of
-- As many_points, at an instant.
SELECT p.series AS series, toUnixTimestamp64Nano(p.time) AS ns, p.ordinal AS ordinal, p.value AS value
-- include: points_as_of
  AND (p.time, p.series, p.ordinal)
      > (fromUnixTimestamp64Nano({after_ns:Int64}, 'UTC'), {after_series:UInt64}, {after_ordinal:Int64})
ORDER BY p.time, p.series, p.ordinal
LIMIT {limit:UInt32}

-- name: points_windows_as_of
-- As points_windows, at an instant.
SELECT
    p.series AS series,
    window AS ns,
    -- include: points_aggregates
FROM (
-- include: points_calendar
FROM (SELECT p.series, p.time, p.ordinal, p.value
-- include: points_as_of
) AS p
-- include: points_calendar_end
-- include: points_windows_end

-- name: points_windows_utc_as_of
-- The same in UTC, or over the whole range.
-- include: points_utc_times
SELECT
    p.series AS series,
    -- include: points_utc_windows
    AS ns,
    -- include: points_aggregates
-- include: points_as_of
-- include: points_windows_end
