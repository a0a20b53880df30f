"""Reads the bytes of the store's answers to their end.

A store that has sent its status can say only behind the bytes that it failed. So an answer is taken for whole only
once its end was seen: without the block that says why it failed (ClickHouse 25.11 and later), and not broken off.
"""

from collections.abc import Generator
from typing import Any, Final

from urllib3.exceptions import HTTPError

from tidemill.store.errors import TAIL_BYTES, late_failure

_CHUNK_BYTES: Final = 256 << 10
_TAG: Final = "X-ClickHouse-Exception-Tag"


def whole(response: Any) -> bytes:
    """All bytes of an answer. Raises StoreQueryError or StoreUnavailableError if it failed on the way."""
    return b"".join(pieces(response))


def pieces(response: Any) -> Generator[bytes]:
    """The bytes of an answer as they come; raises as `whole` does. The end is held back until it is known to be good,
    so that nothing of what a failed store says of itself is yielded."""
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
