"""Unpacks a block of Snappy, as Prometheus sends it, within a limit that is checked before anything is unpacked.

Source: google/snappy, `format_description.txt`.
"""

from typing import Final

_MAX_LENGTH_BYTES: Final = 5


def unpacked_length(body: bytes) -> tuple[int, int]:
    """(the length that a block says it unpacks to, where its elements begin). Raises ValueError."""
    length = 0
    for at in range(min(_MAX_LENGTH_BYTES, len(body))):
        length |= (body[at] & 127) << (7 * at)
        if body[at] < 128:
            return length, at + 1
    raise ValueError("it does not begin with its length")


def unpack_block(body: bytes) -> bytes:
    """The unpacked bytes of a block; never more than its first bytes say. Raises ValueError."""
    length, at = unpacked_length(body)
    out = bytearray()
    end = len(body)
    while at < end:
        tag = body[at]
        at += 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                more = size - 59
                size = int.from_bytes(body[at : at + more], "little")
                at += more
            size += 1
            if at + size > end:
                raise ValueError("it is cut off")
            out += body[at : at + size]
            at += size
        else:
            size, offset, at = _copy(body, tag, at)
            if not 0 < offset <= len(out):
                raise ValueError("a copy begins before the block")
            start = len(out) - offset
            if offset >= size:
                out += out[start : start + size]
            else:  # the copy runs into what it makes: a pattern repeated
                out += (out[start:] * (size // offset + 1))[:size]
        if len(out) > length:
            raise ValueError("it unpacks to more than it says")
    if len(out) != length:
        raise ValueError("it is cut off")
    return bytes(out)


def _copy(body: bytes, tag: int, at: int) -> tuple[int, int, int]:
    """(size, offset, where the next element begins) of a copy."""
    width = (0, 1, 2, 4)[tag & 3]
    if at + width > len(body):
        raise ValueError("it is cut off")
    offset = int.from_bytes(body[at : at + width], "little")
    if width == 1:
        return (tag >> 2 & 7) + 4, (tag >> 5) << 8 | offset, at + 1
    return (tag >> 2) + 1, offset, at + width
