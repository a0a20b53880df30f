"""Translates what the driver raises into the two errors that callers know: the store is not there, or it refuses."""

import re

from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError
from urllib3.exceptions import HTTPError

from tidemill.errors import StoreQueryError, StoreUnavailableError

_BLOCK = re.compile(rb"__exception__\r\n\w+\r\n(.*)\n\d+ \w+\r\n__exception__", re.DOTALL)
_CODE = re.compile(r"Code: (\d+)\.")
# ClickHouse's codes for "not now": too many queries, network, shutdown, a table that is read-only for a while.
_UNAVAILABLE = frozenset({202, 209, 210, 236, 242, 425})


def translate(error: Exception, host: str, port: int) -> StoreUnavailableError | StoreQueryError:
    """The error to raise for one that the driver raised."""
    code = getattr(error, "code", None)
    text = str(error)
    found = _CODE.search(text)
    message = text[found.start() :] if found else text
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"The store at {host}:{port} is busy: {message}")
    if code is not None:
        return StoreQueryError(int(code), message)
    if isinstance(error, ProgrammingError) or not isinstance(error, (DatabaseError, OperationalError, HTTPError)):
        return StoreQueryError(0, message)
    return StoreUnavailableError(f"The store at {host}:{port} does not answer: {message}")


def translate_broken_stream(tail: bytes, error: HTTPError) -> StoreUnavailableError | StoreQueryError:
    """The error to raise for an answer that broke off; `tail` is the last of it that came."""
    block = _BLOCK.search(tail)
    if block is None:
        return StoreUnavailableError(f"The store broke off in the middle of an answer: {error}")
    message = block.group(1).decode(errors="replace")
    code = _CODE.search(message)
    return StoreQueryError(int(code.group(1)) if code else 0, message)
