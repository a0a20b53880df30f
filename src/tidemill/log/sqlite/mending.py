"""Repairs damaged entries in the log's file with bytes that match the entry's own checksums."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from tidemill.log.at_rest import Repaired
from tidemill.log.damage import Damages, LogDamage
from tidemill.log.sqlite import database, entries, reading, recovery

StoredBody = Callable[[LogDamage], bytes]
_PAGE: Final = reading.ReadLimits(10_000, 32 << 20)
_WRITE_ROW: Final = (
    "UPDATE entries SET receipt = ?, tenant = ?, feed = ?, feed_version = ?, received_ns = ?, format = ?, kind = ?,"
    " faults = ?, sha256 = ?, body = ?, seal = ? WHERE seq = ?"
)


def repair_entries(path: Path, start: int, stored_body: StoredBody, repaired: Repaired) -> None:
    """Repair the damaged entries of a file whose first offset comes after `start`, and add the outcome of each to
    `repaired`; see `LogFiles.repair_entries`. Raises apsw.Error."""
    connection = database.open_writer(path)
    try:
        damages = Damages(path, quiet=True)
        last = recovery.verify_tail(connection, start, damages)
        after = 0
        while page := reading.read_rows(connection, after, _PAGE, damages):
            after = page[-1].row[0]
        for damage in damages.known:
            whose = f"entry {damage.seq} of the log" + (f" (receipt {damage.receipt})" if damage.receipt else "")
            if damage.seq and damage.mended and write_row(connection, damage.seq):
                repaired.done.append(f"{whose}: one flipped bit is taken back")
            elif damage.receipt and write_body(connection, damage.seq, stored_body(damage)):
                repaired.done.append(f"{whose}: its bytes are those of the store")
            elif damage.seq <= last:
                repaired.lost.append(f"{whose}: {damage.what}, and the store has no copy of it that matches")
    finally:
        recovery.close_quietly(connection)


def write_body(connection: apsw.Connection, seq: int, body: bytes) -> bool:
    """Write the body of an entry in one commit; false if it does not match the entry's sha256. Raises apsw.Error."""
    if connection.execute("SELECT count(*) FROM entries WHERE seq = ?", (seq,)).get == 0:
        return False
    row = reading.read_row(connection, seq)
    candidate = (*row[: entries.HEAD], body, row[-1])
    if hashlib.sha256(body).digest() != row[9] or not entries.is_whole(candidate):
        return False
    connection.execute("UPDATE entries SET body = ? WHERE seq = ?", (body, seq))
    return True


def write_row(connection: apsw.Connection, seq: int) -> bool:
    """Write an entry as `check_row` mends it, in one commit; false if the mended row is still damaged, or has another
    offset. Raises apsw.Error."""
    checked = entries.check_row(reading.read_row(connection, seq))
    if checked.damage or checked.row[0] != seq:
        return False
    connection.execute(_WRITE_ROW, (*checked.row[1:], seq))
    return True
