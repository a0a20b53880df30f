"""Compresses answers with zstd or gzip, as a client accepts: texts above a size, whole or while they are streamed.

Events are never held back (`text/event-stream`), and columnar files are compact as they are. The bytes of payloads stay
as they are, whole and in ranges: their hash is that of what is sent. A large piece is compressed in a thread.
"""

import zlib
from typing import Any, Final, Protocol

import zstandard
from anyio import to_thread

MIN_BYTES: Final = 2048  # a smaller answer fits a packet or two
TYPES: Final = (
    b"application/json", b"application/problem+json", b"application/x-ndjson", b"application/javascript",
    b"text/csv", b"text/html", b"text/css", b"text/javascript", b"text/plain", b"image/svg+xml",
)  # fmt: skip
_EXACT: Final = frozenset({b"repr-digest", b"content-range", b"content-encoding"})  # headers about the very bytes
_OFF_LOOP: Final = 64 << 10  # bytes; half a millisecond
_GZIP: Final = 16 + zlib.MAX_WBITS
# Lowest levels: higher ones take several times as long for a tenth of the size (hourly means of 1,000 series).
_ZSTD_LEVEL: Final = 1
_GZIP_LEVEL: Final = 1


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def accepted_encoding(header: bytes) -> str | None:
    """`zstd` or `gzip`, whichever an Accept-Encoding header names and does not refuse (`q=0`); zstd before gzip."""
    accepted = set()
    for item in header.decode("latin-1").lower().split(","):
        name, _, weight = item.partition(";")
        if weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            accepted.add(name.strip())
    return next((name for name in ("zstd", "gzip") if name in accepted), None)


class CompressedAnswers:
    """An ASGI middleware."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, compressed where that is accepted and worth it."""
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        header = next((value for name, value in scope["headers"] if name == b"accept-encoding"), b"")
        await self._app(scope, receive, _PackedAnswer(send, accepted_encoding(header)).send)


class _PackedAnswer:
    """One answer on its way: its head is held back until its first piece shows whether to compress it."""

    def __init__(self, send: Any, encoding: str | None) -> None:
        self._send, self._encoding = send, encoding
        self._start: dict[str, Any] | None = None
        self._compressor: _Compressor | None = None

    async def send(self, message: Any) -> None:
        """Send a message of the answer."""
        if message["type"] == "http.response.start" and _is_text(message):
            self._start = {**message, "headers": _varied(message["headers"])}
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._start is not None:
            start, self._start = self._start, None
            if self._encoding is not None and (more or len(body) >= MIN_BYTES):
                self._compressor = _compressor(self._encoding)
                body = await self._compressed(body, more)
                start = _encoded(start, self._encoding, None if more else len(body))
            await self._send(start)
        elif self._compressor is not None:
            body = await self._compressed(body, more)
        if body or not more:
            await self._send({**message, "body": body})

    async def _compressed(self, body: bytes, more: bool) -> bytes:
        compressor = self._compressor
        assert compressor is not None

        def work() -> bytes:
            return compressor.compress(body) + (b"" if more else compressor.flush())

        return await to_thread.run_sync(work) if len(body) > _OFF_LOOP else work()


def _compressor(encoding: str) -> _Compressor:
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)


def _is_text(start: Any) -> bool:
    """Whether an answer may be compressed: a text that is not encoded already, and of which no header states bytes."""
    headers = {name.lower(): value for name, value in start["headers"]}
    return _EXACT.isdisjoint(headers) and headers.get(b"content-type", b"").partition(b";")[0] in TYPES


def _varied(headers: Any) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that depends on Accept-Encoding."""
    others = [(name, value) for name, value in headers if name != b"vary"]
    varied = [item.strip() for name, value in headers if name == b"vary" for item in value.split(b",")]
    if b"accept-encoding" not in (item.lower() for item in varied):
        varied.append(b"Accept-Encoding")
    return [*others, (b"vary", b", ".join(varied))]


def _encoded(start: dict[str, Any], encoding: str, size: int | None) -> dict[str, Any]:
    headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    headers.append((b"content-encoding", encoding.encode()))
    if size is not None:
        headers.append((b"content-length", b"%d" % size))
    return {**start, "headers": headers}
