"""ClickHouse's HTTP interface on the wire: the headers of answers, errors in their two forms, and compression.

Answers are compressed piece by piece by a method that the client accepts, at fast levels: both ends share a machine.
"""

import json
import uuid
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import zstandard

from tidemill.store.engine.errors import TOO_MANY_SIMULTANEOUS_QUERIES, EngineError
from tidemill.store.engine.execute import StatementResult
from tidemill.store.engine.request import EngineRequest

# The types of ASGI.
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_BLOCK_TEXT_BYTES = 16_000
_CONTENT_TYPES = {
    "JSON": b"application/json; charset=UTF-8",
    "JSONCompact": b"application/json; charset=UTF-8",
    "JSONEachRow": b"application/x-ndjson; charset=UTF-8",
    "CSV": b"text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": b"text/csv; charset=UTF-8; header=present",
    "TabSeparated": b"text/tab-separated-values; charset=UTF-8",
}


class Compressor:
    """One answer's compression. `name` is its Content-Encoding."""

    def __init__(self, name: bytes, stream: Any, finish: Any) -> None:
        self.name = name
        self._stream = stream
        self._finish = finish

    def add(self, piece: bytes) -> bytes:
        """The compressed bytes that are ready after `piece`; b"" if none are yet."""
        return bytes(self._stream.compress(piece))

    def finish(self) -> bytes:
        """The rest."""
        return bytes(self._finish())


def choose_compressor(accepts: str) -> Compressor | None:
    """The compression for an Accept-Encoding value: zstd, else gzip, else null (send as it is)."""
    offered = {part.split(";")[0].strip().lower() for part in accepts.split(",")}
    if "zstd" in offered:
        zstd = zstandard.ZstdCompressor(level=1).compressobj()
        return Compressor(b"zstd", zstd, zstd.flush)
    if "gzip" in offered:
        gzip = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        return Compressor(b"gzip", gzip, gzip.flush)
    return None


def answer_headers(
    answer: StatementResult, request: EngineRequest, marker: str, compressor: Compressor | None
) -> Headers:
    """The headers of a good answer. `marker`: the tag of an exception block, should one follow the bytes."""
    fmt = answer.format
    headers = [
        (b"x-clickhouse-server-display-name", b"tidemill"),
        (b"x-clickhouse-query-id", (request.query_id or str(uuid.uuid4())).encode("ascii", "replace")),
        (b"x-clickhouse-timezone", b"UTC"),
        (b"x-clickhouse-summary", json.dumps(answer.summary).encode()),
        (b"x-clickhouse-exception-tag", marker.encode()),
    ]
    if fmt:
        headers.append((b"x-clickhouse-format", fmt.encode("ascii", "replace")))
    kind = _CONTENT_TYPES.get(fmt, b"application/octet-stream") if fmt else b"text/plain; charset=UTF-8"
    headers.append((b"content-type", kind))
    if compressor:
        headers.append((b"content-encoding", compressor.name))
    elif answer.size is not None:
        headers.append((b"content-length", str(answer.size).encode()))
    return headers


def exception_block(error: EngineError, marker: str) -> bytes:
    """The block by which ClickHouse (25.11 and later) reports an error behind bytes already sent: at most 16 KiB."""
    text = error.message.encode(errors="replace")[:_BLOCK_TEXT_BYTES] + b"\n"
    tag = marker.encode()
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag, text, len(text), tag)


async def send_error(send: Send, error: EngineError) -> None:
    """Answer with an error: its status, its code in a header, its text as the body."""
    headers = [(b"x-clickhouse-exception-code", str(error.number).encode())]
    if error.number == TOO_MANY_SIMULTANEOUS_QUERIES:
        headers.append((b"retry-after", b"1"))
    await send_text(send, error.status, f"{error.message}\n", headers)


async def send_text(send: Send, status: int, text: str, headers: Headers | None = None) -> None:
    """Answer with a short text."""
    body = text.encode(errors="replace")
    fields = [
        (b"content-type", b"text/plain; charset=UTF-8"),
        (b"content-length", str(len(body)).encode()),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body, "more_body": False})
