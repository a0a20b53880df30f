"""Unpacks gzip and zstd bodies of whole streams, within limits of size and ratio.

Refuses several encodings, bytes after the end, and a cut-off stream; members and frames in a row are one body. The
unpacked body is kept and hashed, or the packed one where it cannot be unpacked.
"""

from typing import Final

from tidemill.api.problems import MediaTypeError
from tidemill.decode.snappy import unpack_block, unpacked_length
from tidemill.decode.unpack import BrokenStreamError, gunzip, unzstd
from tidemill.errors import Fault, InputError, LimitError

RATIO_FLOOR: Final = 64 << 10  # bytes: below this a high ratio is harmless (a night of zeros packs 500:1)

ENCODINGS: Final = ("gzip", "zstd")


class EncodingError(InputError):
    """A body is not of whole streams of the encoding that it names."""


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


def unpack_snappy(body: bytes, *, max_size: int, max_ratio: int) -> bytes:
    """The unpacked body of a block of Snappy, whose length is checked first. Raises LimitError or EncodingError."""
    allowed = min(max_size, max(RATIO_FLOOR, max_ratio * len(body)))
    try:
        if unpacked_length(body)[0] > allowed:
            raise _limit_error(allowed, max_size, max_ratio)
        return unpack_block(body)
    except ValueError as error:
        message = f"The body is no whole block of snappy: {error}."
        raise EncodingError(message, (Fault("$", "invalid_encoding", message),)) from None


def unpack_body(body: bytes, name: str, *, max_size: int, max_ratio: int) -> bytes:
    """The unpacked body. Raises LimitError (`max_unpacked`, `max_ratio`) or EncodingError (malformed, cut off)."""
    allowed = min(max_size, max(RATIO_FLOOR, max_ratio * len(body)))
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in gunzip(body) if name == "gzip" else unzstd(body):
            size += len(piece)
            if size > allowed:
                raise _limit_error(allowed, max_size, max_ratio)
            pieces.append(piece)
    except BrokenStreamError as error:
        message = f"The body is not of whole {name} streams: {error}."
        raise EncodingError(message, (Fault("$", "invalid_encoding", message),)) from None
    return b"".join(pieces)


def _limit_error(allowed: int, max_size: int, max_ratio: int) -> LimitError:
    if allowed == max_size:
        return LimitError("max_unpacked", max_size, f"The body unpacks to more than max_unpacked ({max_size} bytes).")
    return LimitError("max_ratio", max_ratio, f"The body unpacks to more than max_ratio ({max_ratio}) times its size.")
