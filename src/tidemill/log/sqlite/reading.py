"""Reads entries from the log's file, also when parts of the file are damaged.

The fast way reads many rows with one query and checks each against its checksums. At a damaged row, or where SQLite
cannot follow the pages, the slow way continues row by row: it mends rows, leaves out rows that are not reliable, and
adds each damage to `damages`.
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

# Texts are read as bytes, because a damaged text may have another encoding or type than SQLite says.
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


def read_entries(connection: apsw.Connection, after: int, limits: ReadLimits, damages: Damages) -> list[LogEntry]:
    """The entries with seq > `after` in order: at least one if there is one, then up to both limits. Leaves out entries
    whose head is not reliable; an entry whose body alone is damaged says so. Raises apsw.Error."""
    while page := read_rows(connection, after, limits, damages):
        if log_entries := [entries.entry_of_row(checked.row, checked.damage) for checked in page if checked.head]:
            return log_entries
        after = page[-1].row[0]
    return []


def read_rows(connection: apsw.Connection, after: int, limits: ReadLimits, damages: Damages) -> list[CheckedEntry]:
    """As `read_entries`, every row that can be read, with its damage. Raises apsw.Error."""
    rows: list[CheckedEntry] = []
    size = 0
    cursor = connection.execute(database.SELECT_ENTRIES, (after, max(limits.count, 1)))
    try:
        for row in cursor:
            if not entries.is_whole(row):
                break
            size += len(row[entries.HEAD])
            if size > limits.size_bytes and rows:
                return rows
            rows.append(CheckedEntry(row))
        else:
            return rows
    except _UNREADABLE:
        pass  # the slow way meets it again, and notes it
    finally:
        cursor.close(True)
    rest = ReadLimits(max(limits.count, 1) - len(rows), limits.size_bytes - size)
    slow = read_rows_slowly(connection, rows[-1].row[0] if rows else after, damages)
    return rows + _taken(slow, rest, enough=bool(rows))


def read_headers(connection: apsw.Connection, after: int, max_count: int, damages: Damages) -> list[Header]:
    """The entries with seq > `after` in order, up to a count, without their bodies: SQLite reads the length of a large
    body from the beginning of the row. Leaves out entries whose head is not reliable. Raises apsw.Error."""
    headers: list[Header] = []
    try:
        for row in connection.execute(_HEADERS, (after, max_count)):
            head, size, seal = row[: entries.HEAD], row[entries.HEAD], row[-1]
            if not entries.is_whole_head(head, seal):
                break
            headers.append(entries.header_of_row(head, size))
            after = row[0]
        else:
            return headers
    except _UNREADABLE:
        pass  # the slow way meets it again, and notes it
    for checked in read_rows_slowly(connection, after, damages):
        if checked.head:
            headers.append(entries.header_of_row(checked.row[: entries.HEAD], len(checked.row[entries.HEAD])))
        if headers:  # the next call reads the fast way again
            break
    return headers


def read_entries_at(connection: apsw.Connection, seqs: Sequence[int], damages: Damages) -> list[LogEntry]:
    """The entries at these offsets (rising). Leaves out offsets without an entry, and entries whose head is not
    reliable; an entry whose body alone is damaged says so. Raises apsw.Error."""
    if not seqs:
        return []
    contiguous = seqs[-1] - seqs[0] == len(seqs) - 1
    params = (seqs[0], seqs[-1]) if contiguous else (json.dumps(list(seqs)),)
    log_entries: list[LogEntry] = []
    try:
        for row in connection.execute(_RANGE if contiguous else _CHOSEN, params):
            if not entries.is_whole(row):
                break
            log_entries.append(entries.entry_of_row(row))
        else:
            return log_entries
    except _UNREADABLE:
        pass
    for seq in [seq for seq in seqs if not log_entries or seq > log_entries[-1].seq]:
        if _next(connection, seq - 1, damages) != seq:
            continue
        checked = _checked_at(connection, seq, damages)
        if checked is not None and checked.head and checked.row[0] == seq:
            log_entries.append(entries.entry_of_row(checked.row, checked.damage))
    return log_entries


def _taken(slow_rows: Iterator[CheckedEntry], limits: ReadLimits, *, enough: bool) -> list[CheckedEntry]:
    """The first rows, up to both limits; at least one row unless `enough`."""
    rows: list[CheckedEntry] = []
    size = 0
    for checked in slow_rows:
        size += len(checked.row[entries.HEAD]) if checked.head else 0
        if size > limits.size_bytes and (rows or enough):
            break
        rows.append(checked)
        if len(rows) >= limits.count:
            break
    return rows


def read_rows_slowly(connection: apsw.Connection, after: int, damages: Damages) -> Iterator[CheckedEntry]:
    """Every row with seq > `after`, by rising seq, with its damage, which is added to `damages`. Leaves out rows that
    cannot be read at all. Raises apsw.Error."""
    last = after
    while (seq := _next(connection, last, damages)) is not None:
        checked = _checked_at(connection, seq, damages)
        if checked is not None and (checked.row[0] > last or not checked.head):
            yield checked
        last = seq


def _checked_at(connection: apsw.Connection, seq: int, damages: Damages) -> CheckedEntry | None:
    """The row of an entry with its damage, which is added to `damages`; None where SQLite cannot read the row."""
    try:
        row = read_row(connection, seq)
        lost = damages.is_lost(seq)  # mending failed before, and is not tried again
        checked = CheckedEntry(row, damage="lost", head=False) if lost else entries.check_row(row)
    except apsw.CorruptError as error:
        damages.add(LogDamage(seq, f"SQLite cannot read it: {error}", lost=True))
        return None
    if checked.damage or checked.mended:
        damages.add(entries.damage_of(seq, checked))
    return checked


def find_receipt(connection: apsw.Connection, tenant: str, receipt: str, damages: Damages) -> LogEntry | None:
    """The entry of a receipt of a tenant; None if there is none or it cannot be read.

    Raises apsw.Error."""
    try:
        row = connection.execute(database.SELECT_RECEIPT, (receipt, tenant)).fetchone()
    except _UNREADABLE as error:
        damages.add(LogDamage(0, f"receipt {receipt} cannot be looked up: {error}"))
        return None
    if row is None:
        return None
    checked = entries.check_row(row)
    if checked.damage or checked.mended:
        damages.add(entries.damage_of(row[0], checked))
    same = checked.head and checked.row[1:3] == (receipt, tenant)  # the index may lead to another row
    return entries.entry_of_row(checked.row, checked.damage) if same else None


def read_deletions(connection: apsw.Connection, after: int, damages: Damages) -> list[LogEntry]:
    """The deletions with seq > `after` in order; leaves out those that cannot be read. Raises apsw.Error."""
    log_entries: list[LogEntry] = []
    try:
        for row in connection.execute(database.SELECT_DELETIONS, (after,)):
            checked = entries.check_row(row)
            if checked.damage or checked.mended:
                damages.add(entries.damage_of(row[0], checked))
            if checked.head and not checked.damage and checked.row[7] == EntryKind.DELETE:
                log_entries.append(entries.entry_of_row(checked.row))
    except _UNREADABLE as error:
        damages.add(LogDamage(0, f"the deletions after entry {after} cannot all be read: {error}"))
    return log_entries


def read_row(connection: apsw.Connection, seq: int) -> Row:
    """The row of an entry, also when its texts or types are damaged. Raises apsw.Error."""
    row = connection.execute(_SLOW, (seq,)).fetchone()
    if row is None:
        raise apsw.CorruptError(f"entry {seq} is in the table and cannot be found in it")
    return tuple(
        value.decode("utf-8", "surrogateescape") if column in _AS_TEXT and isinstance(value, bytes) else value
        for column, value in enumerate(row)
    )


def _next(connection: apsw.Connection, after: int, damages: Damages) -> int | None:
    """The seq of the next entry after `after`; skips pages that SQLite cannot read. None: there is no further entry."""
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
