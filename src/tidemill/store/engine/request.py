"""Reads one HTTP request of ClickHouse's interface into an `EngineRequest`: user, statement, parameters, settings and
data. It runs nothing.
"""

import base64
import binascii
import gzip
import hmac
import io
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Protocol, cast
from urllib.parse import parse_qsl

import lz4.frame  # type: ignore[import-untyped]
import msgspec
import zstandard
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartParser,
    parse_options_header,
)

from tidemill.store.engine.errors import AUTHENTICATION_FAILED, BAD_ARGUMENTS, CANNOT_DECOMPRESS, refusal
from tidemill.store.engine.spool import Spool
from tidemill.store.generations import HEADER, read_buckets

_FORM_LIMIT_BYTES = 64 << 20

# Query arguments that belong to the HTTP interface. Everything else but `param_*` is a setting of the query.
_TRANSPORT = frozenset(
    {
        *("query", "database", "default_format", "user", "password", "quota_key", "query_id", "role", "stacktrace"),
        *("session_id", "session_timeout", "session_check", "compress", "decompress", "enable_http_compression"),
        *("wait_end_of_query", "buffer_size", "client_protocol_version", "send_progress_in_http_headers"),
        *("http_headers_progress_interval_ms", "http_zlib_compression_level"),
        "cancel_http_readonly_queries_on_client_close",
    }
)


class BodyReader(Protocol):
    """Bytes that can be read once, from the start."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; b"" at the end."""


class EngineRequest(msgspec.Struct, frozen=True):
    """A request, authenticated. `query` comes from the URL or a form; `body` holds the rest, still encoded. `buckets`
    are those of the series whose rows an INSERT brings (null: not known)."""

    query: bytes
    body: Spool
    encoding: str
    params: dict[str, str]
    settings: dict[str, str]
    database: str
    default_format: str
    query_id: str
    buffered: bool
    accepts: str
    buckets: tuple[int, ...] | None


def read_request(query_string: bytes, headers: Mapping[str, str], body: Spool) -> EngineRequest:
    """Build an EngineRequest; header names are lower case. Raises EngineError for a body that cannot be read."""
    fields = _arguments(query_string)
    content_type, options = parse_options_header(headers.get("content-type", ""))
    if content_type == "multipart/form-data":
        fields |= _form(body, options.get("boundary", ""))
        while body.read(1 << 20):
            continue  # bytes behind the form are no data
    compressed = fields.get("enable_http_compression", "0") not in {"", "0"}
    return EngineRequest(
        query=fields.get("query", "").encode("utf-8", "surrogateescape"),
        body=body,
        encoding=headers.get("content-encoding", "").strip().lower(),
        params={name[6:]: _text(value) for name, value in fields.items() if name.startswith("param_")},
        settings={
            name: _text(value)
            for name, value in fields.items()
            if name not in _TRANSPORT and not name.startswith("param_")
        },
        database=_text(fields.get("database") or headers.get("x-clickhouse-database", "")),
        default_format=_text(fields.get("default_format") or headers.get("x-clickhouse-format", "")),
        query_id=_text(fields.get("query_id", "")),
        buffered=fields.get("wait_end_of_query", "0") not in {"", "0"},
        accepts=headers.get("accept-encoding", "") if compressed else "",
        buckets=read_buckets(headers.get(HEADER, "")),
    )


def authenticate(query_string: bytes, headers: Mapping[str, str], user: str, secret: str) -> None:
    """Check user and password from HTTP Basic, ClickHouse's headers or the query. Raises EngineError 516."""
    given = _credentials(headers) or _query_credentials(query_string)
    expected = f"{user}:{secret}".encode()
    if not hmac.compare_digest(":".join(given).encode("utf-8", "surrogateescape"), expected):
        text = f"{given[0]}: Authentication failed: password is incorrect, or there is no user with such name."
        raise refusal(AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED", text)


def decode_body(body: Spool, encoding: str) -> BodyReader:
    """A reader that decompresses the body by its Content-Encoding. Raises EngineError 271 for an unknown encoding."""
    if encoding in {"", "identity"}:
        return body
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().stream_reader(cast("IO[bytes]", body), read_across_frames=True)
    if encoding == "lz4":
        return lz4.frame.LZ4FrameFile(body)  # type: ignore[no-any-return]
    if encoding in {"gzip", "x-gzip"}:
        return gzip.GzipFile(fileobj=cast("IO[bytes]", body), mode="rb")
    if encoding == "deflate":
        return io.BytesIO(zlib.decompress(body.read()))
    raise refusal(CANNOT_DECOMPRESS, "CANNOT_DECOMPRESS", f"Unknown Content-Encoding {encoding!r}")


def read_pieces(reader: BodyReader, size: int = 1 << 20) -> Iterator[bytes]:
    """Yields the rest of a reader in pieces of up to `size` bytes. Raises EngineError 271 if it does not decompress."""
    while piece := read_piece(reader, size):
        yield piece


def read_piece(reader: BodyReader, size: int) -> bytes:
    """Up to `size` bytes of a reader. Raises EngineError 271 if they do not decompress."""
    try:
        return reader.read(size)
    except (EOFError, OSError, RuntimeError, ValueError, zlib.error, zstandard.ZstdError) as error:
        raise refusal(CANNOT_DECOMPRESS, "CANNOT_DECOMPRESS", f"Cannot decompress the body: {error}") from None


def _arguments(query_string: bytes) -> dict[str, str]:
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    return dict(pairs)


def _form(body: Spool, boundary: str) -> dict[str, str]:
    try:
        limit = _FORM_LIMIT_BYTES
        parts = MultipartParser(
            body, boundary, part_limit=1024, spool_limit=limit, memory_limit=limit, disk_limit=0
        ).parts()
    except (MultipartError, ValueError) as error:
        raise refusal(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"Cannot read the form: {error}") from None
    if any(part.filename for part in parts):
        raise refusal(48, "NOT_IMPLEMENTED", "External data is not supported; insert it into a table")
    return {part.name: part.value for part in parts}


def _credentials(headers: Mapping[str, str]) -> tuple[str, str] | None:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(encoded, validate=True).decode("utf-8", "surrogateescape")
        except (binascii.Error, ValueError):
            return ("", "")
        user, _, password = text.partition(":")
        return (user, password)
    if "x-clickhouse-user" in headers:
        return (headers["x-clickhouse-user"], headers.get("x-clickhouse-key", ""))
    return None


def _query_credentials(query_string: bytes) -> tuple[str, str]:
    fields = _arguments(query_string)
    return (fields.get("user", "default"), fields.get("password", ""))


def _text(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
