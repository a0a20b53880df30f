"""Whether a server gave less than it has: a cap of its own, below any limit that was asked for. Pure.

The same stretch of time is asked for in two halves. What was capped is the beginning or the end of what the halves hold
together, whichever way the server sorts. An answer that merely differs (sums over buckets as wide as the window allows,
a record that came meanwhile in the middle) is none.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidemill.sources.answers import Path

FEW: Final = 10  # records; no server caps at fewer
_ROUND: Final = 50  # caps are round numbers, mostly
_MORE: Final = 1.25
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def suspicious(records: int, whole: int, *, last: bool) -> bool:
    """Whether an answer of so many records may have been capped, where answers of `whole` were not. The last window
    grows with time: it is looked at where it has grown much, or to a round number."""
    if records < FEW or records <= whole:
        return False
    return not last or records >= _MORE * whole or records % _ROUND == 0


def keys(records: Sequence[bytes], identity: Sequence[Path]) -> list[bytes]:
    """What tells the records from each other: their time and tags as written, else all of each."""
    return [_key(record, identity) for record in records]


def is_capped(answer: Sequence[bytes], first: Sequence[bytes], second: Sequence[bytes]) -> bool:
    """Whether an answer lacks records at one end that its halves have; all given by their keys."""
    had = set(answer)
    if had.issuperset(first) and had.issuperset(second):
        return False
    for joined in ([*first, *second], [*second, *first]):
        distinct = list(dict.fromkeys(joined))
        if set(distinct[: len(had)]) == had or set(distinct[-len(had) :]) == had:
            return True
    return False


def _key(record: bytes, identity: Sequence[Path]) -> bytes:
    if not identity:
        return record
    try:
        return b"\n".join(_at(record, path) for path in identity)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return record


def _at(record: bytes, path: Path) -> bytes:
    raw: bytes | msgspec.Raw = record
    for name in path:
        members = _object.decode(raw)
        if name not in members:
            return b""
        raw = members[name]
    return bytes(raw).strip()
