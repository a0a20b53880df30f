"""Frames as Arrow streams for the store, written into memory that is kept from one to the next.

A block of 200,000 points is 15 MB: in new memory each time the kernel's zeroed pages cost 40 ms of the processor, more
than half of what an insert costs the process that sends it.
"""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import polars as pl

from tidemill.store.values import insertable

_KEEP_BYTES: Final = 32 << 20


class ArrowBuffer:
    """Memory for one stream at a time; others that are written meanwhile take new memory. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept = io.BytesIO()

    @contextmanager
    def written(self, frame: pl.DataFrame) -> Iterator[memoryview]:
        """The rows of a frame as an Arrow stream, as `Store.insert` sends them; valid inside of the `with`."""
        if not self._lock.acquire(blocking=False):
            with _stream(frame, io.BytesIO()) as stream:
                yield stream
            return
        try:
            with _stream(frame, self._kept) as stream:
                yield stream
            if self._kept.tell() > _KEEP_BYTES:
                self._kept = io.BytesIO()
        except BaseException:
            self._kept = io.BytesIO()  # somebody may still hold a view of the other one
            raise
        finally:
            self._lock.release()


@contextmanager
def _stream(frame: pl.DataFrame, buffer: io.BytesIO) -> Iterator[memoryview]:
    buffer.seek(0)
    insertable(frame).write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    with buffer.getbuffer() as whole, whole[: buffer.tell()] as stream:
        yield stream
