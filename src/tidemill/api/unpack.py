"""Unpacks gzip and zstd bodies of one whole stream, within limits of size and ratio.

Refuses several encodings, several members or frames in a row, bytes after the end, and a cut-off stream. The unpacked
body is kept and hashed, or the packed one where it cannot be unpacked.
"""

import zlib
from collections.abc import Iterator
from typing import Final

import zstandard

from tidemill.api.problems import MediaTypeError
from tidemill.errors import Fault, InputError, LimitError

RATIO_FLOOR: Final = 64 << 10  # bytes: below this a high ratio is harmless (a night of zeros packs 500:1)
_PIECE: Final = 64 << 10
_ZSTD_PIECE: Final = 512  # packed bytes a step: a zstd block of 4 bytes may unpack to 128 KiB
_MAX_WINDOW: Final = 64 << 20

ENCODINGS: Final = ("gzip", "zstd")


class EncodingError(InputError):
    """A body is not one whole stream of the encoding that it names."""


def content_encoding(header: bytes | None) -> str | None:
    """The one encoding of a Content-Encoding header, null for none, also where it is empty (RFC 9110, 5.6.1.2: empty
    items of a list are ignored). Raises MediaTypeError."""
    if header is None:
        return None
    names = [part.strip() for part in header.decode("latin-1").lower().split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if not names:
        return None
    if len(names) > 1:
        raise MediaTypeError(
            f"Several content encodings ({', '.join(names)[:80]}) are not taken; use one of gzip, zstd."
        )
    name = {"x-gzip": "gzip"}.get(names[0], names[0])
    if name not in ENCODINGS:
        raise MediaTypeError(f"The content encoding '{names[0][:40]}' is not taken; use gzip, zstd or none.")
    return name


def unpack_body(body: bytes, name: str, *, max_size: int, max_ratio: int) -> bytes:
    """The unpacked body. Raises LimitError (`max_unpacked`, `max_ratio`) or EncodingError (malformed, cut off)."""
    allowed = min(max_size, max(RATIO_FLOOR, max_ratio * len(body)))
    pieces: list[bytes] = []
    size = 0
    for piece in _gunzip(body) if name == "gzip" else _unzstd(body):
        size += len(piece)
        if size > allowed:
            raise _limit_error(allowed, max_size, max_ratio)
        pieces.append(piece)
    return b"".join(pieces)


def _limit_error(allowed: int, max_size: int, max_ratio: int) -> LimitError:
    if allowed == max_size:
        return LimitError("max_unpacked", max_size, f"The body unpacks to more than max_unpacked ({max_size} bytes).")
    return LimitError("max_ratio", max_ratio, f"The body unpacks to more than max_ratio ({max_ratio}) times its size.")


def _gunzip(body: bytes) -> Iterator[bytes]:
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    rest = body
    try:
        while not stream.eof:
            piece = stream.decompress(rest, _PIECE)
            rest = stream.unconsumed_tail
            if piece:
                yield piece
            elif not stream.eof and not rest:
                raise _encoding_error("gzip", "it is cut off")
    except zlib.error as error:
        raise _encoding_error("gzip", str(error)) from None
    if stream.unused_data:
        raise _encoding_error("gzip", "bytes follow its end (concatenated members are not taken)")


def _unzstd(body: bytes) -> Iterator[bytes]:
    stream = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
    offset = 0
    try:
        while offset < len(body) and not stream.eof:
            piece = stream.decompress(body[offset : offset + _ZSTD_PIECE])
            offset += _ZSTD_PIECE
            if piece:
                yield piece
    except zstandard.ZstdError as error:
        raise _encoding_error("zstd", str(error)) from None
    if not stream.eof:
        raise _encoding_error("zstd", "it is cut off")
    if offset < len(body) or stream.unused_data:
        raise _encoding_error("zstd", "bytes follow its end (concatenated frames are not taken)")


def _encoding_error(name: str, why: str) -> EncodingError:
    message = f"The body is not one whole {name} stream: {why}."
    return EncodingError(message, (Fault("$", "invalid_encoding", message),))
