"""Translates what the driver raises into the two errors that callers know: the store is not there, or it refuses."""

import re
from typing import Final

from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError
from urllib3.exceptions import HTTPError

from tidemill.errors import StoreDamagedError, StoreQueryError, StoreUnavailableError

# A store keeps what it says behind the bytes within 16 KiB.
TAIL_BYTES: Final = 32 << 10

_BLOCK = re.compile(rb"\r\n__exception__\r\n(\w+)\r\n(.*)\n\d+ \1\r\n__exception__", re.DOTALL)
_CODE = re.compile(r"Code: (\d+)\.")
# ClickHouse's codes for "not now", whatever was sent: too many queries, network, shutdown, a table that is read-only
# for a while; a disk that is full or fails (to read, write, open, sync); more parts than merges keep up with.
_UNAVAILABLE = frozenset({202, 209, 210, 236, 242, 425, 74, 75, 76, 204, 243, 252})
# Codes that speak of what is on disk, whatever the query: checksums, decompression, files of a part, corrupted data.
_DAMAGED = frozenset({40, 226, 227, 228, 230, 246, 271, 432})
_PART = re.compile(r"([\w-]+)/([\w-]+_\d+_\d+_\d+(?:_\d+)?)/")
_READING = re.compile(r"[Ww]hile (?:reading|loading) (?:from )?part|[Ww]hile reading or decompressing|broken part")
# Of a question: a file ends too early, or is not there.
_SHORT = frozenset({32, 33})
_NO_FILE = re.compile(r"filesystem error: .*No such file")
_TABLE = re.compile(r"in table `?(?:\w+`?\.)?`?(\w+)")
_UUID = re.compile(r"[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}")  # how the engine calls a table's folder
_ASKED = re.compile(r"\b(?:FROM|JOIN)\s+`?(\w+)`?", re.IGNORECASE)


def translate(error: Exception, host: str, port: int, question: str = "") -> StoreUnavailableError | StoreQueryError:
    """The error to raise for one that the driver raised; `question` is the SQL if it only reads."""
    code = getattr(error, "code", None)
    text = str(error)
    found = _CODE.search(text)
    message = text[found.start() :] if found else text
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"The store at {host}:{port} cannot do this now: {message}")
    if code is not None:
        return refused(int(code), message, question)
    if isinstance(error, ProgrammingError) or not isinstance(error, (DatabaseError, OperationalError, HTTPError)):
        return StoreQueryError(0, message)
    return StoreUnavailableError(f"The store at {host}:{port} does not answer: {message}")


def refused(code: int, message: str, question: str = "") -> StoreQueryError:
    """The error for a code of the store's: StoreDamagedError where it speaks of what is on disk."""
    short = bool(question) and (code in _SHORT or _NO_FILE.search(message) is not None)
    if code not in _DAMAGED and not short and not _READING.search(message):
        return StoreQueryError(code, message)
    return StoreDamagedError(
        code, f"{_damaged_part(message, question)} is damaged in the store (code {code}): {message[:300]}"
    )


def _damaged_part(message: str, question: str) -> str:
    """The part that a message speaks of, and its table; where it names none, the tables that were asked."""
    part, table = _PART.search(message), _TABLE.search(message)
    if table is not None:
        tables = table.group(1)
    elif part is not None and not _UUID.fullmatch(part.group(1)):
        tables = part.group(1)
    else:
        tables = " or ".join(dict.fromkeys(_ASKED.findall(question)))
    of_table = f" of table {tables}" if tables else " of a table"
    return f"part {part.group(2)}{of_table}" if part else f"a part{of_table}"


def late_failure(
    tail: bytes, tag: str | None, broken: HTTPError | None
) -> StoreUnavailableError | StoreQueryError | None:
    """Why an answer whose status was good failed later; null if it did not. `tail` is the last of it that came, `tag`
    what marks the store's own words in this answer (so that they cannot be in the data), `broken` how it broke off."""
    block = _BLOCK.search(tail) if tag else None
    if block is not None and tag is not None and block.group(1) == tag.encode():
        message = block.group(2).decode(errors="replace")
        code = _CODE.search(message)
        number = int(code.group(1)) if code else 0
        return StoreUnavailableError(message) if number in _UNAVAILABLE else refused(number, message)
    if broken is not None:
        return StoreUnavailableError(f"The store broke off in the middle of an answer: {broken}")
    return None
