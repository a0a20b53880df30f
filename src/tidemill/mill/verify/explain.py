"""Explains why a point of an accepted record is not stored: its series or range was deleted, or it is past
retention."""

from collections.abc import Callable, Iterator

import polars as pl

from tidemill.errors import TidemillError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.mill import rollups
from tidemill.mill.known import NEVER
from tidemill.mill.lookup import sealed_records
from tidemill.model.time import MAX_NS, duration_ns
from tidemill.store.client import Store

_CHUNK = 10_000


class Explainer:
    """Explains absence from what a store and a catalog say now. `clock` is ns since the epoch."""

    def __init__(self, store: Store, book: FeedBook, clock: Callable[[], int]) -> None:
        self._store = store
        self._book = book
        self._clock = clock
        self._versions: dict[tuple[str, str], list[Feed]] = {}

    def versions(self, tenant: str, feed: str) -> list[Feed]:
        """Every version of a feed that can be read, oldest first."""
        key = (tenant, feed)
        if key not in self._versions:
            self._versions[key] = list(self._read(tenant, feed))
        return self._versions[key]

    def expired_before(self, tenant: str, feed: str) -> int:
        """Points that were received before this may be past retention, ns, by some version of the feed that does not
        seal. Of a version that seals, the sealed windows themselves explain what is absent."""
        kept = [
            duration_ns(version.retention.points)
            for version in self.versions(tenant, feed)
            if version.retention.points and not (version.retention.seal_rollups and version.rollups)
        ]
        return self._clock() - min(kept) if kept else NEVER

    def alive(self, tenant: str, points: pl.DataFrame) -> pl.DataFrame:
        """Without points of deleted series."""
        if points.is_empty():
            return points
        deleted = self._deleted(tenant, points["series"].unique())
        kept = points.join(deleted, on="series", how="left").filter(
            pl.col("deleted_seq").is_null() | (pl.col("seq") > pl.col("deleted_seq"))
        )
        return kept.drop("deleted_seq")

    def unexplained(self, tenant: str, feed: str, absent: pl.DataFrame, tombstones: pl.DataFrame) -> pl.DataFrame:
        """Of absent points (`decoded.POINTS`) those that nothing explains; `tombstones`: see
        `receipt_check.StoredPayloads`."""
        rest = self.alive(tenant, absent)
        rest = rest.join(tombstones.filter(pl.col("series") == 0), on=["seq", "idx"], how="anti")
        rest = rest.join(tombstones, on=["seq", "idx", "series"], how="anti")
        if rest.is_empty():
            return rest
        rest = self._unsealed(tenant, feed, rest)
        return rest.filter(pl.col("received_ns") >= self.expired_before(tenant, feed))

    def _unsealed(self, tenant: str, feed: str, absent: pl.DataFrame) -> pl.DataFrame:
        """Without points whose window was sealed after they counted for it."""
        sealing = {rollups.every_ns(each): each for each in self.versions(tenant, feed) if each.retention.seal_rollups}
        for every, version in sealing.items():
            if every and not absent.is_empty():
                records = absent.with_columns(sealed_until=pl.lit(MAX_NS))
                sealed = sealed_records(self._store, tenant, version, records)
                counted = sealed.filter(pl.col("seq") <= pl.col("sealed_seq"))
                absent = absent.join(counted, on=["series", "time", "ordinal", "seq", "idx"], how="anti")
        return absent

    def _deleted(self, tenant: str, series: pl.Series) -> pl.DataFrame:
        """`series`, `deleted_seq` of those that were ever deleted."""
        parts = [
            self._store.frame("verify_deleted_series", tenant=tenant, series=series[start : start + _CHUNK])
            for start in range(0, len(series), _CHUNK)
        ]
        return pl.concat(parts).select(pl.col("series", "deleted_seq").cast(pl.UInt64))

    def _read(self, tenant: str, feed: str) -> Iterator[Feed]:
        try:
            newest = self._book.newest(tenant, feed).version
        except TidemillError:
            return
        for number in range(1, newest + 1):
            try:
                yield self._book.version(tenant, feed, number)
            except TidemillError:
                continue
