-- Fills a store for the case `lineage`: payload j holds 20 records of device j % 200 a minute apart, from record
-- 20 * (j / 200) on, each with 5 fields; its offset is j + 1. `first` and `count` are of payloads; `series` are the ids of
-- all series.

-- name: series
-- The series: 5 fields of each device.
INSERT INTO series (tenant, series, feed, field, tags, version)
SELECT 'default', s, 'fleet', concat('f', toString((n - 1) % 5)), map('id', concat('d', toString(intDiv(n - 1, 5)))), 1
FROM (SELECT s, n FROM (SELECT {series:Array(UInt64)} AS all) ARRAY JOIN all AS s, arrayEnumerate(all) AS n)

-- name: points
-- 5 points of each record.
INSERT INTO points (tenant, series, time, ordinal, value, version, seq, idx, flags, received_at)
SELECT 'default', {series:Array(UInt64)}[j % 200 * 5 + f + 1],
    fromUnixTimestamp64Nano({start:Int64} + (intDiv(j, 200) * 20 + k) * 60000000000, 'UTC'),
    0, rand64(n) / 1e12, -toInt64((j + 1) * 1048576 + k), j + 1, k, 0,
    fromUnixTimestamp64Nano({start:Int64} + (intDiv(j, 200) * 20 + 20) * 60000000000 + j % 200, 'UTC')
FROM (SELECT number AS n, intDiv(number, 100) AS j, intDiv(number % 100, 5) AS k, number % 5 AS f
    FROM numbers({first:UInt64} * 100, {count:UInt64} * 100))

-- name: payloads
-- The payloads, 20 records each.
INSERT INTO payloads (tenant, receipt, seq, feed, feed_version, received_at, format, bytes, sha256, state, accepted,
    rejected, body, version)
SELECT 'default', concat(lower(leftPad(hex(j), 8, '0')), '-0000-7000-8000-000000000000'), j + 1, 'fleet', 1,
    fromUnixTimestamp64Nano({start:Int64} + (intDiv(j, 200) * 20 + 20) * 60000000000 + j % 200, 'UTC'),
    'json', length(b), SHA256(b), 'applied', 20, 2, b, 1
FROM (SELECT number AS j, concat('[', arrayStringConcat(arrayMap(k -> concat('{"t":"',
        formatDateTime(toDateTime(intDiv({start:Int64}, 1000000000) + (intDiv(number, 200) * 20 + k) * 60, 'UTC'),
            '%Y-%m-%dT%H:%i:%SZ'),
        '","id":"d', toString(number % 200), '","f0":', toString(cityHash64(number, k) % 1000 / 10),
        ',"f1":1.5,"f2":2.5,"f3":3.5,"f4":4.5}'), range(20)), ','), ']') AS b
    FROM numbers({first:UInt64}, {count:UInt64}))

-- name: rejections
-- Two of each payload: a tenth are duplicates, half of the others of no known series.
INSERT INTO rejections (tenant, feed, seq, idx, receipt, received_at, time, reasons, detail, record, rules_version,
    series, winner_seq, winner_idx)
SELECT 'default', 'fleet', j + 1, 20 + h,
    concat(lower(leftPad(hex(j), 8, '0')), '-0000-7000-8000-000000000000'),
    fromUnixTimestamp64Nano({start:Int64} + (intDiv(j, 200) * 20 + 20) * 60000000000, 'UTC'),
    fromUnixTimestamp64Nano({start:Int64} + (intDiv(j, 200) * 20 + j % 20) * 60000000000
        + if(lost, 0, 30000000000), 'UTC'),
    [if(lost, 'duplicate', if(h = 0, 'outside_range', 'not_a_number'))], 'a sentence of why it was rejected',
    concat('{"t":"', toString(j), '","id":"d', toString(j % 200), '","f0":1000,"f1":1.5,"f2":2.5,"f3":3.5}'), 1,
    if(h = 1 AND NOT lost, [], arraySlice({series:Array(UInt64)}, j % 200 * 5 + 1, 5)),
    if(lost, j + 1, 0), if(lost, j % 20, 0)
FROM (SELECT intDiv(number, 2) AS j, number % 2 AS h, j % 10 = 0 AS lost
    FROM numbers({first:UInt64} * 2, {count:UInt64} * 2))

-- name: replaced
-- Replaced values.
INSERT INTO replaced (tenant, series, time, seq, idx, value, by_seq, by_idx, received_at)
SELECT 'default', {series:Array(UInt64)}[number % 200 * 5 + 1],
    fromUnixTimestamp64Nano({start:Int64} + intDiv(number, 200) * 20 * 60000000000, 'UTC'),
    number, 0, 1.5, number + 1, 0, fromUnixTimestamp64Nano({start:Int64}, 'UTC')
FROM numbers({first:UInt64}, {count:UInt64})

-- name: rollups
-- Windows of 15 minutes.
INSERT INTO rollups (tenant, series, every_s, window, count, mean, min, max, sum, sealed, version)
SELECT 'default', {series:Array(UInt64)}[s + 1], 900,
    fromUnixTimestamp64Nano({start:Int64} + w * 900000000000, 'UTC'), 15, 50, 0, 100, 750, false, 1
FROM (SELECT number % 1000 AS s, intDiv(number, 1000) AS w
    FROM numbers(intDiv({first:UInt64} * 100, 15), intDiv({count:UInt64} * 100, 15)))

-- name: changes
-- Change events of points and windows.
INSERT INTO changes (tenant, seq, idx, series, every_s, time, feed, old, new, old_count, new_count, why, changed_at)
SELECT 'default', number + 1, 0, {series:Array(UInt64)}[number % 200 * 5 + 1], number % 2 * 900,
    fromUnixTimestamp64Nano({start:Int64} + intDiv(number, 200) * 20 * 60000000000, 'UTC'), 'fleet', 1, 2, 1, 1,
    'replaced', fromUnixTimestamp64Nano({start:Int64} + intDiv(number, 200) * 20 * 60000000000, 'UTC')
FROM numbers({first:UInt64}, {count:UInt64})

-- name: polls
-- A poll every six seconds.
INSERT INTO polls (tenant, feed, item, started_at, result, status)
SELECT 'default', 'fleet', '', fromUnixTimestamp64Nano({start:Int64} + number * 6000000000, 'UTC'),
    ['data', 'empty', 'refused'][number % 3 + 1], 200
FROM numbers({first:UInt64}, {count:UInt64})
