"""A deletion as the log holds it: the body of an entry of kind DELETE.

A deletion deletes what was submitted before it and matches everything that it names.
"""

import hashlib
from typing import Any, Final, Literal, TypedDict, cast

import msgspec

from tidemill.model.ids import parse_series
from tidemill.model.payload import EntryKind, Payload
from tidemill.model.time import MAX_NS, MIN_NS, format_instant

DELETION_FORMAT: Final = "deletion"  # of the log entry
ERASED_FORMAT: Final = "erased"  # of a log entry whose bytes are erased
MAX_ERASE_S: Final = 72 * 3600
DeletionKind = Literal["series", "range", "feed", "payload"]


class Selector(TypedDict, total=False):
    """What a deletion names, as the API shows it; times are in [`start`, `end`)."""

    feed: str
    series: str
    tags: dict[str, str]
    receipt: str
    start: str
    end: str


class Deletion(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is to be deleted. `kind`: `series` (a whole series, or with `start_ns` and `end_ns` a range of it), `range`
    (records of a feed by tags and range), `feed`, or `payload` (by `receipt`). `alone`: the payloads of the series hold
    nothing else. Bounds are [start, end). `erase_s`: within how many seconds the bytes must be erased from disk."""

    kind: DeletionKind
    feed: str
    series: str = ""
    tags: dict[str, str] = {}
    start_ns: int | None = None
    end_ns: int | None = None
    receipt: str = ""
    alone: bool = False
    erase_s: float = MAX_ERASE_S

    @property
    def number(self) -> int:
        """The id of the series that the deletion names; 0: none."""
        return parse_series(self.series) if self.series else 0

    @property
    def first_ns(self) -> int:
        """The first instant of the range, included."""
        return MIN_NS if self.start_ns is None else self.start_ns

    @property
    def last_ns(self) -> int:
        """The last instant of the range, included."""
        return MAX_NS if self.end_ns is None else self.end_ns - 1

    @property
    def selector(self) -> Selector:
        """What the deletion names, as the API shows it: without empty fields."""
        shown: dict[str, Any] = {"feed": self.feed, "series": self.series, "tags": self.tags, "receipt": self.receipt}
        for name, ns in (("start", self.start_ns), ("end", self.end_ns)):
            shown[name] = None if ns is None else format_instant(ns)
        return cast("Selector", {name: value for name, value in shown.items() if value})


def deletion_payload(deletion: Deletion, *, tenant: str, receipt: str, received_ns: int, feed_version: int) -> Payload:
    """The payload that carries a deletion in the log; `receipt` is the id of the deletion."""
    body = msgspec.json.encode(deletion)
    return Payload(
        receipt=receipt,
        tenant=tenant,
        feed=deletion.feed,
        feed_version=feed_version,
        received_ns=received_ns,
        format=DELETION_FORMAT,
        body=body,
        sha256=hashlib.sha256(body).digest(),
        kind=EntryKind.DELETE,
    )


def decode_deletion(payload: Payload) -> Deletion:
    """The deletion that a payload of kind DELETE carries. Raises ValueError for a body that is no deletion."""
    return msgspec.json.decode(payload.body, type=Deletion)


def is_erased(payload: Payload) -> bool:
    """Whether the log has erased the bytes of this payload."""
    return payload.format == ERASED_FORMAT
