-- The intake log. Version 4 (PRAGMA user_version).

-- One row a payload. AUTOINCREMENT: the seq of a trimmed entry is never handed out again.
-- `body` comes last, so that a query of the other columns never reads its overflow pages.
CREATE TABLE entries (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    receipt      TEXT    NOT NULL,  -- UUIDv7, so that the index below grows at its right edge
    tenant       TEXT    NOT NULL,
    feed         TEXT    NOT NULL,
    feed_version INTEGER NOT NULL,
    received_ns  INTEGER NOT NULL,  -- ns since the epoch, UTC
    format       TEXT    NOT NULL,
    kind         INTEGER NOT NULL,  -- model/payload.py: EntryKind
    faults       TEXT,              -- JSON array of Fault; null: none
    sha256       BLOB    NOT NULL,  -- 32 bytes, of body
    body         BLOB    NOT NULL
);

-- CRC-32 of all columns but the body, which has its sha256 (entries.py: seal). Null: of an older version, or erased.
-- Since version 4; added as the upgrade adds it, so that both have one text.
ALTER TABLE entries ADD COLUMN seal INTEGER;

CREATE INDEX entries_by_receipt ON entries (receipt);

-- Deletions (kind 2) among all the data: the api asks for them at each start. Since version 2.
CREATE INDEX entries_deletions ON entries (seq) WHERE kind = 2;

-- What an idempotency key was used for; outlives the entry. Written in the commit that holds the entry.
CREATE TABLE idempotency (
    tenant      TEXT    NOT NULL,
    feed        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    sha256      BLOB    NOT NULL,
    receipt     TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    received_ns INTEGER NOT NULL,  -- of the payload, as it was answered
    used_ns     INTEGER NOT NULL,  -- when the key was written, by this machine's clock; it expires by this
    PRIMARY KEY (tenant, feed, key)
) WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (used_ns);

-- The offset of the deletion up to which everything is erased from this file. One row. Since version 3.
CREATE TABLE erasure (id INTEGER PRIMARY KEY CHECK (id = 1), up_to INTEGER NOT NULL);
