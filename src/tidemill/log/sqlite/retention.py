"""How long applied payloads stay in the log, and giving their pages back to the disk.

Deletes from the oldest, in slices small enough that a commit behind one hardly waits, and only what a count of the
store confirmed to be there.
Freed pages are used again by later payloads; when they are many (a backlog was worked off) they go back to the disk,
because the store lives on the same one.
"""

from typing import Final

import apsw

from tidemill.log.limits import LogLimits

SLICE_ROWS: Final = 512
SLICE_BYTES: Final = 4 << 20
SHRINK_PAGES: Final = 256  # pages moved and cut off in one step: about 1 MiB
_NEVER: Final = -(1 << 63)
SPARE_BYTES: Final = 64 << 20  # free pages below this are kept for later payloads


def next_cut(connection: apsw.Connection, confirmed: int, now_ns: int | None, limits: LogLimits) -> int:
    """The seq up to which the next slice is to be deleted; 0 when nothing is due.

    Due is what was confirmed and either is older than `keep_applied_s`, or makes the log bulkier than `keep_bytes`.
    `now_ns` None: the clock is in doubt, and nothing is old.
    """
    older_than_ns = _NEVER if now_ns is None else now_ns - int(limits.keep_applied_s * 1e9)
    excess = live_bytes(connection) - limits.keep_bytes
    cut = freed = rows = 0
    cursor = connection.execute(
        "SELECT seq, received_ns, length(body) + 300 FROM entries WHERE seq <= ? ORDER BY seq LIMIT ?",
        (confirmed, SLICE_ROWS),
    )
    for seq, received_ns, size in cursor:
        if (received_ns >= older_than_ns and freed >= excess) or (rows and freed + size > SLICE_BYTES):
            break
        cut, freed, rows = seq, freed + size, rows + 1
    cursor.close(True)
    return cut


def delete_up_to(connection: apsw.Connection, cut: int) -> int:
    """Delete entries with seq <= `cut` in one commit; returns how many."""
    connection.execute("DELETE FROM entries WHERE seq <= ?", (cut,))
    return connection.changes()


def live_bytes(connection: apsw.Connection) -> int:
    """Bytes of the main file that hold something."""
    used = connection.pragma("page_count") - connection.pragma("freelist_count")
    return int(used * connection.pragma("page_size"))


def shrinkable(connection: apsw.Connection, *, disk_short: bool) -> bool:
    """Whether free pages should go back to the disk: any when it is short, else when they are many."""
    free, pages = connection.pragma("freelist_count"), connection.pragma("page_count")
    if disk_short:
        return bool(free >= SHRINK_PAGES)
    return bool(free * connection.pragma("page_size") > SPARE_BYTES and free * 4 > pages)


def shrink(connection: apsw.Connection) -> None:
    """Give up to SHRINK_PAGES free pages back."""
    connection.execute(f"PRAGMA incremental_vacuum({SHRINK_PAGES})").fetchall()
