-- rms: the root of the mean of the squares of a window's values. 0 for windows that were published before.
ALTER TABLE rollups ADD COLUMN IF NOT EXISTS rms Float64 AFTER sum;
