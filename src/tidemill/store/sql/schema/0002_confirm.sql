-- Parts that were merged into another stay on disk for a minute, so that the engine can go back to them when the new
-- part turns out to be cut off (it may have run out of disk). chDB removes them at once where nothing is said.
ALTER TABLE points MODIFY SETTING old_parts_lifetime = 60;
ALTER TABLE series MODIFY SETTING old_parts_lifetime = 60;
ALTER TABLE payloads MODIFY SETTING old_parts_lifetime = 60;
ALTER TABLE rejections MODIFY SETTING old_parts_lifetime = 60;
ALTER TABLE replaced MODIFY SETTING old_parts_lifetime = 60;
ALTER TABLE rollups MODIFY SETTING old_parts_lifetime = 60;
ALTER TABLE changes MODIFY SETTING old_parts_lifetime = 60;
ALTER TABLE deletions MODIFY SETTING old_parts_lifetime = 60;
ALTER TABLE deleted_records MODIFY SETTING old_parts_lifetime = 60;
ALTER TABLE polls MODIFY SETTING old_parts_lifetime = 60;

-- What the mill wrote since it last looked is counted by place in the log (mill_confirm.sql): without an index the whole
-- column would be read for that. A granule holds a few thousand neighbours of one series, so their places are near.
ALTER TABLE points ADD INDEX IF NOT EXISTS seq_range seq TYPE minmax GRANULARITY 1;
ALTER TABLE replaced ADD INDEX IF NOT EXISTS seq_range seq TYPE minmax GRANULARITY 1;
ALTER TABLE points MATERIALIZE INDEX seq_range SETTINGS mutations_sync = 0;
ALTER TABLE replaced MATERIALIZE INDEX seq_range SETTINGS mutations_sync = 0;
