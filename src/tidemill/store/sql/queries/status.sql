-- What the store says of itself.

-- name: store_facts
-- The version of the store, and how much of it its tables take: bytes on disk, and rows of points, also those that a
-- merge will remove.
SELECT version() AS version, sum(bytes_on_disk) AS bytes, sumIf(rows, table = 'points') AS points
FROM system.parts
WHERE database = currentDatabase() AND active
