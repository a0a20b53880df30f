"""Reads the bytes of the store's answers to their end.

A store that fails after it sent the status reports the failure only behind the bytes. So an answer counts as whole only
when its end was read without an exception block (ClickHouse 25.11 and later) and without a broken connection.
"""

from collections.abc import Generator
from typing import Any, Final

from urllib3.exceptions import HTTPError

from tidemill.store.errors import TAIL_BYTES, late_failure

_CHUNK_BYTES: Final = 256 << 10
_TAG: Final = "X-ClickHouse-Exception-Tag"


def read_answer(response: Any) -> bytes:
    """All bytes of an answer. Raises StoreQueryError or StoreUnavailableError if it failed after its status."""
    return b"".join(stream_answer(response))


def stream_answer(response: Any) -> Generator[bytes]:
    """Yields the bytes of an answer as they come; raises as `read_answer` does. The end is held back until the answer
    is known to be whole, so that no part of an exception block is yielded."""
    held = b""
    broken: HTTPError | None = None
    try:
        for piece in response.stream(_CHUNK_BYTES):
            held += piece
            if len(held) > _CHUNK_BYTES:
                yield held[:-TAIL_BYTES]
                held = held[-TAIL_BYTES:]
        response.release_conn()
    except HTTPError as error:
        broken = error
    finally:
        response.close()
    failure = late_failure(held[-TAIL_BYTES:], response.headers.get(_TAG), broken)
    if failure is not None:
        raise failure
    if held:
        yield held
