"""The payloads of one feed after decode and rules, before the store is read: the input of `decide`."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import ledger
from tidemill.mill.stages import TransformedBatch, TransformPipeline
from tidemill.model.payload import EntryKind, LogEntry
from tidemill.rules.history_lookup import Past
from tidemill.rules.payload_marks import MARKS
from tidemill.rules.payload_times import TIMES


class Contest(msgspec.Struct, frozen=True):
    """Points among which duplicates are decided: those of versions of a feed that follow each other and have the same
    duplicate policy. `feed`: the newest of these versions; `points`, `series` as the shape makes them
    (`rules.shape`)."""

    feed: Feed
    points: pl.DataFrame
    series: pl.DataFrame


class FeedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Payloads of one feed, each at most once. `seqs` (u64): the offsets of the payloads with data; `counts`: their
    `seq`, `records`, `payload_times.TIMES` and `payload_marks.MARKS`; `refused`: the rejections (REJECTED) of payloads
    that intake refused; `rejected`: those of the rules; `contests`, in the order of the feed's versions, have at least
    one point each."""

    tenant: str
    feed: str
    seqs: pl.Series
    counts: pl.DataFrame
    refused: pl.DataFrame
    rejected: pl.DataFrame
    contests: tuple[Contest, ...]


def transform_entries(
    tenant: str, feed: str, entries: Sequence[LogEntry], pipeline: TransformPipeline, history: Past
) -> FeedBatch:
    """Put the payloads of one feed through decode and rules, version by version. Raises as
    `TransformPipeline.transform`."""
    data = [entry for entry in entries if entry.payload.kind is EntryKind.DATA]
    refused = [pipeline.refused(entry) for entry in entries if entry.payload.kind is EntryKind.REFUSED]
    versions = [
        pipeline.transform(tenant, feed, version, list(run), history)
        for version, run in groupby(sorted(data, key=_feed_version), key=_feed_version)
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


def group_by_feed(entries: Sequence[LogEntry]) -> Iterator[tuple[tuple[str, str], list[LogEntry]]]:
    """The entries of each tenant and feed, in their order."""
    groups: dict[tuple[str, str], list[LogEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.payload.tenant, entry.payload.feed), []).append(entry)
    yield from groups.items()


_NO_COUNTS = pl.DataFrame(schema={"seq": pl.UInt64, "records": pl.UInt32, **TIMES, **MARKS})


def _feed_version(entry: LogEntry) -> int:
    return entry.payload.feed_version


def _contests(versions: Sequence[TransformedBatch]) -> Iterator[Contest]:
    for _, run in groupby(versions, key=_duplicate_policy):
        same = list(run)
        points = pl.concat([version.points for version in same])
        if not points.is_empty():
            yield Contest(same[-1].feed, points, pl.concat([version.series for version in same]))


def _duplicate_policy(version: TransformedBatch) -> str:
    return version.feed.duplicates
