"""Detects that a server returned fewer records than it has, because of a cap below any limit in the request. Pure.

The same window is requested in two halves. A capped answer is the beginning or the end of the records of both halves,
whichever way the server sorts. An answer that only differs from them (sums over buckets as wide as the window allows, a
record that was added meanwhile in the middle) is not capped.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidemill.feeds.paths import Path
from tidemill.sources.answers import raw_at

FEW: Final = 10  # records; no server has a lower cap
_ROUND: Final = 50  # most caps are multiples of this
_GROWTH: Final = 1.25


def may_be_capped(records: int, whole: int, *, last: bool) -> bool:
    """Whether an answer of so many records may be capped, if answers of `whole` records were complete. The `last`
    window grows with time: it may be capped only if it has grown by a quarter, or to a round number."""
    if records < FEW or records <= whole:
        return False
    return not last or records >= _GROWTH * whole or records % _ROUND == 0


def record_keys(records: Sequence[bytes], identity: Sequence[Path]) -> list[bytes]:
    """A key of each record: its time and tags as written; the whole record if `identity` is empty or it is not JSON."""
    return [_record_key(record, identity) for record in records]


def is_capped(answer: Sequence[bytes], first: Sequence[bytes], second: Sequence[bytes]) -> bool:
    """Whether an answer lacks records at its begin or end that the halves of its window have; all given by their
    keys."""
    keys = set(answer)
    if keys.issuperset(first) and keys.issuperset(second):
        return False
    for joined in ([*first, *second], [*second, *first]):
        distinct = list(dict.fromkeys(joined))
        if set(distinct[: len(keys)]) == keys or set(distinct[-len(keys) :]) == keys:
            return True
    return False


def _record_key(record: bytes, identity: Sequence[Path]) -> bytes:
    if not identity:
        return record
    try:
        return b"\n".join(_raw_value(record, path) for path in identity)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return record


def _raw_value(record: bytes, path: Path) -> bytes:
    try:
        return bytes(raw_at(record, path)).strip()
    except LookupError:
        return b""
