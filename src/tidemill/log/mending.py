"""Puts bytes back into entries of the log's file, where the entry's own sha256 proves that they are its bytes."""

import hashlib

import apsw

from tidemill.log import entries, reading


def write_body(connection: apsw.Connection, seq: int, body: bytes) -> bool:
    """Write the body of an entry in one commit; false where it does not match the entry's sha256. Raises apsw.Error."""
    if connection.execute("SELECT count(*) FROM entries WHERE seq = ?", (seq,)).get == 0:
        return False
    row = reading.row_at(connection, seq)
    candidate = (*row[: entries.HEAD], body, row[-1])
    if hashlib.sha256(body).digest() != row[9] or not entries.is_whole(candidate):
        return False
    connection.execute("UPDATE entries SET body = ? WHERE seq = ?", (body, seq))
    return True
