-- The catalog. Version 1 (PRAGMA user_version).

-- One row a key. A deleted key stays for a while as a row without a value, so that watchers see the deletion.
CREATE TABLE entries (
    key      TEXT    PRIMARY KEY,
    value    BLOB,              -- null: deleted
    revision INTEGER NOT NULL   -- from `counter`
);

CREATE INDEX entries_by_revision ON entries (revision);

CREATE INDEX entries_deleted ON entries (revision) WHERE value IS NULL;

-- The revision last handed out, to any key: one row, only ever rising, so that no revision comes twice.
CREATE TABLE counter (last INTEGER NOT NULL);

INSERT INTO counter (last) VALUES (0);
