"""What is sent and what the log keeps of it: payloads, their places in the log, and refusals.

A payload never changes after it is appended. Everything that later becomes of it is in the store.
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
    """What a log entry asks the mill to do."""

    DATA = 0  # bytes of a feed: decode, check, store
    REFUSED = 1  # bytes the contract refused at intake: keep them and the reasons in the ledger, make no points
    DELETE = 2  # body is a `model.deletion.Deletion`: what it names and was submitted before it goes


class Payload(msgspec.Struct, frozen=True, gc=False):
    """The bytes of one request or one poll, verbatim (after content decoding), and what is known of them.

    `feed_version` is the version that was current at intake; the mill applies that one. `format` is the one that intake
    settled on (`json`, `ndjson`, ...), not what the client claimed; of a payload that a source fetched what it asked
    for follows, as far as tags are made of it (`json;meter=m1`: `split_format`). `faults` is empty unless REFUSED.
    `sha256` is the raw digest of `body` (32 bytes). Times are ns since the epoch, UTC.
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


def format_with_tags(name: str, asked: Mapping[str, str]) -> str:
    """A format with what a source asked for: `json`, `{"meter": "m/1"}` -> `json;meter=m%2F1`."""
    return f"{name};{urlencode(sorted(asked.items()))}" if asked else name


def split_format(format: str) -> tuple[str, dict[str, str]]:
    """The name of a payload's format, and what was asked for: undoes `format_with_tags`."""
    name, _, asked = format.partition(";")
    return name, dict(parse_qsl(asked)) if asked else {}


def format_name(format: str) -> str:
    """The name of a payload's format."""
    return format.partition(";")[0]


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """A payload and its place in the log: `seq` is its offset (`model/offset.py`). `damage`: why its body is not what
    was sent; empty: it is."""

    seq: int
    payload: Payload
    damage: str = ""


def point_version(seq: int, index: int, *, first_wins: bool) -> int:
    """The version of a point: of two, the larger stays. Last wins: +(seq, index); first wins: -(seq, index). Of an
    offset only its seq counts: points of one series are of one feed, so of one partition."""
    place = seq_of(seq) << INDEX_BITS | index
    return -place if first_wins else place
