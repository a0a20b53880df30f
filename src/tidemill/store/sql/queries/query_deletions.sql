-- Deletion receipts. Times are ns since the epoch (Int64), null where it has not come to that.

-- fragment: deletion_columns
-- A receipt's columns, newest version.
SELECT id, seq, toString(kind) AS kind, selector, toUnixTimestamp64Nano(requested_at) AS requested_ns,
    nullIf(toUnixTimestamp64Nano(applied_at), 0) AS applied_ns, toUnixTimestamp64Nano(erase_by) AS erase_by_ns,
    toUnixTimestamp64Nano(erased_at) AS erased_ns, points, records, payloads, payloads_kept
FROM deletions FINAL

-- name: deletion_by_id
-- One deletion.
-- include: deletion_columns
WHERE tenant = {tenant:String} AND id = {id:String}

-- name: deletion_page
-- Deletions from a place in the log on and below another, newest first.
-- include: deletion_columns
WHERE tenant = {tenant:String} AND seq >= {low:UInt64} AND seq < {before:UInt64}
ORDER BY seq DESC
LIMIT {limit:UInt32}

-- name: deletion_kept
-- The payloads that hold other records, too, and kept their bytes, by place in the log.
SELECT seq, receipt
FROM payloads FINAL
WHERE tenant = {tenant:String} AND state != 'deleted' AND seq > {after:UInt64}
    AND seq IN (
        SELECT r.seq FROM deleted_records AS r
        WHERE r.tenant = {tenant:String} AND r.feed = {feed:String} AND r.deletion = {deletion:UInt64})
ORDER BY seq
LIMIT {limit:UInt32}
