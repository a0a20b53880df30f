"""Reads from the store what a deletion concerns, for the mill, which applies it, and the API, which only reports it."""

from typing import Any

import msgspec
import polars as pl

from tidemill.model.deletion import Deletion
from tidemill.model.time import MAX_NS, MIN_NS
from tidemill.store.client import Store


class DeletionScope(msgspec.Struct, frozen=True):
    """A deletion as the store's queries bind it: `series`, times from `first` to `last` (ns, both included), and
    offsets of payloads from `low` to below `high`.

    `deleted_seqs`: for each of `series` the offset up to which an earlier deletion removed it (0: none did).
    `feed_series`, `feed_deleted_seqs`: the same for all series of the feed. `records`: whole records are deleted, not
    only their points of these series. `everything`: also rejected records whose series are not known. `whole`: every
    payload is deleted as a whole."""

    tenant: str
    feed: str
    series: list[int]
    deleted_seqs: list[int]
    feed_series: list[int]
    feed_deleted_seqs: list[int]
    first: int
    last: int
    low: int
    high: int
    records: bool
    everything: bool
    whole: bool

    @property
    def points(self) -> dict[str, Any]:
        """The parameters of queries over points."""
        return {name: getattr(self, name) for name in ("tenant", "series", "low", "high", "first", "last")}

    @property
    def rejections(self) -> dict[str, Any]:
        """The parameters of queries over rejections."""
        flags = {"feed": self.feed, "records": self.records, "everything": self.everything}
        return self.points | flags | {"unbounded": self.first == MIN_NS and self.last == MAX_NS}


class DeletionEvidence(msgspec.Struct, frozen=True):
    """What the store holds of a deletion's scope: counts of current points and of records, and the payloads (columns
    `seq`, `receipt`, `records`, `whole`)."""

    points: int
    records: int
    payloads: pl.DataFrame

    @property
    def whole(self) -> pl.DataFrame:
        """The payloads that hold no other records."""
        return self.payloads.filter("whole")

    @property
    def kept(self) -> int:
        """How many payloads hold other records, too."""
        return self.payloads.height - self.whole.height


def read_scope(
    store: Store, tenant: str, deletion: Deletion, offset: int, *, payload_offset: int | None = None
) -> DeletionScope:
    """The scope of a deletion at `offset` of the log. `payload_offset`: that of the payload which it names, if it names
    one. Raises StoreUnavailableError, StoreQueryError, as every function here."""
    every = _read_series(store, tenant, deletion.feed, {})
    chosen = every
    if deletion.series:
        chosen = {series: seq for series, seq in every.items() if series == deletion.number}
    elif deletion.tags:
        chosen = _read_series(store, tenant, deletion.feed, deletion.tags)
    return DeletionScope(
        tenant=tenant,
        feed=deletion.feed,
        series=list(chosen),
        deleted_seqs=list(chosen.values()),
        feed_series=list(every),
        feed_deleted_seqs=list(every.values()),
        first=deletion.first_ns,
        last=deletion.last_ns,
        low=0 if payload_offset is None else payload_offset,
        high=offset if payload_offset is None else payload_offset + 1,
        records=not deletion.series,
        everything=not deletion.series and not deletion.tags,
        whole=deletion.kind in ("feed", "payload"),
    )


def read_evidence(store: Store, scope: DeletionScope) -> DeletionEvidence:
    """What the store holds now of a deletion's scope."""
    points = 0
    if scope.series:
        row = store.rows("deletion_points_count", deleted_seqs=scope.deleted_seqs, **scope.points)[0]
        points = int(row["points"])
    if scope.whole:
        bounds = {name: getattr(scope, name) for name in ("tenant", "feed", "low", "high")}
        payloads = store.frame("deletion_feed_payloads", **bounds)
    else:
        every = {"feed_series": scope.feed_series, "feed_deleted_seqs": scope.feed_deleted_seqs}
        payloads = store.frame("deletion_payloads", **every, **scope.rejections)
    payloads = payloads.with_columns(pl.col("whole").cast(pl.Boolean))
    return DeletionEvidence(points, int(payloads["records"].sum()), payloads)


def read_feed_series(store: Store, tenant: str, feed: str) -> list[int]:
    """The ids of all series of a feed, deleted ones too."""
    return list(_read_series(store, tenant, feed, {}))


def find_payload_offset(store: Store, tenant: str, receipt: str, *, begun: bool = False) -> int | None:
    """The offset of an applied payload; null if there is none, or its bytes are deleted. `begun`: also when its bytes
    are deleted, because an attempt at the same deletion that was cut short may have deleted them."""
    rows = store.rows("deletion_payload_offset", tenant=tenant, receipt=receipt, begun=begun)
    return int(rows[0]["seq"]) if rows else None


def _read_series(store: Store, tenant: str, feed: str, tags: dict[str, str]) -> dict[int, int]:
    keys = {"tag_keys": list(tags), "tag_values": list(tags.values())}
    rows = store.rows("deletion_series", tenant=tenant, feed=feed, **keys)
    return {row["series"]: row["deleted_seq"] for row in rows}
