"""Translates errors of the driver into StoreUnavailableError and StoreQueryError."""

import re
from typing import Final

from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError
from urllib3.exceptions import HTTPError

from tidemill.errors import StoreDamagedError, StoreQueryError, StoreUnavailableError

# A store keeps its exception block behind the bytes within 16 KiB.
TAIL_BYTES: Final = 32 << 10

_BLOCK = re.compile(rb"\r\n__exception__\r\n(\w+)\r\n(.*)\n\d+ \1\r\n__exception__", re.DOTALL)
_CODE = re.compile(r"Code: (\d+)\.")
# ClickHouse's codes for "not now", whatever was sent: too many queries, network, shutdown, a table that is read-only
# for a while; a disk that is full or fails (to read, write, open, sync); more parts than merges keep up with.
_UNAVAILABLE = frozenset({202, 209, 210, 236, 242, 425, 74, 75, 76, 204, 243, 252})
# Codes of damage on disk, whatever the query: checksums, decompression, files of a part, corrupted data.
_DAMAGED = frozenset({40, 226, 227, 228, 230, 246, 271, 432})
_PART = re.compile(r"([\w-]+)/([\w-]+_\d+_\d+_\d+(?:_\d+)?)/")
_READING = re.compile(r"[Ww]hile (?:reading|loading) (?:from )?part|[Ww]hile reading or decompressing|broken part")
# Codes of a query that reads: a file ends too early, or is missing.
_SHORT = frozenset({32, 33})
_NO_FILE = re.compile(r"filesystem error: .*No such file")
_TABLE = re.compile(r"in table `?(?:\w+`?\.)?`?(\w+)")
_UUID = re.compile(r"[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}")  # the engine's name of a table's folder
_READ_TABLES = re.compile(r"\b(?:FROM|JOIN)\s+`?(\w+)`?", re.IGNORECASE)


def translate_error(
    error: Exception, host: str, port: int, read_sql: str = ""
) -> StoreUnavailableError | StoreQueryError:
    """The error to raise for an error of the driver; `read_sql` is the SQL of a query that only reads, else empty."""
    code = getattr(error, "code", None)
    text = str(error)
    match = _CODE.search(text)
    message = text[match.start() :] if match else text
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"The store at {host}:{port} cannot do this now: {message}")
    if code is not None:
        return query_error(int(code), message, read_sql)
    if isinstance(error, ProgrammingError) or not isinstance(error, (DatabaseError, OperationalError, HTTPError)):
        return StoreQueryError(0, message)
    return StoreUnavailableError(f"The store at {host}:{port} does not answer: {message}")


def query_error(code: int, message: str, read_sql: str = "") -> StoreQueryError:
    """The error for a code of the store: StoreDamagedError where the code or the message reports damage on disk."""
    short = bool(read_sql) and (code in _SHORT or _NO_FILE.search(message) is not None)
    if code not in _DAMAGED and not short and not _READING.search(message):
        return StoreQueryError(code, message)
    return StoreDamagedError(
        code, f"{_damaged_part(message, read_sql)} is damaged in the store (code {code}): {message[:300]}"
    )


def _damaged_part(message: str, read_sql: str) -> str:
    """The part that a message names, and its table; where it names none, the tables that the query reads."""
    part, table = _PART.search(message), _TABLE.search(message)
    if table is not None:
        tables = table.group(1)
    elif part is not None and not _UUID.fullmatch(part.group(1)):
        tables = part.group(1)
    else:
        tables = " or ".join(dict.fromkeys(_READ_TABLES.findall(read_sql)))
    of_table = f" of table {tables}" if tables else " of a table"
    return f"part {part.group(2)}{of_table}" if part else f"a part{of_table}"


def late_failure(
    tail: bytes, tag: str | None, broken: HTTPError | None
) -> StoreUnavailableError | StoreQueryError | None:
    """The error of an answer that failed after a good status; null if it did not fail. `tail`: the last bytes that
    came. `tag`: the marker of this answer's exception block, which data cannot contain. `broken`: the error of the
    connection, if it broke."""
    block = _BLOCK.search(tail) if tag else None
    if block is not None and tag is not None and block.group(1) == tag.encode():
        message = block.group(2).decode(errors="replace")
        code = _CODE.search(message)
        number = int(code.group(1)) if code else 0
        return StoreUnavailableError(message) if number in _UNAVAILABLE else query_error(number, message)
    if broken is not None:
        return StoreUnavailableError(f"The store broke off in the middle of an answer: {broken}")
    return None
