"""What a deletion concerns, asked of the store: by the mill, which applies it, and by the API, which only says it."""

from typing import Any

import msgspec
import polars as pl

from tidemill.model.deletion import Deletion
from tidemill.model.time import MAX_NS, MIN_NS
from tidemill.store.client import Store


class DeletionScope(msgspec.Struct, frozen=True):
    """A deletion in terms of the store: these series (up to `gone` they were deleted before) in [first, last] (ns), of
    payloads from `low` to below `high`. `records`: whole records, not only these series' points of them; `everything`:
    also rejected records of which nobody knows the series; `whole`: the payloads go as they are. `scan`: all series of
    the feed."""

    tenant: str
    feed: str
    series: list[int]
    gone: list[int]
    scan: list[int]
    scan_gone: list[int]
    first: int
    last: int
    low: int
    high: int
    records: bool
    everything: bool
    whole: bool

    @property
    def points(self) -> dict[str, Any]:
        """What queries over points bind."""
        return {name: getattr(self, name) for name in ("tenant", "series", "low", "high", "first", "last")}

    @property
    def rejections(self) -> dict[str, Any]:
        """What queries over rejections bind."""
        flags = {"feed": self.feed, "records": self.records, "everything": self.everything}
        return self.points | flags | {"unbounded": self.first == MIN_NS and self.last == MAX_NS}


class DeletionEvidence(msgspec.Struct, frozen=True):
    """What is concerned now: points that stand, records, and payloads (`seq`, `receipt`, `records`, `whole`)."""

    points: int
    records: int
    payloads: pl.DataFrame

    @property
    def gone(self) -> pl.DataFrame:
        """The payloads of which nothing else is left."""
        return self.payloads.filter("whole")

    @property
    def kept(self) -> int:
        """How many payloads hold other records, too."""
        return self.payloads.height - self.gone.height


def scope(store: Store, tenant: str, deletion: Deletion, seq: int, *, of: int | None = None) -> DeletionScope:
    """What a deletion at place `seq` of the log concerns; `of`: the place of the payload that it names. Raises
    StoreUnavailableError, StoreQueryError, as everything here."""
    every = _series(store, tenant, deletion.feed, {})
    chosen = every
    if deletion.series:
        chosen = {one: gone for one, gone in every.items() if one == deletion.number}
    elif deletion.tags:
        chosen = _series(store, tenant, deletion.feed, deletion.tags)
    return DeletionScope(
        tenant=tenant,
        feed=deletion.feed,
        series=list(chosen),
        gone=list(chosen.values()),
        scan=list(every),
        scan_gone=list(every.values()),
        first=deletion.first_ns,
        last=deletion.last_ns,
        low=0 if of is None else of,
        high=seq if of is None else of + 1,
        records=not deletion.series,
        everything=not deletion.series and not deletion.tags,
        whole=deletion.kind in ("feed", "payload"),
    )


def evidence(store: Store, found: DeletionScope) -> DeletionEvidence:
    """What is there of it."""
    points = store.rows("deletion_points_count", gone=found.gone, **found.points)[0]["points"] if found.series else 0
    if found.whole:
        places = {name: getattr(found, name) for name in ("tenant", "feed", "low", "high")}
        payloads = store.frame("deletion_everything", **places)
    else:
        payloads = store.frame("deletion_payloads", scan=found.scan, scan_gone=found.scan_gone, **found.rejections)
    payloads = payloads.with_columns(pl.col("whole").cast(pl.Boolean))
    return DeletionEvidence(int(points), int(payloads["records"].sum()), payloads)


def series_of(store: Store, tenant: str, feed: str) -> list[int]:
    """All series of a feed."""
    return list(_series(store, tenant, feed, {}))


def place_of(store: Store, tenant: str, receipt: str, *, begun: bool = False) -> int | None:
    """The place in the log of a payload that was applied; null if there is none, or its bytes are gone already.
    `begun`: the deletion that asks may have taken the bytes itself, before it was cut short."""
    rows = store.rows("deletion_place", tenant=tenant, receipt=receipt, begun=begun)
    return int(rows[0]["seq"]) if rows else None


def _series(store: Store, tenant: str, feed: str, tags: dict[str, str]) -> dict[int, int]:
    keys = {"tag_keys": list(tags), "tag_values": list(tags.values())}
    rows = store.rows("deletion_series", tenant=tenant, feed=feed, **keys)
    return {row["series"]: row["deleted_seq"] for row in rows}
