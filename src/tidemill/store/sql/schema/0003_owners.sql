-- owners: the mill that a partition of the log belongs to: the row with the highest epoch, of two with the same the later.
--   owner  a number that the mill drew at its start: the same epoch may be claimed twice, the same number is not
--   since  when the mill claimed the partition
CREATE TABLE owners (
    partition UInt64,
    epoch UInt64,
    owner UInt64,
    since DateTime64(9, 'UTC')
) ENGINE = ReplacingMergeTree(epoch)
ORDER BY partition
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 60;

-- current_owners: the same in memory, where every write of a mill looks at it (a question of the table would cost each of
-- them 3 ms). Loaded when it is first needed and on SYSTEM RELOAD DICTIONARY, never by itself.
CREATE DICTIONARY IF NOT EXISTS current_owners (
    partition UInt64,
    epoch UInt64,
    owner UInt64
)
PRIMARY KEY partition
SOURCE(CLICKHOUSE(TABLE 'owners'))
LAYOUT(HASHED())
LIFETIME(0)
SETTINGS(final = 1);
