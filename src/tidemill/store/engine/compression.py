"""Compresses answers piece by piece with what the client accepts. Fast levels: both ends share a machine."""

import zlib
from typing import Any

import zstandard


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


def choose(accepts: str) -> Compressor | None:
    """The compression for an Accept-Encoding value: zstd, else gzip, else null (send as it is)."""
    offered = {part.split(";")[0].strip().lower() for part in accepts.split(",")}
    if "zstd" in offered:
        zstd = zstandard.ZstdCompressor(level=1).compressobj()
        return Compressor(b"zstd", zstd, zstd.flush)
    if "gzip" in offered:
        gzip = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        return Compressor(b"gzip", gzip, gzip.flush)
    return None
