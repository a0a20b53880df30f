"""Puts bytes back into entries of the log's file, where the entry's own checksums prove that they are its bytes."""

import hashlib
from typing import Final

import apsw

from tidemill.log import entries, reading
from tidemill.log.damage import Damages
from tidemill.log.entries import Checked

_PAGE: Final = reading.Limits(10_000, 32 << 20)
_WRITE_ROW: Final = (
    "UPDATE entries SET receipt = ?, tenant = ?, feed = ?, feed_version = ?, received_ns = ?, format = ?, kind = ?,"
    " faults = ?, sha256 = ?, body = ?, seal = ? WHERE seq = ?"
)


def rows(connection: apsw.Connection, after: int, damages: Damages) -> list[Checked]:
    """The next rows, with what is wrong with them; notes each damage. Raises apsw.Error."""
    return reading.rows(connection, after, _PAGE, damages)


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


def write_row(connection: apsw.Connection, seq: int) -> bool:
    """Write an entry as it is mended when it is read, in one commit; false where it is not whole then, or at another
    place. Raises apsw.Error."""
    checked = entries.check(reading.row_at(connection, seq))
    if checked.damage or checked.row[0] != seq:
        return False
    connection.execute(_WRITE_ROW, (*checked.row[1:], seq))
    return True
