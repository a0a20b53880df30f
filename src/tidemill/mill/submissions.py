"""Reads and remembers which records were submitted for an instant or a local time (table `submissions`), for feeds that
compare duplicates by both.

Live data costs no query: of each series the latest instant and the latest local time that the table can have are
remembered, as upper bounds, and a record beyond both is new.
"""

from collections.abc import Iterable
from typing import Final

import polars as pl

from tidemill.rules.submissions import SUBMITTED, submission_keys
from tidemill.store.client import Store
from tidemill.store.tables import table

_KEEP: Final = 200_000  # series
_SERIES: Final = 5_000  # ids in one query
_CHUNK: Final = 10_000  # keys in one query
_KEY: Final = ["series", "local", "at"]
_OF_RECORD: Final = ["seq", "idx", "time", "received_ns"]


class KnownSubmissions:
    """What one mill knows of the table. Raises StoreUnavailableError, StoreQueryError. Not thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._until: dict[tuple[int, bool], int] = {}  # by series and kind of time

    def read(self, tenant: str, anchors: pl.DataFrame, states: pl.DataFrame, *, every: bool = False) -> pl.DataFrame:
        """SUBMITTED of the times of these records (`series`, `time`, `local_ns`, `seq`, `idx`): of each time the first
        record, and those with offsets from that of the batch's first payload on; with `every` all. Records up to the
        `deleted_seq` of their series in `states` (SERIES_STATES) are left out."""
        keys = submission_keys(anchors)
        self._load(tenant, keys)
        possible = keys.filter(keys["at"] <= self._bounds(keys)).select(_KEY).unique().sort(_KEY)
        deleted = states.filter(pl.col("deleted_seq") > 0).select("series", "deleted_seq")
        if deleted.is_empty():
            deleted = pl.DataFrame({"series": [0], "deleted_seq": [0]}, schema=deleted.schema)
        bound = {
            "tenant": tenant,
            "least": 0 if every else keys["seq"].min(),
            "deleted_series": deleted["series"],
            "deleted_seqs": deleted["deleted_seq"],
        }
        frames = [pl.DataFrame(schema=SUBMITTED)]
        for part in possible.iter_slices(_CHUNK):
            if part.height:
                kinds = part["local"].cast(pl.UInt8)
                rows = self._store.frame(
                    "mill_submissions", series=part["series"], kinds=kinds, ats=part["at"], **bound
                )
                rows = rows.rename({"time_ns": "time"})
                frames.append(rows.select(pl.col(name).cast(kind) for name, kind in SUBMITTED.items()))
        return pl.concat(frames)

    def learn(self, rows: pl.DataFrame) -> None:
        """Rows of the table that are being written. Of series of which nothing is remembered (any more) the table is
        asked: it may have later rows."""
        for series, local, latest in rows.group_by("series", "local").agg(pl.col("at").max()).iter_rows():
            if (series, local) in self._until:
                self._until[series, local] = max(latest, self._until[series, local])

    def drop(self) -> None:
        """Forget everything: what is remembered may not have been written."""
        self._until.clear()

    def _bounds(self, keys: pl.DataFrame) -> pl.Series:
        known = keys.select("series", "local").unique()
        bounds = pl.Series("until", [self._until[key] for key in known.iter_rows()], dtype=pl.Int64)
        return keys.join(known.hstack([bounds]), on=["series", "local"], how="left", maintain_order="left")["until"]

    def _load(self, tenant: str, keys: pl.DataFrame) -> None:
        if len(self._until) > 2 * _KEEP:
            self.drop()
        unknown = [series for series in keys["series"].unique() if (series, False) not in self._until]
        least = keys["at"].min()
        since = least if isinstance(least, int) else 0
        for start in range(0, len(unknown), _SERIES):
            self._load_series(tenant, unknown[start : start + _SERIES], since)

    def _load_series(self, tenant: str, series: Iterable[int], since: int) -> None:
        unknown = list(series)
        # Nothing of them is later, unless the query returns something. What is earlier may be there.
        self._until.update(((id_, local), since - 1) for id_ in unknown for local in (False, True))
        for row in self._store.rows("mill_submitted_until", tenant=tenant, series=unknown, since=since):
            self._until[row["series"], bool(row["local"])] = row["until"]


def submission_rows(
    tenant: str, anchors: pl.DataFrame, points: pl.DataFrame, superseded: pl.DataFrame, current: pl.DataFrame
) -> pl.DataFrame:
    """Rows of table `submissions` for the records (`anchors`) of a batch of which `points` stay, and for the records
    that are `superseded` (`duplicates.SUPERSEDED`), given the `current` points (`store_state.CURRENT`). Pure.

    Of each record its local time; of a duplicate its instant, too, because no point has it any more."""
    local = anchors.filter(pl.col("local_ns").is_not_null()).select(
        "series", pl.lit(True).alias("local"), pl.col("local_ns").alias("at"), *_OF_RECORD
    )
    parts = [local]
    stays = points.filter("anchor").select("seq", "idx")
    if stays.height < anchors.height:
        parts.append(_at_instants(anchors.join(stays, on=["seq", "idx"], how="anti")))
    if superseded.height:
        of_anchors = current.join(anchors.select("series").unique(), on="series", how="semi")
        parts.append(_at_instants(of_anchors.join(superseded.filter("stood"), on=["seq", "idx"], how="semi")))
    return table("submissions").rows(pl.concat(parts), tenant=tenant, received_at=pl.col("received_ns"))


def _at_instants(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("series", pl.lit(False).alias("local"), pl.col("time").alias("at"), *_OF_RECORD)
