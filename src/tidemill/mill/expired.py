"""Finds records to delete that have no point: it is past retention, or all of their values are null. Only the bytes of
their payloads have such records, so the payloads are decoded once more."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import polars as pl

from tidemill.errors import TidemillError
from tidemill.mill.context import MillContext
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.stored import stored_entry
from tidemill.model.deletion import Deletion
from tidemill.model.payload import LogEntry
from tidemill.rules.fold_known import KnownTimes
from tidemill.store.deletions import DeletionEvidence, DeletionScope
from tidemill.store.record_times import record_times

_PORTION: Final = 2_000
_RECORDS: Final[dict[str, Any]] = {"seq": pl.UInt64, "idx": pl.UInt32, "series": pl.UInt64}


class Expired:
    """Decodes payloads of one store for deletions."""

    def __init__(self, context: MillContext, pipeline: TransformPipeline) -> None:
        self._store = context.store
        self._status = context.status
        self._pipeline = pipeline

    def add_expired(
        self, scope: DeletionScope, deletion: Deletion, evidence: DeletionEvidence, seq: int, *, expires: bool
    ) -> DeletionEvidence:
        """`evidence` with the payloads of records without a point. Writes tombstones of these records for the deletion
        at offset `seq`. `expires`: points of the feed expire."""
        rows = self._store.frame(
            "deletion_expired",
            tenant=scope.tenant,
            feed=scope.feed,
            low=scope.low,
            high=scope.high,
            feed_series=scope.feed_series,
            words=list(deletion.tags.values()),
            deletion=seq,
            expires=expires,
            first=scope.first,
            last=scope.last,
        )
        if rows.is_empty():
            return evidence
        records = self._records(scope, deletion, rows)
        self._write_tombstones(scope, records, seq)
        covered = records.group_by("seq").agg(pl.col("idx").n_unique().cast(pl.UInt64).alias("records"))
        whole = (pl.col("records") >= pl.col("total")) & pl.lit(scope.records)
        more = rows.join(covered, on="seq").select("seq", "receipt", "records", whole.alias("whole"))
        columns = evidence.payloads.columns
        both = pl.concat([evidence.payloads, more.select(columns)], how="vertical_relaxed")
        payloads = both.group_by("seq", "receipt").agg(pl.col("records").max(), pl.col("whole").any()).sort("seq")
        return DeletionEvidence(evidence.points, int(payloads["records"].sum()), payloads.select(columns))

    def _records(self, scope: DeletionScope, deletion: Deletion, rows: pl.DataFrame) -> pl.DataFrame:
        """`seq`, `idx`, `series` of the records of these payloads (`seq`) that are in the scope."""
        frames = [pl.DataFrame(schema=_RECORDS)]
        for part in rows.iter_slices(_PORTION):
            for version, run in groupby(self._entries(scope, part), key=lambda entry: entry.payload.feed_version):
                frames.append(self._run_records(scope, deletion, version, list(run), self._known(scope, part)))
            self._status.turn()
        return pl.concat(frames)

    def _entries(self, scope: DeletionScope, part: pl.DataFrame) -> Iterator[LogEntry]:
        stored = self._store.frame("mill_payloads", tenant=scope.tenant, seqs=part["seq"])
        for row in stored.iter_rows(named=True):
            yield stored_entry(scope.tenant, scope.feed, row, row["feed_version"])

    def _known(self, scope: DeletionScope, part: pl.DataFrame) -> KnownTimes:
        """What is known of the times of payloads. A record that may be in the scope is."""
        noted = part.drop_nulls("first_time").select("seq", pl.col("first_time", "last_time").cast(pl.Int64))
        spans = {seq: (first, last) for seq, first, last in noted.iter_rows()}
        return KnownTimes(scope.tenant, spans, record_times(self._store, scope.tenant), (scope.first, scope.last))

    def _run_records(
        self, scope: DeletionScope, deletion: Deletion, version: int, run: list[LogEntry], known: KnownTimes
    ) -> pl.DataFrame:
        try:
            shaped = self._pipeline.every_value(scope.feed, version, run, known)
        except TidemillError:
            return pl.DataFrame(schema=_RECORDS)  # the feed version cannot be read: its payloads keep their bytes
        series = scope.series if deletion.series else _with_tags(shaped.series, deletion)
        inside = pl.col("series").is_in(series) & pl.col("time").is_between(scope.first, scope.last)
        return shaped.points.filter(inside).select(pl.col(name).cast(kind) for name, kind in _RECORDS.items())

    def _write_tombstones(self, scope: DeletionScope, records: pl.DataFrame, seq: int) -> None:
        series = pl.lit(0, pl.UInt64) if scope.records else pl.col("series")
        self._store.insert(
            "deleted_records",
            records.select(
                pl.lit(scope.tenant).alias("tenant"),
                pl.lit(scope.feed).alias("feed"),
                "seq",
                "idx",
                series.alias("series"),
                pl.lit(seq, pl.UInt64).alias("deletion"),
            ).unique(),
        )


def _with_tags(series: pl.DataFrame, deletion: Deletion) -> list[int]:
    """The ids of series (`rules.shape.SERIES`) with the tags that a deletion names; the store may never have had
    them."""
    return [
        row["series"]
        for row in series.select("series", "tags").iter_rows(named=True)
        if deletion.tags.items() <= {pair["key"]: pair["value"] for pair in row["tags"]}.items()
    ]
