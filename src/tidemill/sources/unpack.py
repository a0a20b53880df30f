"""Unpacks the body of an answer within a size limit; of a decompression bomb no more than the limit is ever held."""

from tidemill.decode.unpack import BrokenStreamError, gunzip
from tidemill.sources.wire import Response, WireError


def decompress_body(response: Response, max_bytes: int) -> bytes:
    """The decompressed body of a response (gzip, deflate or none). Raises WireError `too_large` or `protocol`."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"} or not response.body:
        return response.body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        message = f"the body is encoded as '{encoding[:20]}', not asked for: have the server send gzip or none"
        raise WireError("protocol", message)
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in gunzip(response.body, or_zlib=True):
            size += len(piece)
            if size > max_bytes:
                why = "ask for less at once, or raise max_bytes"
                raise WireError("too_large", f"the body is larger than {max_bytes} bytes when unpacked: {why}")
            pieces.append(piece)
    except BrokenStreamError as error:
        what = "cut short" if error.cut_off else f"broken ({error})"
        raise WireError("protocol", f"the compressed body is {what}: the server is at fault") from None
    return b"".join(pieces)
