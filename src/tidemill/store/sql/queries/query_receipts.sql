-- The outcome of a payload, and its bytes. Every query binds the tenant. `instant` is the same text everywhere:
-- RFC 3339 UTC with only as many fraction digits as needed.

-- name: receipt
-- One receipt as its JSON shows it, without links; no row if it was never applied or belongs to another tenant.
WITH t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant
SELECT
    p.receipt AS id,
    p.feed AS feed,
    instant(p.received_at) AS received_at,
    p.bytes AS bytes,
    lower(hex(p.sha256)) AS sha256,
    p.state AS state,
    p.accepted AS accepted,
    p.rejected AS rejected,
    CAST(p.reasons AS Map(String, UInt32)) AS reasons,
    p.nulls AS nulls,
    p.feed_version AS rules_version
FROM payloads AS p FINAL
WHERE p.tenant = {tenant:String} AND p.receipt = {receipt:String}

-- name: payload_facts
-- State, format, SHA-256 (hex) and size of a payload, to be read before its bytes are sent.
SELECT toString(state) AS state, format, lower(hex(sha256)) AS sha256, bytes
FROM payloads FINAL
WHERE tenant = {tenant:String} AND receipt = {receipt:String}

-- name: payload_body
-- The bytes of a payload, as they came (read as RawBLOB). Versions differ in outcome, never in body, unless it is
-- deleted.
SELECT body FROM payloads WHERE tenant = {tenant:String} AND receipt = {receipt:String} ORDER BY version DESC LIMIT 1

-- name: receipts_by_seq
-- The receipts of the payloads at these offsets.
SELECT DISTINCT seq, receipt FROM payloads WHERE tenant = {tenant:String} AND seq IN ({seqs:Array(UInt64)})
