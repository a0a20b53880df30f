"""Reads what is in the log without the bodies, so that whoever works it off may choose; and the chosen entries.

A header costs no read of the pages that hold a large body: SQLite knows a value's length from the row's beginning.
"""

import json
from collections.abc import Sequence
from typing import Final

import apsw
import msgspec

from tidemill.log import database
from tidemill.model.payload import Kind, Logged

_HEADERS: Final = "SELECT seq, tenant, feed, kind, length(body) FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
_RANGE: Final = f"SELECT {database.COLUMNS} FROM entries WHERE seq BETWEEN ? AND ? ORDER BY seq"
_CHOSEN: Final = f"SELECT {database.COLUMNS} FROM entries WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
_KINDS: Final = {int(kind): kind for kind in Kind}


class Header(msgspec.Struct, frozen=True, gc=False):
    """An entry of the log without its body: `size_bytes` is the length of that."""

    seq: int
    tenant: str
    feed: str
    kind: Kind
    size_bytes: int


def read(connection: apsw.Connection, after: int, max_count: int) -> list[Header]:
    """The headers of entries with seq > `after`, in order, up to a count. Raises apsw.Error."""
    rows = connection.execute(_HEADERS, (after, max_count))
    return [Header(seq, tenant, feed, _KINDS[kind], size or 0) for seq, tenant, feed, kind, size in rows]


def entries(connection: apsw.Connection, seqs: Sequence[int]) -> list[Logged]:
    """The entries at these offsets (rising), without those that are not there. Raises apsw.Error."""
    if not seqs:
        return []
    if seqs[-1] - seqs[0] == len(seqs) - 1:
        rows = connection.execute(_RANGE, (seqs[0], seqs[-1]))
    else:
        rows = connection.execute(_CHOSEN, (json.dumps(list(seqs)),))
    return [database.from_row(row) for row in rows]
