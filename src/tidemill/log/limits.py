"""The limits of a log: how much it keeps, how much it queues, and when it stops accepting payloads."""

from typing import Final

import msgspec

MIB: Final = 1 << 20


class LogLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of an embedded log; sizes in bytes, times in seconds."""

    keep_applied_s: float = 24 * 3600
    keep_bytes: int = 2048 * MIB
    keep_keys_s: float = 7 * 24 * 3600
    min_free_bytes: int = 256 * MIB
    min_free_ratio: float = 0.05
    max_waiting: int = 20_000
    max_waiting_bytes: int = 256 * MIB
