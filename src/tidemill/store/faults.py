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
_PART = re.compile(r"(\w+)/([\w-]+_\d+_\d+_\d+(?:_\d+)?)/")
_READING = re.compile(r"while (?:reading|loading) (?:from )?part|broken part")


def translate(error: Exception, host: str, port: int) -> StoreUnavailableError | StoreQueryError:
    """The error to raise for one that the driver raised."""
    code = getattr(error, "code", None)
    text = str(error)
    found = _CODE.search(text)
    message = text[found.start() :] if found else text
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"The store at {host}:{port} cannot do this now: {message}")
    if code is not None:
        return refused(int(code), message)
    if isinstance(error, ProgrammingError) or not isinstance(error, (DatabaseError, OperationalError, HTTPError)):
        return StoreQueryError(0, message)
    return StoreUnavailableError(f"The store at {host}:{port} does not answer: {message}")


def refused(code: int, message: str) -> StoreQueryError:
    """The error for a code of the store's: StoreDamagedError where it speaks of what is on disk."""
    if code not in _DAMAGED and not _READING.search(message):
        return StoreQueryError(code, message)
    named = _PART.search(message)
    where = f"part {named.group(2)} of table {named.group(1)}" if named else "a part of a table"
    return StoreDamagedError(code, f"{where} is damaged in the store (code {code}): {message[:300]}")


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
