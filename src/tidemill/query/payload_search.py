"""Records that left no point, found in the bytes of their payloads: their values are null, or their points are past
retention.

The store knows the first and the last instant of each payload's records (`payloads.first_time`, `last_time`) and how
many of their values are null. Payloads that may hold a record of an instant are decoded again, by the feed version that
they were applied under; what became of each record is read from the ledger and from the tombstones.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.decode.decoder import DEEPEST, Decoder
from tidemill.feeds.definition import Feed
from tidemill.model.payload import EntryKind, LogEntry, Payload
from tidemill.query.deletions import AppliedDeletion
from tidemill.query.origins import MAX_CUT_BYTES, Origins
from tidemill.rules.every_value import every_value
from tidemill.rules.fold_known import KnownTimes
from tidemill.store.client import Store
from tidemill.store.record_times import record_times

_log = logging.getLogger(__name__)
MAX_PAYLOADS: Final = 500  # searched for one instant, the newest first, of MAX_CUT_BYTES together
_VALUES: Final = ["series", "field", "time", "seq", "idx", "value", "received_at", "receipt"]


class Wanted(msgspec.Struct, frozen=True):
    """The values to find: of series `number`, or (0: its id is not known) of series with `field` (None: any) and these
    `tags`, from `first_ns` to `last_ns` (both included)."""

    feed: str
    number: int
    field: str | None
    tags: Mapping[str, str]
    first_ns: int
    last_ns: int


class FoundValues(msgspec.Struct, frozen=True):
    """Accepted values (`series`, `field`, `time` in ns, `seq`, `idx`, `value`, `received_at` in ns, `receipt`), in the
    order of submission; `unsearched`: how many payloads that may hold more were not decoded, because they are too many
    or too large, or cannot be."""

    values: list[dict[str, Any]]
    unsearched: int


NOTHING_FOUND: Final = FoundValues([], 0)


class PayloadSearch:
    """Searches the payloads of one store."""

    def __init__(self, store: Store, origins: Origins) -> None:
        self._store, self._origins = store, origins

    def accepted_values(self, tenant: str, wanted: Wanted, *, only_nulls: bool) -> FoundValues:
        """The accepted values whose records were not deleted one by one, those that are stored as points among them.
        With `only_nulls` just the nulls. What a deletion of their series or range removed is among them
        (`without_deleted`)."""
        rows = self._store.rows(
            "search_payloads",
            tenant=tenant,
            feed=wanted.feed,
            first=wanted.first_ns,
            last=wanted.last_ns,
            only_nulls=only_nulls,
            limit=MAX_PAYLOADS + 1,
        )
        chosen = _within_limits(rows)
        values, failed = [], 0
        for row in chosen:
            held = self._values(tenant, wanted, row)
            failed += held is None
            values += held or []
        values = [row for row in values if not only_nulls or row["value"] is None]
        return FoundValues(self._accepted(tenant, wanted, values), len(rows) - len(chosen) + failed)

    def _values(self, tenant: str, wanted: Wanted, row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The wanted values of one payload; None where it cannot be decoded, or where it cannot
        be told any more at which instant of a fold an accepted record is."""
        feed = self._origins.feed_version(tenant, wanted.feed, row)
        if feed is None:
            return None
        body = self._store.raw("payload_body", "RawBLOB", tenant=tenant, receipt=row["receipt"])
        payload = Payload(
            receipt=row["receipt"],
            tenant=tenant,
            feed=wanted.feed,
            feed_version=row["feed_version"],
            received_ns=row["received_at"],
            format=row["format"],
            body=body,
            sha256=b"",
            kind=EntryKind.DATA,
        )
        try:
            spans = {row["seq"]: (row["first_ns"], row["last_ns"])}
            known = KnownTimes(tenant, spans, record_times(self._store, tenant))
            values, unclear = _decoded_values(feed, wanted, LogEntry(row["seq"], payload), known)
            return None if self._accepted(tenant, wanted, unclear) else values
        except Exception:  # of a decoder of others, too: the answer says that the payload was not searched
            _log.exception("payload %s cannot be searched", row["receipt"])
            return None

    def _accepted(self, tenant: str, wanted: Wanted, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The values without those of records that were rejected or deleted."""
        if not values:
            return []
        away = self._store.rows(
            "search_not_accepted",
            tenant=tenant,
            feed=wanted.feed,
            seqs=sorted({row["seq"] for row in values}),
            idxs=sorted({row["idx"] for row in values}),
        )
        gone_records = {(row["seq"], row["idx"], row["series"]) for row in away}
        return sorted(
            (
                row
                for row in values
                if not gone_records & {(row["seq"], row["idx"], 0), (row["seq"], row["idx"], row["series"])}
            ),
            key=lambda row: (row["seq"], row["idx"]),
        )


def without_deleted(
    values: Iterable[dict[str, Any]], wanted: Wanted, deleted_seq: int, deletions: Collection[AppliedDeletion]
) -> list[dict[str, Any]]:
    """Values without those that a deletion of their series (up to `deleted_seq`) or of a range removed."""
    return [
        row
        for row in values
        if row["seq"] > deleted_seq
        and not any(
            row["seq"] < deletion.seq and deletion.covers(wanted.feed, wanted.number, wanted.tags, row["time"])
            for deletion in deletions
        )
    ]


def _within_limits(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The payloads that are searched: the newest, as far as the limits allow."""
    chosen: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        if len(chosen) < MAX_PAYLOADS and size + row["bytes"] <= MAX_CUT_BYTES:
            chosen.append(row)
            size += row["bytes"]
    return chosen


def _decoded_values(
    feed: Feed, wanted: Wanted, entry: LogEntry, known: KnownTimes
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The wanted values of one payload, and its records of which nothing is known that tells their instant (`seq`,
    `idx`, `series` 0)."""
    batch = Decoder(feed, max_depth=DEEPEST).decode_batch([entry])
    shaped = every_value(feed, batch, known, wanted.first_ns, wanted.last_ns)
    points = shaped.points
    if wanted.number:
        points = points.filter(pl.col("series") == wanted.number)
    else:
        points = points.filter(pl.col("series").is_in(_matching(shaped.series, wanted).implode()))
    named = points.with_columns(pl.lit(entry.payload.receipt).alias("receipt"), received_at=pl.col("received_ns"))
    unclear = shaped.rejections.filter(pl.col("reasons").list.contains("fold_unclear"))
    return named.select(_VALUES).to_dicts(), unclear.select("seq", "idx", pl.lit(0).alias("series")).to_dicts()


def _matching(series: pl.DataFrame, wanted: Wanted) -> pl.Series:
    """The ids of series (`rules.shape.SERIES`) that have the wanted field and tags."""
    ids = [
        row["series"]
        for row in series.iter_rows(named=True)
        if wanted.field in (None, row["field"])
        and wanted.tags.items() <= {pair["key"]: pair["value"] for pair in row["tags"]}.items()
    ]
    return pl.Series(ids, dtype=pl.UInt64)
