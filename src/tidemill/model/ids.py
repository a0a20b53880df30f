"""Identities: receipts are UUIDv7 (RFC 9562), series ids are stable 64-bit hashes of a series' identity."""

import hashlib
import os
import threading
from collections.abc import Mapping

import msgspec

_lock = threading.Lock()
_last = 0


def new_receipt(now_ns: int) -> str:
    """A new UUIDv7 in its canonical text form; sorts by time, and within a process by order of call.

    Layout: RFC 9562, 5.7 with method 3 of 6.2: 48 bits of milliseconds, 12 bits of the fraction of a millisecond
    (raised by one where the clock stood still), 62 random bits.
    """
    global _last  # noqa: PLW0603 - the one counter that keeps receipts of this process in order
    ms, rest = divmod(now_ns, 1_000_000)
    stamp = ms << 12 | (rest * 4096) // 1_000_000
    with _lock:
        stamp = max(stamp, _last + 1)
        _last = stamp
    random = int.from_bytes(os.urandom(8)) & 0x3FFF_FFFF_FFFF_FFFF
    value = (stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 2 << 62 | random
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def receipt_floor(at_ns: int) -> str:
    """A text that sorts before every receipt given out at or after an instant."""
    stamp = f"{max(at_ns, 0) // 1_000_000:012x}"
    return f"{stamp[:8]}-{stamp[8:]}"


def series_id(tenant: str, feed: str, tags: Mapping[str, str], field: str) -> int:
    """The 64-bit id of a series: the first 8 bytes of SHA-256 over the canonical JSON of its identity."""
    identity = msgspec.json.encode([tenant, feed, sorted(tags.items()), field])
    return int.from_bytes(hashlib.sha256(identity).digest()[:8])


def format_series(number: int) -> str:
    """A series id as APIs show it: 16 hexadecimal digits (a JSON number would lose bits in a browser)."""
    return f"{number:016x}"


def parse_series(text: str) -> int:
    """The inverse of `format_series`. Raises ValueError unless it is exactly 16 lower-case hexadecimal digits."""
    if len(text) != 16 or any(c not in "0123456789abcdef" for c in text):
        raise ValueError("a series id is 16 hexadecimal digits")
    return int(text, 16)
