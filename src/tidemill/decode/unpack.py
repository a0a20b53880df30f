"""Unpacks gzip, zlib and zstd streams piece by piece, so that a caller can stop at its limit of size.

A body is one stream or several in a row: members of gzip (RFC 1952, 2.2), frames of zstd (RFC 8878, 3). Zeros behind
the last one are padding. Intake and the poller both unpack with this module.
"""

import zlib
from collections.abc import Iterator
from typing import Final

import zstandard

MAX_MEMBERS: Final = 10_000  # of a body; each takes some 30 microseconds, however little is in it
_PIECE: Final = 64 << 10
_FIRST_READ: Final = 512  # packed bytes that are read of a member at first: what follows a small one is copied
_ZSTD_READ: Final = 512  # packed bytes a step: a zstd block of 4 bytes may unpack to 128 KiB
_MAX_WINDOW: Final = 64 << 20
_SKIPPED: Final = range(0x184D2A50, 0x184D2A60)  # magic numbers of zstd frames that hold no data
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class BrokenStreamError(ValueError):
    """The bytes are not whole streams of their coding; the text says why. `cut_off`: they end too early."""

    def __init__(self, why: str, *, cut_off: bool = False) -> None:
        super().__init__(why)
        self.cut_off = cut_off


def gunzip(body: bytes, *, or_zlib: bool = False) -> Iterator[bytes]:
    """The unpacked bytes of gzip members in a row (`or_zlib`: or of zlib streams), in pieces of at most 64 KiB. Raises
    BrokenStreamError."""
    at, members = 0, 0
    while members == 0 or body.count(0, at) < len(body) - at:
        if members == MAX_MEMBERS:
            raise BrokenStreamError(f"it has more than {MAX_MEMBERS} members")
        if members and not or_zlib and body[at : at + 2] != b"\x1f\x8b":
            raise BrokenStreamError("bytes follow its end, which are no further member")
        members += 1
        stream = zlib.decompressobj(wbits=_GZIP_OR_ZLIB if or_zlib else _GZIP)
        size, read = _FIRST_READ, at
        rest = b""
        while not stream.eof:
            if not rest:
                rest, read = body[read : read + size], read + size
                size = min(size * 2, _PIECE)
                if not rest:
                    raise BrokenStreamError("it is cut off", cut_off=True)
            try:
                piece = stream.decompress(rest, _PIECE)
            except zlib.error as error:
                raise BrokenStreamError(str(error)) from None
            rest = stream.unconsumed_tail
            if piece:
                yield piece
        at = min(read, len(body)) - len(stream.unused_data)


def unzstd(body: bytes) -> Iterator[bytes]:
    """The unpacked bytes of zstd frames in a row, in pieces. Raises BrokenStreamError."""
    at, frames = 0, 0
    while frames == 0 or at < len(body):
        if frames == MAX_MEMBERS:
            raise BrokenStreamError(f"it has more than {MAX_MEMBERS} frames")
        if frames and int.from_bytes(body[at : at + 4], "little") not in (zstandard.MAGIC_NUMBER, *_SKIPPED):
            raise BrokenStreamError("bytes follow its end, which are no further frame")
        frames += 1
        if int.from_bytes(body[at : at + 4], "little") in _SKIPPED:
            at += 8 + int.from_bytes(body[at + 4 : at + 8], "little")
            continue
        stream = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
        while not stream.eof:
            if at >= len(body):
                raise BrokenStreamError("it is cut off", cut_off=True)
            try:
                piece = stream.decompress(body[at : at + _ZSTD_READ])
            except zstandard.ZstdError as error:
                raise BrokenStreamError(str(error)) from None
            at = min(at + _ZSTD_READ, len(body))
            if piece:
                yield piece
        at -= len(stream.unused_data)
