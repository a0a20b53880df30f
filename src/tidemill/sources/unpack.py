"""Decompresses a body within a size limit; of a decompression bomb no more than the limit is ever held."""

import zlib
from typing import Final

from tidemill.sources.wire import Response, WireError

_MAX_MEMBERS: Final = 100  # of a gzip body; each member costs a copy of the rest, so thousands would stall all sources


def decompress_body(response: Response, max_bytes: int) -> bytes:
    """The decompressed body of a response (gzip, deflate or none). Raises WireError `too_large` or `protocol`."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"} or not response.body:
        return response.body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        message = f"the body is encoded as '{encoding[:20]}', not asked for: have the server send gzip or none"
        raise WireError("protocol", message)
    rest, parts, room = response.body, [], max_bytes
    for _ in range(_MAX_MEMBERS):
        part, rest = _member(rest, room, max_bytes)
        parts.append(part)
        room -= len(part)
        if not rest.strip(b"\0"):  # some servers pad with zeros
            return b"".join(parts)
    raise WireError("protocol", f"the compressed body has more than {_MAX_MEMBERS} parts, or junk behind it")


def _member(packed: bytes, room: int, max_bytes: int) -> tuple[bytes, bytes]:
    """The content of the first gzip member or zlib stream (by its header), and the bytes after it."""
    inflate = zlib.decompressobj(wbits=47)
    try:
        body = inflate.decompress(packed, room + 1)
    except zlib.error as error:
        raise WireError("protocol", f"the compressed body is broken ({error}): the server is at fault") from None
    if len(body) > room:
        message = f"the body is larger than {max_bytes} bytes when unpacked: ask for less at once, or raise max_bytes"
        raise WireError("too_large", message)
    if not inflate.eof:
        raise WireError("protocol", "the compressed body is cut short: the server is at fault")
    return body, inflate.unused_data
