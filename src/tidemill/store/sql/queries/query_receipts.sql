-- The outcome of a payload, and its bytes. Every query binds the tenant. `instant` is the same text everywhere:
-- RFC 3339 UTC with only as many fraction digits as needed.

-- fragment: receipt_columns
-- A receipt as its JSON shows it, without links.
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
    p.nulls AS missing,
    p.feed_version AS rules_version
FROM payloads AS p FINAL

-- name: receipt
-- One receipt; no row if it was never applied or belongs to another tenant.
-- include: receipt_columns
WHERE p.tenant = {tenant:String} AND p.receipt = {receipt:String}

-- fragment: receipts_chosen
-- The ids of the newest receipts before an id, newest first, each as often as it has rows: without FINAL. A row that
-- matches may be replaced by one that does not.
SELECT p.receipt AS id
FROM payloads AS p
WHERE p.tenant = {tenant:String} AND p.receipt < {before:String} AND p.receipt >= {since:String}
    AND ({feed:String} = '' OR p.feed = {feed:String})
    AND ({state:String} = '' OR p.state = {state:String})
    AND p.format != 'deletion'
    AND p.received_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
    AND p.received_at <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
ORDER BY p.tenant DESC, p.receipt DESC
LIMIT {limit:UInt32}

-- name: receipts_newest
-- The ids of a page, where most rows match: the key is read from its end, and no further than to the last of them.
-- include: receipts_chosen

-- name: receipts_newest_rare
-- The same where few rows match: the states of all rows are read first, which is quicker than granule by granule.
-- include: receipts_chosen
SETTINGS optimize_read_in_order = 0

-- name: receipts_page
-- The receipts of these ids that are in a state (empty: in any), newest first.
-- include: receipt_columns
WHERE p.tenant = {tenant:String} AND p.receipt IN ({receipts:Array(String)})
    AND ({state:String} = '' OR p.state = {state:String})
ORDER BY p.receipt DESC

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

-- name: find_receipts
-- Receipts whose ids begin with a text (from `low` to before `high`), newest first.
-- include: receipt_columns
WHERE p.tenant = {tenant:String} AND p.receipt >= {low:String} AND p.receipt < {high:String} AND p.format != 'deletion'
ORDER BY p.receipt DESC
LIMIT {limit:UInt32}

-- name: find_payloads
-- Receipts of payloads whose SHA-256 begins with these bytes and then a half byte (16: none), newest first.
-- include: receipt_columns
WHERE p.tenant = {tenant:String} AND p.format != 'deletion'
  AND startsWith(p.sha256, unhex({digits:String}))
  AND ({half:UInt8} = 16 OR bitShiftRight(reinterpretAsUInt8(substring(p.sha256, {length:UInt8} + 1, 1)), 4) = {half:UInt8})
ORDER BY p.receipt DESC
LIMIT {limit:UInt32}
