-- payloads: how many of a payload's records that passed the rules were late, and how many a rule flagged, so that what
-- flowed in a time is counted from the payloads alone. A record that is a duplicate passed the rules, too.
--   late     received more than `late_after` after the end of their window
--   flagged  with a mark of at least one rule
--   null     the payload was applied before these columns were there, or was not put through the rules
ALTER TABLE payloads ADD COLUMN IF NOT EXISTS late Nullable(UInt32) CODEC(ZSTD) AFTER nulls;
ALTER TABLE payloads ADD COLUMN IF NOT EXISTS flagged Nullable(UInt32) CODEC(ZSTD) AFTER late;

-- What was received in a time is counted without reading what came later. The key does not say that: where a clock was
-- put back, the ids of receipts go on from the time that it had shown.
ALTER TABLE payloads ADD INDEX IF NOT EXISTS received_range received_at TYPE minmax GRANULARITY 1;
ALTER TABLE payloads MATERIALIZE INDEX received_range SETTINGS mutations_sync = 0;
