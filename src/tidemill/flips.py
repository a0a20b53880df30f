"""Finds the bit that was flipped in bytes whose checksum is known, so that the bytes can be corrected.

A checksum of 32 bits or more identifies the bit: no two flips of one bit in bytes that short have the same checksum.
"""

from collections.abc import Callable, Iterator
from typing import Final

MAX_BYTES: Final = 4 << 10  # 32,768 tries, about 0.1 s with sha256


def flipped_bits(data: bytes) -> Iterator[bytes]:
    """Yields `data` with each of its bits flipped, one at a time."""
    changed = bytearray(data)
    for index in range(len(data)):
        for bit in range(8):
            changed[index] ^= 1 << bit
            yield bytes(changed)
            changed[index] ^= 1 << bit


def find_unflipped(data: bytes, is_right: Callable[[bytes], bool]) -> bytes | None:
    """The bytes that `is_right` accepts and that differ from `data` in a single bit; None: there are none, or `data`
    is longer than MAX_BYTES."""
    if len(data) > MAX_BYTES:
        return None
    return next((candidate for candidate in flipped_bits(data) if is_right(candidate)), None)
