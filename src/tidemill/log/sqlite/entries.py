"""One entry of the log as a row of SQLite, and whether the row is still what was appended.

The body is checked against its sha256, all other columns against the row's seal (a CRC-32). One flipped bit in these
columns or in a small body is taken back, because the checksum identifies the bit. A row with more damage is reported as
damaged, and never passed on as what was sent.
"""

import hashlib
import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tidemill.errors import Fault
from tidemill.flips import find_unflipped, flipped_bits
from tidemill.log.contract import Header
from tidemill.log.damage import LogDamage
from tidemill.model.deletion import ERASED_FORMAT
from tidemill.model.payload import EntryKind, LogEntry, Payload

Row = tuple[Any, ...]  # seq, receipt, tenant, feed, feed_version, received_ns, format, kind, faults, sha256, body, seal
HEAD: Final = 10  # columns before the body
_TYPES: Final[tuple[type | tuple[type, ...], ...]] = (
    int,
    str,
    str,
    str,
    int,
    int,
    str,
    int,
    (str, type(None)),
    bytes,
    bytes,
    (int, type(None)),
)
_KINDS: Final = {int(kind): kind for kind in EntryKind}
_BITS: Final = 64
_decode_faults: Final = msgspec.json.Decoder(tuple[Fault, ...]).decode


class CheckedEntry(msgspec.Struct, frozen=True):
    """A row and its damage. `row` as it was appended, where that is known. `damage`: what is damaged for good (""
    nothing). `mended`: what was mended in `row`, and is still wrong in the file ("" nothing). `head` is false when the
    columns beside the body are not reliable, not even the tenant."""

    row: Row
    damage: str = ""
    mended: str = ""
    head: bool = True


def damage_of(seq: int, checked: CheckedEntry) -> LogDamage:
    """The damage of the row at an offset."""
    what = checked.damage or f"one bit of {checked.mended} was flipped, and is right as it is read"
    _, receipt, tenant, feed, *_ = checked.row if checked.head else (0, "", "", "")
    mended, lost = not checked.damage, not checked.head
    return LogDamage(seq, what, receipt=receipt, tenant=tenant, feed=feed, mended=mended, lost=lost)


def row_seal(head: Row) -> int:
    """The checksum of the first HEAD columns of a row (about 1 µs)."""
    seq, receipt, tenant, feed, version, received_ns, form, kind, faults, sha256 = head
    text = f"{seq}\0{receipt}\0{tenant}\0{feed}\0{version}\0{received_ns}\0{form}\0{kind}\0{faults or ''}\0"
    return zlib.crc32(sha256, zlib.crc32(text.encode("utf-8", "surrogatepass")))


def entry_of_row(row: Row, damage: str = "") -> LogEntry:
    """A row as an entry."""
    seq, receipt, tenant, feed, version, received_ns, form, kind, faults, sha256, body = row[:-1]
    refused = _decode_faults(faults) if faults else ()
    payload = Payload(receipt, tenant, feed, version, received_ns, form, body, sha256, _KINDS[kind], refused)
    return LogEntry(seq, payload, damage)


def header_of_row(head: Row, size_bytes: int | None) -> Header:
    """The first HEAD columns of a row as a header."""
    seq, _, tenant, feed, _, received_ns, _, kind, _, _ = head
    return Header(seq, tenant, feed, _KINDS[kind], size_bytes or 0, received_ns)


def is_whole_head(head: Row, seal: int | None) -> bool:
    """Whether the first HEAD columns are what was appended, by the row's seal; without a seal, whether the kind is
    known."""
    try:
        return head[7] in _KINDS if seal is None else row_seal(head) == seal
    except (TypeError, ValueError):  # a column is not of its type
        return False


def is_whole(row: Row) -> bool:
    """Whether a row is what was appended. A row of an older version has no seal: only its body is checked."""
    try:
        if row[-1] is not None and row_seal(row[:HEAD]) != row[-1]:
            return False
        return bool(row[6] == ERASED_FORMAT or hashlib.sha256(row[HEAD]).digest() == row[9])
    except (TypeError, ValueError):  # a column is not of its type
        return False


def check_row(row: Row) -> CheckedEntry:
    """Check a row and mend it if one bit was flipped; takes up to 0.2 s for a damaged row."""
    if is_whole(row):
        return CheckedEntry(row)
    mended = ""
    if not _is_readable(row):
        return CheckedEntry(row, damage="its columns are not of their types", head=False)
    if row[-1] is not None and row_seal(row[:HEAD]) != row[-1]:
        candidate = next((other for other in _heads(row) if row_seal(other[:HEAD]) == other[-1]), None)
        if candidate is None:
            return CheckedEntry(row, damage="the columns beside its body do not match its seal", head=False)
        row, mended = candidate, "a column"
    if is_whole(row):
        return CheckedEntry(row, mended=mended)
    sha256 = row[9]
    body = find_unflipped(row[HEAD], lambda candidate: hashlib.sha256(candidate).digest() == sha256)
    if body is None:
        return CheckedEntry(row, damage="its body does not match its sha256", mended=mended)
    return CheckedEntry((*row[:HEAD], body, row[-1]), mended="its body")


def _is_readable(row: Row) -> bool:
    """Whether every column has its type; without a seal, also whether kind and faults can be decoded."""
    if not all(isinstance(value, kind) for value, kind in zip(row, _TYPES, strict=True)) or len(row[9]) != 32:
        return False
    if row[-1] is not None:
        return True
    try:
        return row[7] in _KINDS and (not row[8] or bool(_decode_faults(row[8])))
    except msgspec.MsgspecError:
        return False


def _heads(row: Row) -> Iterator[Row]:
    """Every row that differs from this one in one bit of its head or of its seal."""
    for column, value in enumerate(row):
        if column == HEAD or value is None:
            continue
        for flipped in _flipped(value):
            yield (*row[:column], flipped, *row[column + 1 :])


def _flipped(value: str | bytes | int) -> Iterator[str | bytes | int]:
    if isinstance(value, int):
        yield from (value ^ (1 << bit) for bit in range(_BITS))
    elif isinstance(value, bytes):
        yield from flipped_bits(value)
    else:
        for data in flipped_bits(value.encode("utf-8", "surrogateescape")):
            yield data.decode("utf-8", "surrogateescape")
