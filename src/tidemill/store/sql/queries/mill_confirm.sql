-- Queries by which the mill confirms that the store holds what it acknowledged, for the payloads in a range of the log.
-- Rows are counted as they are, without FINAL: any version of a row shows that it was stored.

-- fragment: confirm_range
-- Rows of these tenants' payloads with offsets above `after`, up to `upto`.
WHERE tenant IN {tenants:Array(String)} AND seq > {after:UInt64} AND seq <= {upto:UInt64}

-- name: confirm_counts
-- The number of payloads of each of these tenants, and the sum of their offsets, counted from `after`.
SELECT toString(tenant) AS tenant, count() AS n, sum(seq - {after:UInt64}) AS total
FROM (
    SELECT DISTINCT tenant, seq FROM payloads
    -- include: confirm_range
    )
GROUP BY tenant

-- name: confirm_offsets
-- The offsets of a tenant's payloads.
SELECT DISTINCT seq FROM payloads
WHERE tenant = {tenant:String} AND seq > {after:UInt64} AND seq <= {upto:UInt64}

-- name: confirm_suspects
-- Payloads with more accepted records than have a trace (a point, also one that was replaced or deleted), or with more
-- rejected records than the ledger has. `bytes`: how many were sent.
SELECT toString(p.tenant) AS tenant, p.seq AS seq, p.receipt AS receipt, p.feed AS feed, p.bytes AS bytes
FROM (
    SELECT tenant, seq, any(receipt) AS receipt, toString(any(feed)) AS feed, max(bytes) AS bytes,
        argMax(state, version) AS last_state, argMax(accepted, version) AS last_accepted,
        argMax(rejected, version) AS last_rejected
    FROM payloads
    -- include: confirm_range
    GROUP BY tenant, seq) AS p
LEFT JOIN (
    SELECT tenant, seq, uniqExact(idx) AS n
    FROM (
        SELECT tenant, seq, idx FROM points
        -- include: confirm_range
        UNION ALL
        SELECT tenant, seq, idx FROM replaced
        -- include: confirm_range
        UNION ALL
        SELECT tenant, seq, idx FROM deleted_records
        -- include: confirm_range
          AND empty(reasons))
    GROUP BY tenant, seq) AS traced ON traced.tenant = p.tenant AND traced.seq = p.seq
LEFT JOIN (
    SELECT tenant, seq, uniqExact(idx) AS n
    FROM (
        SELECT tenant, seq, idx FROM rejections
        -- include: confirm_range
        UNION ALL
        SELECT tenant, seq, idx FROM deleted_records
        -- include: confirm_range
          AND notEmpty(reasons))
    GROUP BY tenant, seq) AS ledger ON ledger.tenant = p.tenant AND ledger.seq = p.seq
WHERE last_state != 'deleted'
    AND ((last_state = 'applied' AND last_accepted > traced.n) OR last_rejected > ledger.n)
ORDER BY tenant, seq

-- name: confirm_nameless
-- The offset of the first payload with a point of a series that has no row (0: none). The id of a series belongs to one
-- tenant only.
SELECT min(seq) AS first
FROM points
-- include: confirm_range
  AND series NOT IN (
    SELECT series FROM series WHERE tenant IN {tenants:Array(String)} AND series IN (
        SELECT DISTINCT series FROM points
        -- include: confirm_range
    ))
