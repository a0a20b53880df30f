"""Retention of the log: deletes applied payloads, and returns their pages to the disk.

Deletes the oldest first, in slices so small that a commit behind one hardly waits, and only entries up to an offset to
which the store was counted and holds everything. Later payloads use freed pages again; many free pages (after a backlog
was applied) go back to the disk, because the store is on the same disk.
"""

from typing import Final

import apsw

from tidemill.log.limits import LogLimits

SLICE_ROWS: Final = 512
SLICE_BYTES: Final = 4 << 20
SHRINK_PAGES: Final = 256  # pages moved and cut off in one step: 1 MiB
SPARE_BYTES: Final = 64 << 20  # as many bytes of free pages are kept for later payloads
_NEVER: Final = -(1 << 63)


def next_cut(connection: apsw.Connection, confirmed: int, now_ns: int | None, limits: LogLimits) -> int:
    """The seq up to which the next slice is to be deleted; 0 when nothing is due.

    An entry up to `confirmed` is due when it is older than `keep_applied_s`, or the log is larger than `keep_bytes`.
    `now_ns` None: the clock is in doubt, and nothing counts as old.
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


def delete_entries(connection: apsw.Connection, cut: int) -> int:
    """Delete entries with seq <= `cut` in one commit; returns how many."""
    connection.execute("DELETE FROM entries WHERE seq <= ?", (cut,))
    return connection.changes()


def live_bytes(connection: apsw.Connection) -> int:
    """The bytes of the main file's pages that are not free."""
    used = connection.pragma("page_count") - connection.pragma("freelist_count")
    return int(used * connection.pragma("page_size"))


def has_excess_pages(connection: apsw.Connection, *, disk_short: bool) -> bool:
    """Whether free pages should go back to the disk: SHRINK_PAGES or more of a short disk, else more than
    SPARE_BYTES and a quarter of the file."""
    free, pages = connection.pragma("freelist_count"), connection.pragma("page_count")
    if disk_short:
        return bool(free >= SHRINK_PAGES)
    return bool(free * connection.pragma("page_size") > SPARE_BYTES and free * 4 > pages)


def return_free_pages(connection: apsw.Connection) -> bool:
    """Return up to SHRINK_PAGES free pages to the disk; whether no free page is left."""
    connection.execute(f"PRAGMA incremental_vacuum({SHRINK_PAGES})").fetchall()
    return bool(connection.pragma("freelist_count") == 0)
