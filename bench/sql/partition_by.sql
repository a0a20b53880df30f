-- Queries of bench/partition_by.py on three tables `points_none`, `points_year` and `points_month`, which differ only in
-- PARTITION BY. {series}: how many series there are.

-- name: by_fill
-- The points of a year, from a day on: a point an hour of each series, received an hour later.
INSERT INTO points_TABLE (tenant, series, time, ordinal, value, version, seq, idx, flags, received_at)
SELECT 'default', number % {series:UInt64}, toDateTime64('2006-01-01 00:00:00', 9, 'UTC') + toIntervalHour(h), 0,
    rand64(number) / 1e12, h, h + 1, number % {series:UInt64}, 0,
    toDateTime64('2006-01-01 01:00:00', 9, 'UTC') + toIntervalHour(h)
FROM (SELECT number, {first:UInt64} + intDiv(number, {series:UInt64}) AS h FROM numbers({hours:UInt64} * {series:UInt64}))

-- name: by_upload
-- One upload: 20 years of daily values of a new series.
INSERT INTO points_TABLE (tenant, series, time, ordinal, value, version, seq, idx, flags, received_at)
SELECT 'default', {series:UInt64}, toDateTime64('2006-01-01 00:00:00', 9, 'UTC') + toIntervalDay(number), 0, number,
    number, 1, number, 0, toDateTime64('2026-01-01 00:00:00', 9, 'UTC')
FROM numbers(7305)

-- name: by_range
-- The query of a client: a series over a range of time.
SELECT count() AS n, avg(value) AS mean
FROM points_TABLE FINAL
WHERE tenant = 'default' AND series = {series:UInt64}
    AND time >= toDateTime64({first:String}, 9, 'UTC') AND time < toDateTime64({last:String}, 9, 'UTC')

-- name: by_expired
-- Retention as the mill does it: deletes the points of a feed's series (here a tenth) that were received before a time.
DELETE FROM points_TABLE
WHERE tenant = 'default' AND series < {series:UInt64} AND received_at < toDateTime64({last:String}, 9, 'UTC')

-- name: by_drop
-- Retention by dropping a partition, with the points of all tenants and feeds in it.
ALTER TABLE points_TABLE DROP PARTITION {partition:UInt32}

-- name: by_parts
-- How many active parts there are.
SELECT count() AS n FROM system.parts WHERE database = currentDatabase() AND table = 'points_TABLE' AND active
