"""Payloads, and the log's entries of them.

A payload never changes after it is appended. Its outcome is in the store.
"""

import enum
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

import msgspec

from tidemill.errors import Fault
from tidemill.model.offset import seq_of

INDEX_BITS = 20  # of a point's version; the rest is the payload's seq in its partition
MAX_RECORDS = 1 << INDEX_BITS  # records a payload may hold


class EntryKind(enum.IntEnum):
    """What the mill does with a log entry."""

    DATA = 0  # bytes of a feed: decode, check, store
    REFUSED = 1  # bytes that intake refused by the feed's contract: keep them with the reasons, make no points
    DELETE = 2  # body is a `model.deletion.Deletion`: delete what it names and was submitted before it


class Payload(msgspec.Struct, frozen=True, gc=False):
    """The bytes of one request or one poll, verbatim (after content decoding), with feed, format and time of receipt.

    `feed_version` is the version that was current at intake, which the mill applies. `format` is the format that intake
    chose (`json`, `ndjson`, ...), not the one that the client claimed; for a payload that a source fetched, the tags of
    the source's request follow it (`json;meter=m1`: `split_format`). `faults` is empty unless REFUSED. `sha256` is the
    raw digest of `body` (32 bytes). Times are ns since the epoch, UTC.
    """

    receipt: str
    tenant: str
    feed: str
    feed_version: int
    received_ns: int
    format: str
    body: bytes
    sha256: bytes
    kind: EntryKind = EntryKind.DATA
    faults: tuple[Fault, ...] = ()


def format_with_tags(name: str, tags: Mapping[str, str]) -> str:
    """A format with the tags of a source's request: `json`, `{"meter": "m/1"}` -> `json;meter=m%2F1`."""
    return f"{name};{urlencode(sorted(tags.items()))}" if tags else name


def split_format(format: str) -> tuple[str, dict[str, str]]:
    """The name of a payload's format, and the tags of the source's request: the inverse of `format_with_tags`."""
    name, _, tags = format.partition(";")
    return name, dict(parse_qsl(tags)) if tags else {}


def format_name(format: str) -> str:
    """The name of a payload's format, without tags."""
    return format.partition(";")[0]


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """A payload and its offset in the log (`seq`: `model/offset.py`). `damage`: why its body is not what was sent;
    empty: the body is whole."""

    seq: int
    payload: Payload
    damage: str = ""


def point_version(seq: int, index: int, *, first_wins: bool) -> int:
    """The version of a point; of duplicates the point with the larger version is current. Last wins: +(seq, index);
    first wins: -(seq, index). Of an offset only its seq counts, because a series is of one feed, so of one
    partition."""
    order = seq_of(seq) << INDEX_BITS | index
    return -order if first_wins else order
