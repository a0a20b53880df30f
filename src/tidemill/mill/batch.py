"""What one feed's payloads are after decode and rules, before anybody looks at the store: what `decide` is given."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import ledger
from tidemill.mill.stages import TransformedBatch, TransformPipeline
from tidemill.model.payload import EntryKind, LogEntry
from tidemill.rules.history_lookup import Past


class Contest(msgspec.Struct, frozen=True):
    """Points that contend with each other: of the versions of a feed with one duplicate policy. `feed`: the newest of
    them; `points` and `series` as the shape makes them (`rules.shape`)."""

    feed: Feed
    points: pl.DataFrame
    series: pl.DataFrame


class FeedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Payloads of one feed, at most one entry each. `seqs` (u64): those with data; `counts`: `seq`, `records` of these;
    `refused`: the rejections (REJECTED) of payloads that intake refused, `rejected` those of the rules; `contests`
    have at least one point each."""

    tenant: str
    feed: str
    seqs: pl.Series
    counts: pl.DataFrame
    refused: pl.DataFrame
    rejected: pl.DataFrame
    contests: tuple[Contest, ...]


def transform(
    tenant: str, feed: str, entries: Sequence[LogEntry], pipeline: TransformPipeline, history: Past
) -> FeedBatch:
    """Put the payloads of one feed through decode and rules, those of each version together. Raises as
    `TransformPipeline.run`."""
    data = [entry for entry in entries if entry.payload.kind is EntryKind.DATA]
    refused = [pipeline.refused(entry) for entry in entries if entry.payload.kind is EntryKind.REFUSED]
    versions = [
        pipeline.run(tenant, feed, version, list(run), history)
        for version, run in groupby(sorted(data, key=_version), key=_version)
    ]
    return FeedBatch(
        tenant=tenant,
        feed=feed,
        seqs=pl.Series([entry.seq for entry in data], dtype=pl.UInt64),
        counts=pl.concat([version.counts for version in versions]) if versions else _NO_COUNTS,
        refused=ledger.concat_rejections(refused),
        rejected=ledger.concat_rejections([version.rejections for version in versions]),
        contests=tuple(_contests(versions)),
    )


def by_feed(entries: Sequence[LogEntry]) -> Iterator[tuple[tuple[str, str], list[LogEntry]]]:
    """The entries of each tenant and feed."""
    groups: dict[tuple[str, str], list[LogEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.payload.tenant, entry.payload.feed), []).append(entry)
    yield from groups.items()


_NO_COUNTS = pl.DataFrame(schema={"seq": pl.UInt64, "records": pl.UInt32})


def _version(entry: LogEntry) -> int:
    return entry.payload.feed_version


def _contests(versions: Sequence[TransformedBatch]) -> Iterator[Contest]:
    for _, run in groupby(sorted(versions, key=_policy), key=_policy):
        same = sorted(run, key=lambda version: version.feed.version)
        points = pl.concat([version.points for version in same])
        if not points.is_empty():
            yield Contest(same[-1].feed, points, pl.concat([version.series for version in same]))


def _policy(version: TransformedBatch) -> str:
    return version.feed.duplicates
