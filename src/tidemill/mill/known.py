"""Remembers the state of series, so that live data costs no look-up: what the store's row says, and the latest instant
at which the store can have a point. Loaded from the store when unknown, bounded, and dropped after any failed write.

`latest` is an upper bound: no point of the series is later. It may be too high (then a look-up returns nothing).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.mill.submissions import KnownSubmissions
from tidemill.mill.tombstones import Tombstones
from tidemill.model.offset import ONLY, Partition
from tidemill.model.time import MIN_NS
from tidemill.store.client import Store

_KEEP = 200_000  # about 250 bytes each
_CHUNK = 5_000  # ids in one query
NEVER = MIN_NS - 1


class SeriesState(msgspec.Struct, gc=False):
    """One series. `version` 0: the store has no row of it. `sealed_until`: the latest sealed window's begin;
    `restated_until`: of those that were ever restated; `words`: a hash of what its row says beside its identity."""

    latest: int = NEVER
    version: int = 0
    deleted: bool = False
    deleted_seq: int = 0
    created_ns: int = 0
    words: int = 0
    sealed_until: int = NEVER
    restated_until: int = NEVER


SERIES_STATES: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "latest": pl.Int64,
    "version": pl.UInt64,
    "deleted": pl.Boolean,
    "deleted_seq": pl.UInt64,
    "created_ns": pl.Int64,
    "words": pl.UInt64,
    "sealed_until": pl.Int64,
    "restated_until": pl.Int64,
}


class KnownSeries:
    """States by series id. Ids are unique over tenants (the tenant is in the hash)."""

    def __init__(self, store: Store, partition: Partition = ONLY) -> None:
        self._store = store
        self._states: dict[int, SeriesState] = {}
        self.tombstones = Tombstones(store, partition)
        self.submissions = KnownSubmissions(store)

    def load_series(self, tenant: str, series: Iterable[int], since: int) -> int:
        """Load the states of these series; returns how many were unknown. `since`: the earliest instant of which a
        look-up may follow."""
        unknown = [id_ for id_ in series if id_ not in self._states]
        for start in range(0, len(unknown), _CHUNK):
            self._load(tenant, unknown[start : start + _CHUNK], since)
        return len(unknown)

    def frame(self, series: pl.Series) -> pl.DataFrame:
        """SERIES_STATES of these loaded series."""
        states = [self._states[id_] for id_ in series]
        columns = {
            name: pl.Series([getattr(state, name) for state in states], dtype=kind)
            for name, kind in SERIES_STATES.items()
            if name != "series"
        }
        return pl.DataFrame({"series": series} | columns)

    def deleted(self, series: Iterable[int]) -> Mapping[int, int]:
        """The `deleted_seq` of those of these loaded series that were ever deleted."""
        pairs = ((id_, self._states[id_].deleted_seq) for id_ in series)
        return {id_: seq for id_, seq in pairs if seq}

    def learn(self, rows: pl.DataFrame, points: pl.DataFrame) -> None:
        """Rows of table `series` and `points` (`series`, `time`) that are being written, of loaded series."""
        written = rows.with_columns(words=hash_words(), created_ns=pl.col("created_at").cast(pl.Int64))
        for id_, version, created_ns, hashed in written.select("series", "version", "created_ns", "words").iter_rows():
            state = self._states[id_]
            state.version, state.deleted = max(version, state.version), False
            state.created_ns, state.words = created_ns, hashed
        for id_, latest in points.group_by("series").agg(pl.col("time").max()).iter_rows():
            state = self._states[id_]
            state.latest = max(state.latest, latest)

    def seal(self, series: Sequence[int], windows: Sequence[int]) -> None:
        """Remember that these windows are sealed."""
        for id_, window in zip(series, windows, strict=True):
            state = self._states.get(id_)
            if state is not None:
                state.sealed_until = max(state.sealed_until, window)

    def restate(self, series: Sequence[int], windows: Sequence[int]) -> None:
        """Remember that these windows are restated."""
        for id_, window in zip(series, windows, strict=True):
            state = self._states.get(id_)
            if state is not None:
                state.restated_until = max(state.restated_until, window)

    def trim(self) -> None:
        """Drop the series that were loaded longest ago when there are too many. Not within a batch."""
        excess = len(self._states) - _KEEP
        if excess > 0:
            for id_ in list(self._states)[: excess + _KEEP // 10]:
                del self._states[id_]

    def drop(self, series: Iterable[int]) -> None:
        """Forget these series: their states are loaded again when they are needed."""
        for id_ in series:
            self._states.pop(id_, None)

    def drop_all(self) -> None:
        """Forget all series: what is remembered may not have been written."""
        self._states.clear()
        self.tombstones.drop()
        self.submissions.drop()

    def _load(self, tenant: str, series: list[int], since: int) -> None:
        self._states.update((id_, SeriesState()) for id_ in series)
        rows = self._store.frame("mill_series", tenant=tenant, series=series).with_columns(words=hash_words())
        for row in rows.iter_rows(named=True):
            state = self._states[row["series"]]
            state.version, state.deleted, state.deleted_seq = row["version"], bool(row["deleted"]), row["deleted_seq"]
            state.created_ns = row["created_ns"]
            state.words = row["words"]
            state.latest = since - 1  # no point is later, unless the next query returns one
        stored = rows["series"]
        if stored.is_empty():
            return  # points without a series row are of a batch that was cut short, which is applied again
        for row in self._store.rows("mill_latest", tenant=tenant, series=stored, since=since):
            self._states[row["series"]].latest = row["latest"]
        for row in self._store.rows("mill_sealed_until", tenant=tenant, series=stored):
            state = self._states[row["series"]]
            state.sealed_until = NEVER if row["sealed_until"] is None else row["sealed_until"]
            state.restated_until = NEVER if row["restated_until"] is None else row["restated_until"]


def hash_words() -> pl.Expr:
    """A hash of what a series row says beside its identity; null and empty texts are the same."""
    texts = (pl.col(name).cast(pl.String).fill_null("") for name in ("feed", "name", "unit", "description"))
    return pl.concat_str(texts, separator="\x00").hash()
