"""Reads entries out of the log's file past whatever is damaged in it.

The fast way reads rows as they come and holds each against its checksums. Where a row is damaged, or SQLite cannot
follow its pages, the slow way goes on from there row by row: it mends what can be mended, leaves out what cannot be
relied on, and notes each damage.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

import apsw
import msgspec

from tidemill.log.contract import Header
from tidemill.log.damage import Damages, LogDamage
from tidemill.log.sqlite import database, entries
from tidemill.log.sqlite.entries import CheckedEntry, Row
from tidemill.model.payload import EntryKind, LogEntry

# Text as bytes: of what is damaged, neither the encoding nor the type that SQLite names can be relied on.
_TEXTS: Final = frozenset({"receipt", "tenant", "feed", "format", "faults", "sha256", "body"})
_SLOW: Final = "SELECT {} FROM entries WHERE seq = ?".format(
    ", ".join(f"CAST({name} AS BLOB)" if name in _TEXTS else name for name in database.COLUMNS.split(", "))
)
_HEAD_COLUMNS: Final = ", ".join(name for name in database.COLUMNS.split(", ") if name not in ("body", "seal"))
_HEADERS: Final = f"SELECT {_HEAD_COLUMNS}, length(body), seal FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
_RANGE: Final = f"SELECT {database.COLUMNS} FROM entries WHERE seq BETWEEN ? AND ? ORDER BY seq"
_CHOSEN: Final = f"SELECT {database.COLUMNS} FROM entries WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
_NEXT: Final = "SELECT seq FROM entries WHERE seq > ? ORDER BY seq LIMIT 1"
_AS_TEXT: Final = (1, 2, 3, 6, 8)
_UNREADABLE: Final = (apsw.CorruptError, UnicodeDecodeError)


class ReadLimits(msgspec.Struct, frozen=True):
    """How much to read at once: entries, and bytes of their bodies."""

    count: int
    size_bytes: int


def read(connection: apsw.Connection, after: int, limits: ReadLimits, damages: Damages) -> list[LogEntry]:
    """Entries with seq > `after` in order; at least one if there is one, then up to both limits. What cannot be relied
    on is left out; an entry whose body alone is damaged is there, and says so. Raises apsw.Error."""
    while page := rows(connection, after, limits, damages):
        if found := [entries.entry(checked.row, checked.damage) for checked in page if checked.head]:
            return found
        after = page[-1].row[0]
    return []


def rows(connection: apsw.Connection, after: int, limits: ReadLimits, damages: Damages) -> list[CheckedEntry]:
    """Likewise every row that can be read, with what is wrong with it. Raises apsw.Error."""
    found: list[CheckedEntry] = []
    size = 0
    cursor = connection.execute(database.READ, (after, max(limits.count, 1)))
    try:
        for row in cursor:
            if not entries.is_whole(row):
                break
            size += len(row[entries.HEAD])
            if size > limits.size_bytes and found:
                return found
            found.append(CheckedEntry(row))
        else:
            return found
    except _UNREADABLE:
        pass  # the slow way meets it again, and notes it
    finally:
        cursor.close(True)
    rest = ReadLimits(max(limits.count, 1) - len(found), limits.size_bytes - size)
    slow = checked_rows(connection, found[-1].row[0] if found else after, damages)
    return found + _taken(slow, rest, enough=bool(found))


def headers(connection: apsw.Connection, after: int, max_count: int, damages: Damages) -> list[Header]:
    """Entries with seq > `after` in order, up to a count, without their bodies: SQLite knows the length of a large one
    from the row's beginning. Leaves out entries of which nobody knows whose they are. Raises apsw.Error."""
    found: list[Header] = []
    try:
        for row in connection.execute(_HEADERS, (after, max_count)):
            head, size, seal = row[: entries.HEAD], row[entries.HEAD], row[-1]
            if not entries.is_whole_head(head, seal):
                break
            found.append(entries.header(head, size))
            after = row[0]
        else:
            return found
    except _UNREADABLE:
        pass  # the slow way meets it again, and notes it
    for checked in checked_rows(connection, after, damages):
        if checked.head:
            found.append(entries.header(checked.row[: entries.HEAD], len(checked.row[entries.HEAD])))
        if found:  # what follows is read the fast way again
            break
    return found


def at(connection: apsw.Connection, seqs: Sequence[int], damages: Damages) -> list[LogEntry]:
    """The entries at these places (rising), without those that are not there or cannot be relied on; one whose body
    alone is damaged is there, and says so. Raises apsw.Error."""
    if not seqs:
        return []
    together = seqs[-1] - seqs[0] == len(seqs) - 1
    bound = (seqs[0], seqs[-1]) if together else (json.dumps(list(seqs)),)
    found: list[LogEntry] = []
    try:
        for row in connection.execute(_RANGE if together else _CHOSEN, bound):
            if not entries.is_whole(row):
                break
            found.append(entries.entry(row))
        else:
            return found
    except _UNREADABLE:
        pass
    for seq in [seq for seq in seqs if not found or seq > found[-1].seq]:
        if _next(connection, seq - 1, damages) != seq:
            continue
        checked = _checked_at(connection, seq, damages)
        if checked is not None and checked.head and checked.row[0] == seq:
            found.append(entries.entry(checked.row, checked.damage))
    return found


