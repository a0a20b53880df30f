"""Finds the one bit that was flipped in bytes whose checksum is known, so that the bytes can be had back.

A checksum of 32 bits or more names the bit without doubt: no two flips of one bit in what is that short have the same.
"""

from collections.abc import Callable, Iterator
from typing import Final

MAX_BYTES: Final = 4 << 10  # 32,768 tries, about 0.1 s with sha256


def flipped_bits(data: bytes) -> Iterator[bytes]:
    """`data` with each of its bits flipped, one at a time."""
    changed = bytearray(data)
    for position in range(len(data)):
        for bit in range(8):
            changed[position] ^= 1 << bit
            yield bytes(changed)
            changed[position] ^= 1 << bit


def find_unflipped(data: bytes, is_right: Callable[[bytes], bool]) -> bytes | None:
    """The bytes that `is_right` accepts and that differ from `data` in one bit; None: there are none, or `data` is
    longer than MAX_BYTES."""
    if len(data) > MAX_BYTES:
        return None
    return next((candidate for candidate in flipped_bits(data) if is_right(candidate)), None)
