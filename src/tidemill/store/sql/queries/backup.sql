-- Queries of a backup.

-- name: backup_tables
-- The tables of this store that hold rows, by name.
SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name

-- name: backup_freeze
-- Hard links to the active parts of a table, below `shadow/tidemill` in the engine's folder.
ALTER TABLE {table:Identifier} FREEZE WITH NAME 'tidemill'

-- name: backup_engine
-- The version of the engine.
SELECT version() AS version
