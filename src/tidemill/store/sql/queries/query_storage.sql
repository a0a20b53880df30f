-- What is stored, for `GET /v1/storage`: amounts by feed, and the tables on disk.

-- name: storage_payloads
-- By feed of a tenant: its payloads whose bytes are kept, and how many bytes were received with them.
SELECT feed, count() AS payloads, sum(bytes) AS bytes
FROM payloads FINAL
WHERE tenant = {tenant:String} AND state != 'deleted' AND format != 'deletion'
GROUP BY feed ORDER BY feed

-- name: storage_rejections
-- By feed of a tenant: the rejected records in the ledger that are not recovered.
SELECT feed, count() AS rejections
FROM rejections FINAL
WHERE tenant = {tenant:String} AND recovered_by = ''
GROUP BY feed ORDER BY feed

-- name: storage_points
-- By feed of a tenant: its series and the points that count.
SELECT s.feed AS feed, uniqExact(s.series) AS series, count() AS points
FROM points AS p FINAL
INNER JOIN (
    SELECT series, feed, deleted_seq FROM series FINAL WHERE tenant = {tenant:String} AND NOT deleted
) AS s ON s.series = p.series
WHERE p.tenant = {tenant:String} AND p.seq > s.deleted_seq
GROUP BY s.feed ORDER BY s.feed

-- name: storage_point_rows
-- By feed of a tenant: its series and the rows of their points, of which some may be replaced and not merged away yet.
-- Reads one column, so that it answers for any number of points.
SELECT s.feed AS feed, count() AS series, sum(p.n) AS points
FROM (SELECT series, count() AS n FROM points WHERE tenant = {tenant:String} GROUP BY series) AS p
INNER JOIN (SELECT series, feed FROM series FINAL WHERE tenant = {tenant:String} AND NOT deleted) AS s
    ON s.series = p.series
GROUP BY s.feed ORDER BY s.feed

-- name: storage_tables
-- The tables of the store: rows and bytes of their parts in use, of all tenants.
SELECT table AS name, sum(rows) AS rows, sum(bytes_on_disk) AS bytes
FROM system.parts
WHERE database = currentDatabase() AND active
GROUP BY table ORDER BY table