def _taken(checked_rows: Iterator[CheckedEntry], limits: ReadLimits, *, enough: bool) -> list[CheckedEntry]:
    """The first rows, up to both limits; `enough`: it may be none."""
    found: list[CheckedEntry] = []
    size = 0
    for checked in checked_rows:
        size += len(checked.row[entries.HEAD]) if checked.head else 0
        if size > limits.size_bytes and (found or enough):
            break
        found.append(checked)
        if len(found) >= limits.count:
            break
    return found


def checked_rows(connection: apsw.Connection, after: int, damages: Damages) -> Iterator[CheckedEntry]:
    """Every row with seq > `after`, by rising seq, with what is wrong with it; notes each damage. Rows that cannot be
    read at all are left out. Raises apsw.Error."""
    last = after
    while (seq := _next(connection, last, damages)) is not None:
        checked = _checked_at(connection, seq, damages)
        if checked is not None and (checked.row[0] > last or not checked.head):
            yield checked
        last = seq


def _checked_at(connection: apsw.Connection, seq: int, damages: Damages) -> CheckedEntry | None:
    """The row of an entry with what is wrong with it, which is noted; None where SQLite cannot read it."""
    try:
        row = row_at(connection, seq)
        lost = damages.is_lost(seq)  # known to be beyond mending: that is not tried again
        checked = CheckedEntry(row, damage="lost", head=False) if lost else entries.check(row)
    except apsw.CorruptError as error:
        damages.add(LogDamage(seq, f"SQLite cannot read it: {error}", lost=True))
        return None
    if checked.damage or checked.mended:
        damages.add(entries.damage_of(seq, checked))
    return checked


def find(connection: apsw.Connection, tenant: str, receipt: str, damages: Damages) -> LogEntry | None:
    """The entry of a receipt if it is there and this tenant's, else None; also None where it cannot be read.

    Raises apsw.Error."""
    try:
        row = connection.execute(database.FIND, (receipt, tenant)).fetchone()
    except _UNREADABLE as error:
        damages.add(LogDamage(0, f"receipt {receipt} cannot be looked up: {error}"))
        return None
    if row is None:
        return None
    checked = entries.check(row)
    if checked.damage or checked.mended:
        damages.add(entries.damage_of(row[0], checked))
    same = checked.head and checked.row[1:3] == (receipt, tenant)  # the index may lead to another row
    return entries.entry(checked.row, checked.damage) if same else None


def deletions(connection: apsw.Connection, after: int, damages: Damages) -> list[LogEntry]:
    """The deletions with seq > `after` that can be read, in order. Raises apsw.Error."""
    found: list[LogEntry] = []
    try:
        for row in connection.execute(database.DELETIONS, (after,)):
            checked = entries.check(row)
            if checked.damage or checked.mended:
                damages.add(entries.damage_of(row[0], checked))
            if checked.head and not checked.damage and checked.row[7] == EntryKind.DELETE:
                found.append(entries.entry(checked.row))
    except _UNREADABLE as error:
        damages.add(LogDamage(0, f"the deletions after entry {after} cannot all be read: {error}"))
    return found


def row_at(connection: apsw.Connection, seq: int) -> Row:
    """The row of an entry, read in such a way that damaged text and types do not matter. Raises apsw.Error."""
    row = connection.execute(_SLOW, (seq,)).fetchone()
    if row is None:
        raise apsw.CorruptError(f"entry {seq} is in the table and cannot be found in it")
    return tuple(
        value.decode("utf-8", "surrogateescape") if column in _AS_TEXT and isinstance(value, bytes) else value
        for column, value in enumerate(row)
    )


def _next(connection: apsw.Connection, after: int, damages: Damages) -> int | None:
    """The seq that follows `after`; past pages that SQLite cannot read. None: there is none."""
    try:
        return _follows(connection, after)
    except apsw.CorruptError as error:
        damages.add(LogDamage(after + 1, f"SQLite cannot read what follows entry {after}: {error}"))
    low, high = after, database.last_seq(connection)  # `low` fails, `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _follows(connection, middle)
        except apsw.CorruptError:
            low = middle
        else:
            high = middle
    try:
        return _follows(connection, high) if high > after else None
    except apsw.CorruptError:
        return None


def _follows(connection: apsw.Connection, after: int) -> int | None:
    row = connection.execute(_NEXT, (after,)).fetchone()
    if row is not None and row[0] <= after:
        raise apsw.CorruptError(f"entry {row[0]} comes after entry {after}")
    return None if row is None else int(row[0])
