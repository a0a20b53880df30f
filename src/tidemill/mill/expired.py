"""Finds records to delete whose points are past retention: only the bytes of their payloads still have them, so these
are decoded once more. Asked only for feeds whose points expire."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import polars as pl

from tidemill.errors import TidemillError
from tidemill.mill.context import MillContext
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.stored import entry
from tidemill.model.deletion import Deletion
from tidemill.model.payload import LogEntry
from tidemill.store.deletions import DeletionEvidence, DeletionScope

_PORTION: Final = 2_000
_FOUND: Final[dict[str, Any]] = {"seq": pl.UInt64, "idx": pl.UInt32, "series": pl.UInt64}


class Expired:
    """Looks into the payloads of one store."""

    def __init__(self, context: MillContext, pipeline: TransformPipeline) -> None:
        self._store = context.store
        self._status = context.status
        self._pipeline = pipeline

    def add(self, found: DeletionScope, asked: Deletion, there: DeletionEvidence, deletion: int) -> DeletionEvidence:
        """`there` and what is past retention of it; remembers single records, so that they do not come back."""
        rows = self._store.frame(
            "deletion_expired",
            tenant=found.tenant,
            feed=found.feed,
            low=found.low,
            high=found.high,
            feed_series=found.feed_series,
            words=list(asked.tags.values()),
            deletion=deletion,
        )
        if rows.is_empty():
            return there
        records = self._records(found, rows)
        self._bury(found, records, deletion)
        covered = records.group_by("seq").agg(pl.col("idx").n_unique().cast(pl.UInt64).alias("records"))
        whole = (pl.col("records") >= pl.col("total")) & pl.lit(found.records)
        more = rows.join(covered, on="seq").select("seq", "receipt", "records", whole.alias("whole"))
        columns = there.payloads.columns
        both = pl.concat([there.payloads, more.select(columns)], how="vertical_relaxed")
        payloads = both.group_by("seq", "receipt").agg(pl.col("records").max(), pl.col("whole").any()).sort("seq")
        return DeletionEvidence(there.points, int(payloads["records"].sum()), payloads.select(columns))

    def _records(self, found: DeletionScope, rows: pl.DataFrame) -> pl.DataFrame:
        """`seq`, `idx`, `series` of the records concerned."""
        frames = [pl.DataFrame(schema=_FOUND)]
        for part in rows.iter_slices(_PORTION):
            for version, run in groupby(self._entries(found, part), key=lambda one: one.payload.feed_version):
                frames.append(self._of(found, version, list(run)))
            self._status.turn()
        return pl.concat(frames)

    def _entries(self, found: DeletionScope, part: pl.DataFrame) -> Iterator[LogEntry]:
        stored = self._store.frame("mill_payloads", tenant=found.tenant, seqs=part["seq"])
        for row in stored.iter_rows(named=True):
            yield entry(found.tenant, found.feed, row, row["feed_version"])

    def _of(self, found: DeletionScope, version: int, run: list[LogEntry]) -> pl.DataFrame:
        try:
            milled = self._pipeline.run(found.tenant, found.feed, version, run)
        except TidemillError:
            return pl.DataFrame(schema=_FOUND)  # that version of the feed cannot be read: its payloads keep their bytes
        rejected = milled.rejections.select("seq", "idx", "time", "series").explode("series").drop_nulls("series")
        both = pl.concat([milled.points.select("seq", "idx", "time", "series"), rejected])
        inside = pl.col("series").is_in(found.series) & pl.col("time").is_between(found.first, found.last)
        return both.filter(inside).select(pl.col(name).cast(kind) for name, kind in _FOUND.items())

    def _bury(self, found: DeletionScope, records: pl.DataFrame, deletion: int) -> None:
        series = pl.lit(0, pl.UInt64) if found.records else pl.col("series")
        self._store.insert(
            "deleted_records",
            records.select(
                pl.lit(found.tenant).alias("tenant"),
                pl.lit(found.feed).alias("feed"),
                "seq",
                "idx",
                series.alias("series"),
                pl.lit(deletion, pl.UInt64).alias("deletion"),
            ).unique(),
        )
