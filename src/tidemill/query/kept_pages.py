"""Pages that were answered before, sent again for as long as no write began that may change them (`kept.py`).

A page of bytes has the tag of its content and of the cursor of the next page: so it needs no question of its own to the
store, and stays the same across writes that do not change the page. What says how long the server took is no part of
the content.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final

import msgspec

from tidemill import __version__
from tidemill.query.answers import MEDIA_TYPES, Page
from tidemill.query.kept import Kept
from tidemill.query.states import Known, tagged, unchanged
from tidemill.store.generations import Generation, Generations

_MOST_BYTES: Final = 16 << 20
_MOST_PAGE_BYTES: Final = 1 << 20
_TAG_BYTES: Final = 12
HEAD_BYTES: Final = 600  # of a JSON page, which have its `took_ms`
_TOOK: Final = re.compile(rb'"took_ms":[0-9.eE+-]+')


class KeptPages:
    """The pages of one kind of question. Thread-safe."""

    def __init__(self, generations: Generations, *, timed: bool = False) -> None:
        """`timed`: the JSON pages say in their first member `took_ms` how long they took."""
        self._timed = timed
        self._kept: Kept[Page] = Kept(generations, _MOST_BYTES, _MOST_PAGE_BYTES)

    def answer(
        self,
        question: Any,
        generation: Generation | None,
        make: Callable[[], Page],
        known: Known,
        *,
        has_tag: bool,
    ) -> Page:
        """The page that answers a question (all that it depends on beside the store, as plain data): kept, or made now
        by `make` of what the store has since `generation` was taken. `has_tag`: with a tag, and without a body where
        `known` has that; a page that `make` gave a tag keeps that one. Of a long page, which is streamed, only the tag
        is kept."""
        began, key = time.perf_counter(), msgspec.msgpack.encode(question)
        page = self._kept.get(key)
        if page is None or (page.unchanged and page.etag not in known):
            page = _at_once(make())
            if not isinstance(page.body, bytes):
                if page.etag is not None:
                    self._kept.put(key, generation, unchanged(page.etag), 0)
                return page
            if has_tag and page.etag is None:
                page = tagged(page, self._content_tag(key, page))
            self._kept.put(key, generation, page, len(_bytes(page)))
        elif self._is_timed(page):
            page = msgspec.structs.replace(page, body=_taking(_bytes(page), (time.perf_counter() - began) * 1000))
        return unchanged(page.etag) if page.etag is not None and page.etag in known else page

    def _is_timed(self, page: Page) -> bool:
        return self._timed and page.media_type == MEDIA_TYPES["json"]

    def _content_tag(self, key: bytes, page: Page) -> str:
        digest = blake2b(key, digest_size=_TAG_BYTES, person=__version__.encode()[:16])
        digest.update(_taking(_bytes(page), 0.0) if self._is_timed(page) else _bytes(page))
        digest.update((page.next or "").encode())
        return digest.hexdigest()


def _at_once(page: Page) -> Page:
    """A page whose body is read now, if it is short."""
    if isinstance(page.body, bytes):
        return page
    pieces, size = list[bytes](), 0
    for piece in page.body:
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_PAGE_BYTES:
            return msgspec.structs.replace(page, body=_Continued(pieces, page.body))
    return msgspec.structs.replace(page, body=b"".join(pieces))


class _Continued(Iterator[bytes]):
    """The pieces of a body that was read in part. Closing it closes the rest, and so the query, however much of it was
    sent."""

    def __init__(self, pieces: Iterable[bytes], rest: Iterator[bytes]) -> None:
        self._pieces, self._rest = deque(pieces), rest

    def __next__(self) -> bytes:
        return self._pieces.popleft() if self._pieces else next(self._rest)

    def close(self) -> None:
        self._pieces.clear()
        close = getattr(self._rest, "close", None)
        if close is not None:
            close()


def _taking(body: bytes, took_ms: float) -> bytes:
    """The body of a JSON page with another `took_ms`, if it has one."""
    head = _TOOK.sub(b'"took_ms":%.3f' % took_ms, body[:HEAD_BYTES], count=1)
    return head + body[HEAD_BYTES:]


def _bytes(page: Page) -> bytes:
    assert isinstance(page.body, bytes)
    return page.body
