-- replay_plans: what a replay is about to publish, as the mill decided it: the files of its plan, in parts. Written before
-- the first row that the replay changes, and dropped once all of it is published: a mill that lost its disk ends it.
--   feed     of the replay
--   name     of a file of the plan (a frame, as Arrow IPC); its parts follow each other from 0
--   one partition for each replay, so that dropping it takes the bytes from disk at once
CREATE TABLE replay_plans (
    tenant LowCardinality(String),
    replay String,
    feed LowCardinality(String),
    name LowCardinality(String),
    part UInt32,
    content String CODEC(ZSTD)
) ENGINE = ReplacingMergeTree
PARTITION BY (tenant, replay)
ORDER BY (name, part)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
