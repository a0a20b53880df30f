-- payloads: how many of the accepted records of a payload were late, and how many a rule flagged, so that what flowed in
-- a time is counted from the payloads alone.
--   late     received more than `late_after` after the end of their window
--   flagged  with a mark of at least one rule
--   null     the payload was applied before these columns were there, or none of its records was accepted
ALTER TABLE payloads ADD COLUMN IF NOT EXISTS late Nullable(UInt32) CODEC(ZSTD) AFTER nulls;
ALTER TABLE payloads ADD COLUMN IF NOT EXISTS flagged Nullable(UInt32) CODEC(ZSTD) AFTER late;
